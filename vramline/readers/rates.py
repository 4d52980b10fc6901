"""What successive looks at a counter tell."""

from collections.abc import Callable
from dataclasses import dataclass

from vramline.readings import Cause

SHORTEST_INTERVAL_SECONDS = 0.1
"""Over less than this, counters of 10 ms steps tell little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    taken_at: float
    part: float
    whole: float
    rate: float | Cause


class Rate:
    """How fast a counter moves, between one look and the next.

    Several threads may look at once. The earlier look is one frozen value that
    is replaced whole, so a race only decides which of two true looks the next
    one counts from; a lock would add nothing, and a fork could leave it held.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._earlier: _Look | None = None

    def of(self, part: float | Cause, whole: float | None = None) -> float | Cause:
        """Return by how much *part* grew for each one that *whole* did: seconds, unless told.

        At the first look that is not known. Too soon after the earlier look,
        that look's answer is given again.
        """
        if isinstance(part, Cause):
            return part
        now, earlier = self._clock(), self._earlier
        whole = now if whole is None else whole
        if earlier is None:
            rate: float | Cause = Cause.FIRST_SAMPLE
        elif now - earlier.taken_at < SHORTEST_INTERVAL_SECONDS:
            return earlier.rate
        else:
            rate = _rate(earlier, part, whole)
        self._earlier = _Look(taken_at=now, part=part, whole=whole, rate=rate)
        return rate

    def forget(self) -> None:
        """Begin anew, as after a sleep, over which a mean would say nothing."""
        self._earlier = None


def _rate(earlier: _Look, part: float, whole: float) -> float | Cause:
    grown = part - earlier.part
    # Counters go back after a resume, when a processor is unplugged, or when a
    # container moves to another machine. What was last known is kept.
    if grown < 0 or whole <= earlier.whole:
        return earlier.rate
    return grown / (whole - earlier.whole)
