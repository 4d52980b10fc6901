"""The reader of all GPUs on Windows."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from vramline.errors import ReadError
from vramline.machine import Machine
from vramline.readers.causes import LARGEST_COUNT, settle
from vramline.readers.processes import Processes
from vramline.readers.shared_memory import SharedMemory, room
from vramline.readers.unread import unread
from vramline.readers.windows.adapters import Adapter
from vramline.readers.windows.asking import Windows, number
from vramline.readers.windows.counters import Look, SharedCounters
from vramline.readings import (
    Cause,
    GpuProcess,
    GpuReading,
    GpuState,
    MemoryBound,
    MemoryPool,
    ProcessKind,
)

T = TypeVar("T")

HERTZ = 1_000_000
"""In a MHz."""
LARGEST_HERTZ = 10**12
LARGEST_DECICELSIUS = 3000


class WindowsReader:
    """Reads the GPUs that were found when it was opened.

    Whether a GPU sleeps Windows does not tell in any way that is documented for it, so none is
    told to. DXGI and the counters give the memory manager's and the scheduler's own books.
    Its sensors are the driver's, and asking for a temperature has kept NVIDIA's awake by
    another way (https://github.com/seerge/g-helper/issues/5290): so those of a laptop's
    second GPU are asked only while it runs something.
    """

    def __init__(
        self,
        machine: Machine,
        windows: Windows,
        adapters: Sequence[Adapter],
        counters: SharedCounters,
    ) -> None:
        self._windows = windows
        self._adapters = {each.key: each for each in adapters}
        self._counters = counters
        self._shared_memory = SharedMemory(machine)
        self._processes = Processes(machine)
        self._counted: set[int] = set()

    def devices(self) -> Sequence[str]:
        return tuple(self._adapters)

    def describe(self, device: str, cause: Cause) -> GpuReading:
        adapter = self._adapters[device]
        known = settle(GpuReading, {**adapter.known, "memory_pool": adapter.pool})
        return unread(known, GpuState.ACTIVE, cause)

    def arrange(self, readings: Sequence[GpuReading]) -> tuple[GpuReading, ...]:
        return tuple(readings)

    def close(self) -> None:
        self._counters.close()

    def read(self, device: str) -> Sequence[GpuReading]:
        adapter, look = self._adapters[device], self._counters.look()
        self._check_still_there(adapter, look)
        is_counted = self._is_counted(adapter, look)
        busy = _of(look.busy, adapter.luid, 0.0 if is_counted else Cause.NOT_SUPPORTED)
        figures = {
            **adapter.known,
            **self._memory(adapter, look),
            **self._sensors(adapter, busy),
            "utilization_percent": busy,
            "memory_utilization_percent": Cause.NOT_SUPPORTED,
            "power_watts": Cause.NOT_SUPPORTED,
            "power_limit_watts": Cause.NOT_SUPPORTED,
            "throttle": Cause.NOT_SUPPORTED,
        }
        figures["processes"] = self._holders(adapter, look, figures["memory_total_bytes"])
        return [settle(GpuReading, figures)]

    def _is_counted(self, adapter: Adapter, look: Look) -> bool:
        return not isinstance(look.dedicated, Cause) and adapter.luid in look.dedicated

    def _check_still_there(self, adapter: Adapter, look: Look) -> None:
        """Raise ``ReadError`` where Windows has given the GPU another LUID, or none.

        As after a new driver, or when a GPU in a box of its own is pulled out.
        """
        if self._is_counted(adapter, look):
            self._counted.add(adapter.luid)
            return
        was_counted = adapter.luid in self._counted and not isinstance(look.dedicated, Cause)
        if was_counted and not self._windows.has(adapter.luid):
            raise ReadError(f"the GPU {adapter.key} is not where it was: all are looked for anew")

    def _memory(self, adapter: Adapter, look: Look) -> dict[str, object]:
        if adapter.pool is MemoryPool.UNIFIED:
            used = _of(look.shared, adapter.luid, Cause.NOT_SUPPORTED)
            left = room(adapter.shared_bytes, used)
            return self._shared_memory.figures({MemoryBound.SHARED_LIMIT: left})
        total, used = adapter.own_bytes, _of(look.dedicated, adapter.luid, Cause.NOT_SUPPORTED)
        most = LARGEST_COUNT if isinstance(total, Cause) else total
        if not isinstance(used, Cause) and used > most:
            used = Cause.GARBLED
        return {
            "memory_pool": MemoryPool.VRAM,
            "memory_total_bytes": total,
            "memory_used_bytes": used,
            "memory_free_bytes": room(total, used),
            "memory_reserved_bytes": Cause.NOT_SUPPORTED,
        }

    def _sensors(self, adapter: Adapter, busy: float | Cause) -> dict[str, object]:
        if adapter.may_sleep and (isinstance(busy, Cause) or busy <= 0):
            names = ("temperature_celsius", "fan_percent", "clock_mhz", "memory_clock_mhz")
            return dict.fromkeys(names, Cause.ASLEEP)
        present = self._windows.present(adapter.luid)
        performance, engine, limits = (
            present.get(name) for name in ("performance", "engine", "limits")
        )
        temperature = _plausible(number(performance, "temperature"), LARGEST_DECICELSIUS)
        clock = _plausible(number(engine, "frequency"), LARGEST_HERTZ)
        memory_clock = _plausible(number(performance, "memory_frequency"), LARGEST_HERTZ)
        return {
            "temperature_celsius": _divided(temperature, 10),
            "fan_percent": _fan_percent(
                number(performance, "fan_rpm"), number(limits, "max_fan_rpm")
            ),
            "clock_mhz": _divided(clock, HERTZ),
            "memory_clock_mhz": _divided(memory_clock, HERTZ),
        }

    def _holders(
        self, adapter: Adapter, look: Look, total: object
    ) -> tuple[GpuProcess, ...] | Cause:
        """Return the processes that hold memory or run something, by pid."""
        held = _held(adapter, look)
        if not isinstance(held, Cause) and not self._is_counted(adapter, look):
            held = Cause.NOT_SUPPORTED
        if isinstance(held, Cause):
            return held
        running = look.running.get(adapter.luid, {})
        most = total if type(total) is int else LARGEST_COUNT
        return tuple(
            self._process(pid, held.get(pid, 0), most, running.get(pid))
            for pid in sorted({*held, *running})
        )

    def _process(self, pid: int, held: int, most: int, kind: ProcessKind | None) -> GpuProcess:
        who = self._processes.identify(pid)
        return GpuProcess(
            pid=pid,
            start_time=who.start_time,
            name=who.name,
            user=who.user,
            # After a sleep Windows may count without end, and then it is more than there is.
            memory_bytes=held if held <= most else None,
            # On Windows nearly every window holds some: who runs nothing now most likely draws.
            kind=kind or ProcessKind.GRAPHICS,
        )


def _of(values: Mapping[int, T] | Cause, luid: int, otherwise: T | Cause) -> T | Cause:
    return values if isinstance(values, Cause) else values.get(luid, otherwise)


def _held(adapter: Adapter, look: Look) -> Mapping[int, int] | Cause:
    """Return what each process holds of the memory that a model would be loaded into."""
    nothing: Mapping[int, int] = {}
    local = _of(look.local, adapter.luid, nothing)
    if adapter.pool is MemoryPool.VRAM or isinstance(local, Cause):
        return local
    non_local = _of(look.non_local, adapter.luid, nothing)
    if isinstance(non_local, Cause):
        return non_local
    return {pid: local.get(pid, 0) + non_local.get(pid, 0) for pid in {*local, *non_local}}


def _plausible(value: int | None, most: int) -> int | Cause:
    """Return the value. Zero is what a driver says that has no sensor."""
    if not value:
        return Cause.NOT_SUPPORTED
    return value if value <= most else Cause.GARBLED


def _divided(value: int | Cause, by: int) -> float | Cause:
    return value if isinstance(value, Cause) else value / by


def _fan_percent(rpm: int | None, most: int | None) -> float | Cause:
    """Return how fast the fan turns. One that stands still is at zero, and has a most."""
    if rpm is None or not most:
        return Cause.NOT_SUPPORTED
    return min(100.0 * rpm / most, 100.0)
