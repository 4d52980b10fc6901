"""A card's graphics processors (GTs): how busy they are, how fast, and what slows them down.

https://docs.kernel.org/gpu/xe/xe_gt_freq.html, and in the kernel's source
https://github.com/torvalds/linux/blob/master/drivers/gpu/drm/xe/xe_gt_idle.c,
https://github.com/torvalds/linux/blob/master/drivers/gpu/drm/xe/xe_gt_throttle.c and
https://github.com/torvalds/linux/blob/master/drivers/gpu/drm/i915/gt/intel_gt_sysfs_pm.c.
Reading any of these files wakes the card. Those that say what a clock could be are
not read: ``rpa_freq`` of an Arc A380 is 627200.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from vramline.machine import Machine
from vramline.readers.causes import all_known, read_number, read_text
from vramline.readers.drm import Card
from vramline.readers.rates import Rate
from vramline.readings import Cause

FASTEST_MHZ = 100_000

REASONS = {"pl1": "power_cap", "pl2": "power_cap", "thermal": "hardware_thermal"}
"""What the driver says holds the clocks down, where there is a word for it that holds for every
vendor. The rest keeps the driver's word: ``pl4``, ``prochot``, ``ratl``, ``vr_tdc``."""
UNNAMED_REASON = "other"

_WORD = re.compile(r"[a-z0-9_]{1,40}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gt:
    """Where one GT's files are.

    Attributes:
        idle_time: Milliseconds in its deepest idle state.
        may_idle: Whether it is allowed into it. Not every driver has the file.
        status: Whether anything holds its clocks down.
        reasons: What the paths of the reasons begin with.
    """

    idle_time: str
    may_idle: str | None = None
    clock: str
    status: str | None = None
    reasons: str = ""


class Gts:
    """The GTs of one card that draw and compute.

    Video is left out, as in the utilisation that other vendors report. Of a
    card with several tiles the busiest and the fastest count.
    """

    def __init__(self, machine: Machine, card: Card, explain: Callable[[OSError], Cause]) -> None:
        self._machine = machine
        self._explain = explain
        self._gts = _find(machine, card)
        self._idle = {gt: Rate(machine.clock) for gt in self._gts}

    def busy_percent(self) -> float | Cause:
        """Return for how much of the time, since the look before, it was not idle."""
        idle = all_known([self._idle_share(gt) for gt in self._gts])
        if isinstance(idle, Cause):
            return idle
        return 100.0 * (1.0 - min(idle)) if idle else Cause.NOT_SUPPORTED

    def clock_mhz(self) -> float | Cause:
        """Return how fast it runs now: 0 where it is asleep between two pieces of work."""
        clocks = all_known([self._number(gt.clock, most=FASTEST_MHZ) for gt in self._gts])
        if isinstance(clocks, Cause):
            return clocks
        return float(max(clocks)) if clocks else Cause.NOT_SUPPORTED

    def throttle(self) -> tuple[str, ...] | Cause:
        """Return what holds the clocks down."""
        reasons = all_known([self._reasons(gt) for gt in self._gts])
        if isinstance(reasons, Cause):
            return reasons
        if not reasons:
            return Cause.NOT_SUPPORTED
        return tuple(dict.fromkeys(reason for each in reasons for reason in each))

    def forget(self) -> None:
        """Begin anew after a sleep: the counters stood still meanwhile."""
        for rate in self._idle.values():
            rate.forget()

    def _idle_share(self, gt: Gt) -> float | Cause:
        refused = self._never_idles(gt)
        if refused is not None:
            return refused
        spent = self._number(gt.idle_time)
        # It has never been idle: not for want of work, but as the driver keeps it from it,
        # as xe does on Ponte Vecchio (xe_guc_pc_gucrc_disable in xe_guc_pc.c).
        if spent == 0:
            return Cause.NOT_SUPPORTED
        per_second = self._idle[gt].of(spent)
        if isinstance(per_second, Cause):
            return per_second
        return min(max(per_second / 1000.0, 0.0), 1.0)

    def _never_idles(self, gt: Gt) -> Cause | None:
        if gt.may_idle is None:
            return None
        text = read_text(self._machine, gt.may_idle, explain=self._explain)
        if isinstance(text, Cause):
            return None if text is Cause.NOT_SUPPORTED else text
        if re.fullmatch(r"[0-9a-f]{1,8}", text.strip()) is None:
            return Cause.GARBLED
        return None if int(text, 16) else Cause.NOT_SUPPORTED

    def _reasons(self, gt: Gt) -> list[str] | Cause:
        status = Cause.NOT_SUPPORTED if gt.status is None else self._number(gt.status)
        if isinstance(status, Cause):
            return status
        if status == 0:
            return []
        words = self._words(gt)
        if isinstance(words, Cause):
            return words
        flags = all_known([self._number(gt.reasons + word) for word in words])
        if isinstance(flags, Cause):
            return flags
        raised = [REASONS.get(word, word) for word, flag in zip(words, flags, strict=True) if flag]
        return raised or [UNNAMED_REASON]

    def _words(self, gt: Gt) -> list[str] | Cause:
        folder, _, start = gt.reasons.rpartition("/")
        try:
            names = self._machine.list(folder)
        except OSError as error:
            return self._explain(error)
        words = [name[len(start) :] for name in names if name.startswith(start)]
        return [word for word in words if _WORD.fullmatch(word) and word != "status"]

    def _number(self, path: str, **limits: int) -> int | Cause:
        return read_number(self._machine, path, explain=self._explain, **limits)


def _find(machine: Machine, card: Card) -> list[Gt]:
    if card.driver == "xe":
        tiles = _numbered(machine, card.device, "tile")
        # A tile's first GT draws and computes; where there is another, it is for video.
        first = (_numbered(machine, tile, "gt")[:1] for tile in tiles)
        return [_xe(folder) for folders in first for folder in folders]
    folders = _numbered(machine, f"{card.folder}/gt", "gt")[:1]
    return [_i915(folder) for folder in folders] or [_i915_before_gts(card.folder)]


def _xe(gt: str) -> Gt:
    return Gt(
        idle_time=f"{gt}/gtidle/idle_residency_ms",
        clock=f"{gt}/freq0/act_freq",
        status=f"{gt}/freq0/throttle/status",
        reasons=f"{gt}/freq0/throttle/reason_",
    )


def _i915(gt: str) -> Gt:
    return Gt(
        idle_time=f"{gt}/rc6_residency_ms",
        may_idle=f"{gt}/rc6_enable",
        clock=f"{gt}/rps_act_freq_mhz",
        status=f"{gt}/throttle_reason_status",
        reasons=f"{gt}/throttle_reason_",
    )


def _i915_before_gts(card: str) -> Gt:
    """Return the places on kernels that have no folder for each GT."""
    return Gt(
        idle_time=f"{card}/power/rc6_residency_ms",
        may_idle=f"{card}/power/rc6_enable",
        clock=f"{card}/gt_act_freq_mhz",
    )


def _numbered(machine: Machine, folder: str, kind: str) -> list[str]:
    """Return the folders such as ``gt0``, lowest number first."""
    try:
        names = machine.list(folder)
    except (OSError, ValueError):
        return []
    numbers = sorted(
        int(name[len(kind) :])
        for name in names
        if re.fullmatch(rf"{kind}\d{{1,4}}", name, re.ASCII)
    )
    return [f"{folder}/{kind}{number}" for number in numbers]
