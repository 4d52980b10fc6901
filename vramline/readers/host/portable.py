"""What psutil tells, on the systems other than Linux.

https://psutil.readthedocs.io/
"""

from collections.abc import Callable
from typing import Any, TypeVar

from vramline.machine import Machine
from vramline.readers.causes import cause_of
from vramline.readers.host.cpu import CpuTimes
from vramline.readers.host.memory import SystemMemory
from vramline.readings import Cause

T = TypeVar("T")

_IDLE = ("idle", "iowait")
# Windows counts these in "system" too.
# https://learn.microsoft.com/windows/win32/api/processthreadsapi/nf-processthreadsapi-getsystemtimes
_COUNTED_TWICE = ("interrupt", "dpc")


def cpu_times(machine: Machine) -> CpuTimes | Cause:
    """Return the counters of all processors together, in seconds."""
    times = _ask(machine, lambda psutil: dict(psutil.cpu_times()._asdict()))
    if isinstance(times, Cause):
        return times
    total = sum(seconds for name, seconds in times.items() if name not in _COUNTED_TWICE)
    return CpuTimes(busy=total - sum(times.get(name, 0.0) for name in _IDLE), total=total)


def system_memory(machine: Machine) -> SystemMemory:
    """Return the memory of the whole machine."""
    memory = _ask(machine, lambda psutil: psutil.virtual_memory())
    swap = _ask(machine, lambda psutil: psutil.swap_memory())
    return SystemMemory(
        total_bytes=memory if isinstance(memory, Cause) else memory.total,
        available_bytes=memory if isinstance(memory, Cause) else memory.available,
        swap_total_bytes=swap if isinstance(swap, Cause) else swap.total,
        swap_used_bytes=swap if isinstance(swap, Cause) else swap.used,
    )


def cores(machine: Machine) -> float | Cause:
    """Return how many processors this process may use."""
    allowed = _ask(machine, _processors)
    if isinstance(allowed, Cause):
        return allowed
    return float(allowed) if allowed else Cause.NOT_SUPPORTED


def _processors(psutil: Any) -> int | None:
    process = psutil.Process()
    if hasattr(process, "cpu_affinity"):
        return len(process.cpu_affinity())
    count: int | None = psutil.cpu_count()
    return count


def _ask(machine: Machine, question: Callable[[Any], T]) -> T | Cause:
    try:
        psutil: Any = machine.library("psutil")
    except (ImportError, NotImplementedError):
        # Nothing was asked, so nothing failed: this installation has no such figures.
        return Cause.NOT_SUPPORTED
    try:
        return question(psutil)
    except (NotImplementedError, AttributeError):
        return Cause.NOT_SUPPORTED
    except psutil.AccessDenied:
        return Cause.NO_PERMISSION
    except OSError as error:
        return cause_of(error)
    except (psutil.Error, RuntimeError, SystemError):
        return Cause.DRIVER_ERROR
