"""How busy the processors are, from counters of our own.

``psutil.cpu_percent`` keeps its counters in the module, where every caller in
the process shares them: each call shortens the interval of all the others.
"""

from collections.abc import Callable
from dataclasses import dataclass

from vramline.readings import Cause

SHORTEST_INTERVAL_SECONDS = 0.1
"""Over less than this, counters of 10 ms steps tell little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuTimes:
    """How long all processors together were busy, and how long they were there.

    Both count from some moment in the past, in a unit that only the machine knows.
    """

    busy: float
    total: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    taken_at: float
    times: CpuTimes
    percent: float | Cause


class CpuRate:
    """Turns successive looks at the counters into percents.

    Several threads may look at once. The earlier look is one frozen value that
    is replaced whole, so a race only decides which of two true looks the next
    one counts from; a lock would add nothing, and a fork could leave it held.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._earlier: _Look | None = None

    def percent(self, times: CpuTimes | Cause) -> float | Cause:
        """Return how busy the processors were since the earlier look, 0 to 100.

        Too soon after the earlier look, that look's answer is given again.
        """
        if isinstance(times, Cause):
            return times
        now, earlier = self._clock(), self._earlier
        if earlier is None:
            percent: float | Cause = Cause.FIRST_SAMPLE
        elif now - earlier.taken_at < SHORTEST_INTERVAL_SECONDS:
            return earlier.percent
        else:
            percent = _rate(earlier, times)
        self._earlier = _Look(taken_at=now, times=times, percent=percent)
        return percent


def _rate(earlier: _Look, times: CpuTimes) -> float | Cause:
    busy = times.busy - earlier.times.busy
    total = times.total - earlier.times.total
    # Counters go back after a resume, when a processor is unplugged, or when a
    # container moves to another machine. What was last known is kept.
    if busy < 0 or total <= 0:
        return earlier.percent
    return min(100.0, 100.0 * busy / total)
