"""How busy the processors are, from counters of our own.

``psutil.cpu_percent`` keeps its counters in the module, where every caller in
the process shares them: each call shortens the interval of all the others.
"""

from collections.abc import Callable
from dataclasses import dataclass

from vramline.readers.rates import Rate
from vramline.readings import Cause


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuTimes:
    """How long all processors together were busy, and how long they were there.

    Both count from some moment in the past, in a unit that only the machine knows.
    """

    busy: float
    total: float


class CpuRate:
    """Turns successive looks at the counters into percents. Several threads may look at once."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._rate = Rate(clock)

    def percent(self, times: CpuTimes | Cause) -> float | Cause:
        """Return how busy the processors were since the earlier look, 0 to 100."""
        if isinstance(times, Cause):
            return times
        share = self._rate.of(times.busy, times.total)
        return share if isinstance(share, Cause) else min(100.0, 100.0 * share)
