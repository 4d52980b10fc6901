"""Takes snapshots: every vendor's GPUs and the host, at one moment, within a deadline."""

import logging
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Self

from vramline.machine import LiveMachine, Machine
from vramline.readers import FALLBACK_VENDORS, open_fallback, open_reader, vendors_on
from vramline.readers.host import HostReader
from vramline.readings import Cause, FrozenDict, HostReading, Snapshot
from vramline.sampler import process
from vramline.sampler.guard import GuardedReader
from vramline.sampler.joining import one_each
from vramline.sampler.rounds import Deadlines, Round, VendorReport

__all__ = ["Deadlines", "Sampler", "take_snapshot"]

log = logging.getLogger(__name__)

SETTLE_SECONDS = 0.2
"""Between the two looks that a rate needs, where there is only one call."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


def take_snapshot(
    machine: Machine | None = None, *, sleep: Callable[[float], None] = time.sleep
) -> Snapshot:
    """Open every driver, look twice, 0.2 s apart as rates need it, and let them go again.

    The drivers open meanwhile. Where a GPU's own rates need a second look, as its
    reader was not open early enough for the first, there is a third. For one look
    at the machine: a program that looks again and again keeps a ``Sampler``.
    """
    with Sampler(machine) as sampler:
        sampler.start()
        sleep(SETTLE_SECONDS)
        snapshot = sampler.snapshot()
        if wants_another_look(snapshot):
            sleep(SETTLE_SECONDS)
            snapshot = sampler.snapshot()
        return snapshot


def wants_another_look(snapshot: Snapshot) -> bool:
    """Tell whether a GPU's rate is not known only because it was looked at once, or too soon."""
    return any(Cause.FIRST_SAMPLE in gpu.unknown.values() for gpu in snapshot.gpus)


class Sampler:
    """Takes snapshots of one machine, and keeps its drivers open between them.

    May be called from any thread, and in a forked child. Drivers are opened at
    the first snapshot, which waits for them; a later one waits no longer than
    half a second a device, however a driver hangs.

    Args:
        machine: This one, unless another is given.
        deadlines: How long a caller waits.
        now: The time of day, in UTC.
    """

    def __init__(
        self,
        machine: Machine | None = None,
        *,
        deadlines: Deadlines | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        machine = machine or LiveMachine()
        vendors = vendors_on(machine.platform)
        deadlines = deadlines or Deadlines()
        in_background = Deadlines(opening_seconds=deadlines.opening_seconds, reading_seconds=0)
        self._host = HostReader(machine)
        self._now = now
        self._clock = clock
        self._opening_seconds = deadlines.opening_seconds
        self._patience_seconds = deadlines.patience_seconds
        self._guards = {
            vendor: GuardedReader(
                partial(open_reader, vendor, machine), name=vendor, deadlines=deadlines, clock=clock
            )
            for vendor in vendors
        }
        self._fallbacks = {
            vendor: GuardedReader(
                partial(open_fallback, vendor, machine),
                name=f"{vendor} by gpu-tracker",
                deadlines=in_background,
                clock=clock,
            )
            for vendor in FALLBACK_VENDORS
            if vendor in vendors
        }
        self._told: object = None
        self._let_go = weakref.finalize(self, _close, self._all_guards())
        self._let_go.atexit = False  # each guard sees to that itself

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Take the first look that rates need, and have the drivers opened. Does not wait."""
        self._host.read()
        for guard in self._guards.values():
            guard.begin()

    def snapshot(self) -> Snapshot:
        """Return the machine as it is now. Never raises for what the hardware does."""
        # The host first: beside the reading threads it would cost both the interpreter's lock.
        host = self._host.read()
        # A first reading has the long deadline once, and not once a vendor.
        until = self._clock() + self._opening_seconds
        rounds = {vendor: self._begin(guard) for vendor, guard in self._guards.items()}
        reports = {
            vendor: self._guards[vendor].finish(each, until=until)
            for vendor, each in rounds.items()
        }
        for vendor, fallback in self._fallbacks.items():
            if not _are_told(vendor, reports):
                reports[vendor] = _with_fallback(reports[vendor], fallback.read(until=until))
        snapshot = assemble(self._now(), host, reports)
        self._tell_changes(snapshot)
        return snapshot

    def _begin(self, guard: GuardedReader) -> Round:
        """Begin a vendor's round, and let it go first unless it keeps the next one waiting.

        Side by side the threads of two vendors hand the interpreter's lock to and fro
        at every file, which costs more than twice what they cost in turn.
        """
        round_ = guard.begin()
        round_.done.wait(self._patience_seconds)
        return round_

    def close(self) -> None:
        """Let the drivers go. The last readings are still to be had, and grow old."""
        process.close_together(self._all_guards())

    def _all_guards(self) -> list[GuardedReader]:
        return [*self._guards.values(), *self._fallbacks.values()]

    def _tell_changes(self, snapshot: Snapshot) -> None:
        found = [(gpu.uid, gpu.name, str(gpu.state)) for gpu in snapshot.gpus]
        now = (found, snapshot.absent, snapshot.failures)
        if now != self._told:
            self._told = now
            log.debug("GPUs: %s; absent: %s; failures: %s", *now)


def assemble(
    taken_at: datetime, host: HostReading, reports: Mapping[str, VendorReport]
) -> Snapshot:
    """Put the vendors' reports and the host's reading together."""
    gpus = one_each(report.readings for report in reports.values())
    # What another reader found is here, as NVIDIA's GPUs are on Windows without NVML.
    here = {gpu.vendor for gpu in gpus}
    absent = {
        vendor: report.absent
        for vendor, report in reports.items()
        if report.absent and vendor not in here
    }
    failures = {vendor: report.failure for vendor, report in reports.items() if report.failure}
    return Snapshot(
        taken_at=taken_at,
        host=host,
        gpus=gpus,
        absent=FrozenDict(absent),
        failures=FrozenDict(failures),
    )


def _are_told(vendor: str, reports: Mapping[str, VendorReport]) -> bool:
    """Tell whether there are readings of the vendor's GPUs, by whichever reader."""
    by_its_own = bool(reports[vendor].readings)
    return by_its_own or any(
        gpu.vendor == vendor for report in reports.values() for gpu in report.readings
    )


def _with_fallback(report: VendorReport, fallback: VendorReport) -> VendorReport:
    """Return the report of a vendor that gave no readings, with the fallback's."""
    # Until it has answered, it has a name for what it would read, and nothing else.
    answered = any(gpu.memory_total_bytes is not None for gpu in fallback.readings)
    pending = "gpu-tracker has not answered yet" if fallback.readings and not answered else None
    failure = report.failure or fallback.failure or pending
    return VendorReport(
        readings=fallback.readings if answered else (),
        absent=None if answered or failure else report.absent or fallback.absent,
        failure=failure,
    )


def _close(guards: Iterable[GuardedReader]) -> None:
    for guard in guards:
        guard.close(wait=False)
