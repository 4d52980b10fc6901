"""What Linux tells of the whole machine, in ``/proc``.

https://docs.kernel.org/filesystems/proc.html
https://docs.kernel.org/accounting/psi.html
"""

from vramline.machine import Machine
from vramline.readers.causes import LARGEST_COUNT, all_known, count, read_text
from vramline.readers.host.cgroups import Ancestry, cpu_quota
from vramline.readers.host.cpu import CpuTimes
from vramline.readers.host.memory import SystemMemory, difference
from vramline.readings import Cause
from vramline.units import KIB

MOST_PROCESSORS = 2**16
"""Eight times what any kernel can be built for: a longer list is no list."""

_PRESSURES = (("cpu", ("some",)), ("memory", ("some", "full")), ("io", ("some", "full")))


def cpu_times(machine: Machine) -> CpuTimes | Cause:
    """Return the counters of all processors together, in clock ticks."""
    text = read_text(machine, "/proc/stat")
    if isinstance(text, Cause):
        return text
    label, *columns = text.partition("\n")[0].split()[:9] or [""]
    ticks = all_known(count(column) for column in columns)
    if label != "cpu" or isinstance(ticks, Cause) or len(ticks) < 4:
        return Cause.GARBLED
    total = sum(ticks)
    if total == 0:
        # gVisor has the file, and counts nothing:
        # https://github.com/google/gvisor/blob/master/pkg/sentry/fsimpl/proc/tasks_files.go
        return Cause.NOT_SUPPORTED
    # The columns: user, nice, system, idle, iowait, irq, softirq, steal. Of the two
    # after them, guest is in user already. Waiting for a disk is idling.
    return CpuTimes(busy=total - sum(ticks[3:5]), total=total)


def system_memory(machine: Machine) -> SystemMemory:
    """Return the memory of the whole machine, whatever cgroups allow of it."""
    text = read_text(machine, "/proc/meminfo")
    if isinstance(text, Cause):
        return SystemMemory(
            total_bytes=text, available_bytes=text, swap_total_bytes=text, swap_used_bytes=text
        )
    swap_total = _bytes(text, "SwapTotal")
    return SystemMemory(
        total_bytes=_bytes(text, "MemTotal"),
        available_bytes=_available(text),
        swap_total_bytes=swap_total,
        swap_used_bytes=difference(swap_total, _bytes(text, "SwapFree")),
    )


def _available(meminfo: str) -> int | Cause:
    told = _bytes(meminfo, "MemAvailable")
    if told is not Cause.NOT_SUPPORTED:
        return told
    # Kernels before 3.14, and some sandboxes, leave the estimate to the reader: what
    # is free, and the caches that can be dropped. Shared memory is among the cached
    # and cannot be.
    names = ("MemFree", "Cached", "SReclaimable", "Shmem")
    parts = all_known(_bytes(meminfo, name) for name in names)
    return parts if isinstance(parts, Cause) else max(0, sum(parts[:3]) - parts[3])


def _bytes(meminfo: str, name: str) -> int | Cause:
    _, found, rest = f"\n{meminfo}".partition(f"\n{name}:")
    if not found:
        # Every kernel tells MemTotal: without it this is no meminfo at all.
        return Cause.NOT_SUPPORTED if "MemTotal:" in meminfo else Cause.GARBLED
    kibibytes = count(rest.partition("\n")[0].removesuffix(" kB"))
    if isinstance(kibibytes, Cause):
        return kibibytes
    return kibibytes * KIB if kibibytes <= LARGEST_COUNT // KIB else Cause.GARBLED


def cores(machine: Machine, found: Ancestry | Cause) -> float | Cause:
    """Return how many processors the process may use: what its affinity and quotas leave."""
    if isinstance(found, Cause):
        return found
    allowed = _affinity(machine)
    quota = cpu_quota(machine, found.cpu)
    least = all_known([allowed, quota])
    return least if isinstance(least, Cause) else float(min(least))


def _affinity(machine: Machine) -> int | Cause:
    text = read_text(machine, f"/proc/{machine.process}/status")
    if isinstance(text, Cause):
        return text
    ranges = text.partition("\nCpus_allowed_list:")[2].partition("\n")[0]
    sizes = all_known(_size(part) for part in ranges.split(","))
    if isinstance(sizes, Cause):
        return sizes
    return sum(sizes) if sum(sizes) <= MOST_PROCESSORS else Cause.GARBLED


def _size(part: str) -> int | Cause:
    """Return how many processors ``4`` or ``4-7`` names."""
    first, _, last = part.partition("-")
    ends = all_known([count(first), count(last or first)])
    if isinstance(ends, Cause):
        return ends
    return ends[1] - ends[0] + 1 if ends[0] <= ends[1] else Cause.GARBLED


def pressure(machine: Machine) -> dict[str, object]:
    """Return the pressure fields of a reading. A figure that is not known is its cause."""
    figures: dict[str, object] = {}
    for resource, kinds in _PRESSURES:
        text = read_text(machine, f"/proc/pressure/{resource}")
        for kind in kinds:
            figures[f"pressure_{resource}_{kind}_percent"] = _average(text, kind)
    return figures


def _average(text: str | Cause, kind: str) -> float | Cause:
    if isinstance(text, Cause):
        return text
    figure = f"\n{text}".partition(f"\n{kind} avg10=")[2].partition(" ")[0]
    try:
        percent = float(figure)
    except ValueError:
        return Cause.GARBLED
    return percent if 0 <= percent <= 100 else Cause.GARBLED
