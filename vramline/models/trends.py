"""Where a figure has been heading, as ``ResourceMonitor`` tells it."""

from collections.abc import Sequence
from typing import TypedDict

from vramline.models.chosen import mean

TREND_POINTS = 2.0
"""By how many percentage points the later half of a window must differ from the earlier one
to be called a trend. Less is noise."""


class Trend(TypedDict):
    """What ``get_resource_trend`` returns.

    Each is ``increasing``, ``decreasing``, ``stable`` or ``insufficient_data``.

    Attributes:
        memory: Of ``memory_percent``.
        cpu: Of ``cpu_percent``.
        gpu: Of the share of the chosen GPU's memory that is in use.
    """

    memory: str
    cpu: str
    gpu: str


def trend_of(values: Sequence[float]) -> str:
    """Return ``increasing``, ``decreasing`` or ``stable``, or that there are too few values."""
    if len(values) < 2:
        return "insufficient_data"
    middle = len(values) // 2
    change = mean(values[middle:]) - mean(values[:middle])
    if abs(change) <= TREND_POINTS:
        return "stable"
    return "increasing" if change > 0 else "decreasing"
