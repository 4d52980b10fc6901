"""One collection of the performance counters for all GPUs that are read at the time."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from vramline.readers.rates import SHORTEST_INTERVAL_SECONDS
from vramline.readers.windows.asking import ask, cause_of, number
from vramline.readers.windows.instances import adapter_bytes, engine_percents, process_bytes
from vramline.readings import Cause, ProcessKind

T = TypeVar("T")

EMPTY = frozenset({0x0, 0x800007D1, 0x800007D5})
"""Success, PDH_CSTATUS_NO_INSTANCE and PDH_NO_DATA: an array has its items, or there are none."""
NO_RATE_YET = frozenset({0xC0000BBA, 0xC0000BC6})
"""PDH_CSTATUS_INVALID_DATA and PDH_INVALID_DATA, which a rate is at the first collection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What the counters said at one moment, by LUID; or the cause why they did not.

    Attributes:
        dedicated: What is used of the adapters' own memory.
        shared: What they use of the host's.
        local: What each process holds of the memory that is nearest to the adapter: a
            card's own; of a GPU in the processor all that it uses.
        non_local: What each process holds of the other.
        busy: Percent. A rate, so not known at the first look.
        running: What each process runs, of those that run something.
    """

    dedicated: Mapping[int, int] | Cause
    shared: Mapping[int, int] | Cause
    local: Mapping[int, Mapping[int, int]] | Cause
    non_local: Mapping[int, Mapping[int, int]] | Cause
    busy: Mapping[int, float] | Cause
    running: Mapping[int, Mapping[int, ProcessKind]]


class SharedCounters:
    """The counters, collected once for whoever reads at about the same time.

    Two collections within microseconds would make nonsense of a rate: within 0.1 s the last
    one is given again. Who needs a new one waits for it, all together: they ask the same
    thing, and Windows would have them wait as well.

    Args:
        counters: As the native module gave them, or why it did not.
    """

    def __init__(self, counters: Any, *, clock: Callable[[], float]) -> None:
        self._counters = counters
        self._clock = clock
        self._lock = threading.Lock()
        self._taken_at = 0.0
        self._look: Look | None = None

    def look(self) -> Look:
        """Return what the counters say now, or said less than 0.1 s ago."""
        with self._lock:
            elapsed = self._clock() - self._taken_at
            if self._look is None or not 0 <= elapsed < SHORTEST_INTERVAL_SECONDS:
                self._look = self._collect(is_first=self._look is None)
                self._taken_at = self._clock()
            return self._look

    def close(self) -> None:
        """Give the counters back."""
        if not isinstance(self._counters, Cause):
            ask(self._counters, "close")

    def _collect(self, *, is_first: bool) -> Look:
        answer = self._counters
        if not isinstance(answer, Cause):
            answer = ask(answer, "collect")
        engines = _rates(answer)
        if is_first and not isinstance(engines, Cause):
            engines = Cause.FIRST_SAMPLE
        return Look(
            dedicated=_figures(answer, "adapter_dedicated", adapter_bytes),
            shared=_figures(answer, "adapter_shared", adapter_bytes),
            local=_figures(answer, "process_local", process_bytes),
            non_local=_figures(answer, "process_non_local", process_bytes),
            busy=engines if isinstance(engines, Cause) else engines[0],
            running={} if isinstance(engines, Cause) else engines[1],
        )


Engines = tuple[Mapping[int, float], Mapping[int, Mapping[int, ProcessKind]]]


def _rates(answer: Any) -> Engines | Cause:
    array: Any = answer.get("engine") if isinstance(answer, Mapping) else None
    instances, zeros = number(array, "instances"), number(array, "zeros")
    if number(array, "status") in NO_RATE_YET:
        return Cause.FIRST_SAMPLE
    engines = _figures(answer, "engine", engine_percents)
    # Instances none of which has a rate are no idle GPU.
    if not isinstance(engines, Cause) and instances and not (zeros or array.get("items")):
        return Cause.FIRST_SAMPLE
    return engines


def _figures(answer: Any, name: str, parse: Callable[[Any], T]) -> T | Cause:
    if isinstance(answer, Cause):
        return answer
    array: Any = answer.get(name) if isinstance(answer, Mapping) else None
    status = number(array, "status")
    if status is None or status not in EMPTY:
        return cause_of(status)
    return parse(array.get("items"))
