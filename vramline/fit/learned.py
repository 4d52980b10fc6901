"""What loading models on this machine really took, beside what was said before.

The last few figures of a kind are kept: of the same runner, backend and place, under the same
driver. ``lessons.py`` works them out.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from statistics import median_low
from typing import Any

from vramline.fit.amounts import Amount
from vramline.fit.settings import Backend, Runner
from vramline.readings import FrozenDict
from vramline.units import GIB, MIB

FORMAT = 1
"""The version of the layout that ``to_document`` gives."""

SAMPLES_KEPT = 8
ENTRIES_KEPT = 256

MOST_BYTES = 32 * GIB
"""No runner takes as much beside a model."""

PAD_BYTES = 16 * MIB
FEW = 3

TEXT_MOST = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One load.

    Attributes:
        bytes: Taken beside what was said before.
        at: When, in UTC.
    """

    bytes: int
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """What one runner takes beside a model, in one place.

    Attributes:
        backend: What it reached its devices through; ``None`` where it had none.
        place: ``HOST``, or a device's uid.
        driver_version: Under which that was seen. Another one starts anew.
        samples: The last loads, the newest last.
        times: How many there were in all.
    """

    runner: Runner
    backend: Backend | None
    place: str
    driver_version: str | None
    samples: tuple[Sample, ...]
    times: int

    @property
    def last_at(self) -> datetime:
        """When the newest load was."""
        return self.samples[-1].at

    @property
    def amount(self) -> Amount:
        """The middle of the samples, and between what bounds the next one may be expected.

        From five samples on, the least and the most are left out.
        """
        sizes = sorted(sample.bytes for sample in self.samples)
        middle = median_low(sizes)
        if len(sizes) > FEW + 1:
            sizes = sizes[1:-1]
        pad = max(PAD_BYTES, middle // (4 if len(sizes) < FEW else 20))
        return Amount(bytes=middle, low_bytes=max(sizes[0] - pad, 0), high_bytes=sizes[-1] + pad)


def remember(known: Iterable[Learned], new: Iterable[Learned]) -> tuple[Learned, ...]:
    """Return *known* with *new* added: at most so many, the ones seen longest ago left out."""
    kept = {key_of(each): each for each in known}
    for each in new:
        old = kept.get(key_of(each))
        if old is None or old.driver_version != each.driver_version:
            kept[key_of(each)] = each
            continue
        kept[key_of(each)] = replace(
            old,
            samples=(*old.samples, *each.samples)[-SAMPLES_KEPT:],
            times=old.times + each.times,
        )
    newest = sorted(kept.values(), key=lambda each: each.last_at, reverse=True)
    return tuple(newest[:ENTRIES_KEPT])


def forget(
    known: Iterable[Learned], *, runner: Runner | None = None, place: str | None = None
) -> tuple[Learned, ...]:
    """Return *known* without what is of that runner and in that place; all of it if neither."""
    return tuple(
        each
        for each in known
        if (runner is not None and each.runner is not runner)
        or (place is not None and each.place != place)
    )


def learned_for(
    known: Iterable[Learned], runner: Runner, backend: Backend | None, place: str
) -> Learned | None:
    """Return what was learned of one runner in one place."""
    for each in known:
        if key_of(each) == (runner, backend, place):
            return each
    return None


def of_drivers(known: Iterable[Learned], versions: Mapping[str, str | None]) -> tuple[Learned, ...]:
    """Return what was learned under the drivers that are there now, told by device."""
    return tuple(
        each
        for each in known
        if each.place not in versions or each.driver_version == versions[each.place]
    )


def key_of(learned: Learned) -> tuple[Runner, Backend | None, str]:
    """Return what tells one figure from another."""
    return learned.runner, learned.backend, learned.place


def to_document(known: Iterable[Learned]) -> dict[str, Any]:
    """Return *known* as plain values, ready for JSON."""
    return {
        "format": FORMAT,
        "learned": [
            {
                "runner": each.runner.value,
                "backend": each.backend.value if each.backend else None,
                "place": each.place,
                "driver_version": each.driver_version,
                "times": each.times,
                "samples": [
                    {"bytes": sample.bytes, "at": sample.at.astimezone(UTC).isoformat()}
                    for sample in each.samples
                ],
            }
            for each in known
        ],
    }


def from_document(document: object) -> tuple[Learned, ...]:
    """Return what ``to_document`` wrote down. What it cannot have written is left out."""
    if not isinstance(document, Mapping) or document.get("format") != FORMAT:
        return ()
    entries = document.get("learned")
    if not isinstance(entries, list):
        return ()
    found = (read_entry(entry) for entry in entries[:ENTRIES_KEPT])
    kept = {key_of(each): each for each in found if each is not None}
    return tuple(kept.values())


def read_entry(entry: object) -> Learned | None:
    """Return one figure, ``None`` if it is none."""
    if not isinstance(entry, Mapping) or not isinstance(entry.get("samples"), list):
        return None
    samples = [read_sample(each) for each in entry["samples"][-SAMPLES_KEPT:]]
    whole = tuple(each for each in samples if each is not None)
    runner, backend = RUNNERS_BY_NAME.get(text(entry, "runner")), entry.get("backend")
    reached = BACKENDS_BY_NAME.get(text(entry, "backend"))
    place, driver, times = text(entry, "place"), entry.get("driver_version"), entry.get("times")
    if runner is None or not place or not whole or (backend is not None and reached is None):
        return None
    if type(times) is not int or not len(whole) <= times < 2**31:
        times = len(whole)
    return Learned(
        runner=runner,
        backend=reached,
        place=place,
        driver_version=text(entry, "driver_version") if driver is not None else None,
        samples=whole,
        times=times,
    )


RUNNERS_BY_NAME: Mapping[str, Runner] = FrozenDict({each.value: each for each in Runner})
BACKENDS_BY_NAME: Mapping[str, Backend] = FrozenDict({each.value: each for each in Backend})


def read_sample(sample: object) -> Sample | None:
    """Return one load, ``None`` if it is none."""
    if not isinstance(sample, Mapping):
        return None
    size, at = sample.get("bytes"), sample.get("at")
    if type(size) is not int or not 0 <= size <= MOST_BYTES or not isinstance(at, str):
        return None
    try:
        moment = datetime.fromisoformat(at[:TEXT_MOST])
        if moment.tzinfo is None:
            return None
        return Sample(bytes=size, at=moment.astimezone(UTC))
    except (ValueError, OverflowError):
        return None


def text(entry: Mapping[Any, Any], key: str) -> str:
    """Return a short printable text, empty if it is none."""
    value = entry.get(key)
    if not isinstance(value, str) or len(value) > TEXT_MOST or not value.isprintable():
        return ""
    return value
