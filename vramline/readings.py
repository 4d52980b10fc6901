"""What was read, as frozen values.

Every module after the readers sees hardware through these and nothing else.
``None`` means not known, zero means measured and zero. A name ends in its unit.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Never, TypeVar

K = TypeVar("K")
V = TypeVar("V")

FORMAT = 1
"""The version of the layout that ``Snapshot.to_dict`` gives."""


class Cause(StrEnum):
    """Why a value is not known."""

    NOT_SUPPORTED = "not_supported"
    """This device or driver does not have the value. Asking again will not help."""
    DRIVER_TOO_OLD = "driver_too_old"
    """The installed driver lacks the function that tells the value."""
    DRIVER_EXPOSES_NOTHING = "driver_exposes_nothing"
    """The driver bound to this device reports no figures at all."""
    NO_PERMISSION = "no_permission"
    """The driver or the system refuses this user, or this container."""
    ASLEEP = "asleep"
    """The device is suspended, and asking would wake it."""
    LOST = "lost"
    """The device fell off the bus, or needs a reset."""
    TIMEOUT = "timeout"
    """The driver did not answer within the deadline."""
    FIRST_SAMPLE = "first_sample"
    """A rate needs two looks, and this was the first."""
    ON_PARENT = "on_parent"
    """Only the GPU as a whole has the value: see the reading named by ``parent_uid``."""
    GARBLED = "garbled"
    """The driver's answer makes no sense, so it is not passed on."""
    DRIVER_ERROR = "driver_error"
    """The driver answered with an error of its own."""


class MemoryPool(StrEnum):
    """Whose memory a model on this device would take."""

    VRAM = "vram"
    """The device's own."""
    GTT = "gtt"
    """The host's, as far as the driver lets the device map it."""
    UNIFIED = "unified"
    """The host's: CPU and GPU share all of it."""


class MemoryBound(StrEnum):
    """What keeps the free memory of a device that shares the host's from being more."""

    HOST = "host"
    """What the host has available."""
    CGROUP = "cgroup"
    """The limit of a cgroup above this process."""
    GTT = "gtt"
    """How much of the host's memory the driver lets the device map."""
    WIRED_LIMIT = "wired_limit"
    """How much of it macOS lets the GPU hold in place."""
    SHARED_LIMIT = "shared_limit"
    """How much of it Windows lends to GPUs."""


class GpuState(StrEnum):
    """Whether the device can be asked."""

    ACTIVE = "active"
    ASLEEP = "asleep"
    LOST = "lost"


class ProcessKind(StrEnum):
    """What a process uses the GPU for."""

    COMPUTE = "compute"
    GRAPHICS = "graphics"
    COMPUTE_AND_GRAPHICS = "compute+graphics"


class FrozenDict(dict[K, V]):
    """A dict that cannot be changed, so that threads may share a reading."""

    def _refuse(self, *_args: object, **_kwargs: object) -> Never:
        raise TypeError("a reading cannot be changed")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def __reduce__(self) -> tuple[type, tuple[dict[K, V]]]:
        return type(self), (dict(self),)


NOTHING_UNKNOWN: Mapping[str, Cause] = FrozenDict()


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuProcess:
    """One process that holds memory on, or runs work on, one GPU.

    Attributes:
        pid: In this system's numbering. From inside a container the driver
            may name processes that cannot be seen, and then only the pid
            and the memory are known.
        start_time: Seconds since the epoch. With the pid it names a process
            for good, as pids are used again.
        memory_bytes: On this GPU. ``None`` where the driver does not tell
            (Windows' display driver model, WSL 2).
        container: The first twelve digits of the container's id.
    """

    pid: int
    start_time: float | None = None
    name: str | None = None
    user: str | None = None
    memory_bytes: int | None = None
    kind: ProcessKind = ProcessKind.COMPUTE
    container: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuReading:
    """One GPU, or one MIG instance of one, as its driver reported it at one moment.

    ``_percent`` runs from 0 to 100.

    Attributes:
        uid: Stays the same across reboots: the GPU's UUID, else its PCI address.
        index: In the vendor's own order, from 0. A MIG instance's is its place
            under its parent.
        pci_address: ``domain:bus:device.function``, in lower case, with a
            domain of four hex digits (more only where the value needs them).
        parent_uid: The GPU that a MIG instance is cut from. Never add the two.
        visible: Whether a CUDA program started with this environment may use it.
        cuda_index: Its number in such a program (``cuda:0``), where it can be told.
        cuda_version: The newest that the driver supports, such as ``"13.0"``.
        memory_pool: Whose memory the four figures below are of. A model is never
            counted against both a unified pool and the host.
        memory_free_bytes: What a new model could take now. Not always total
            minus used: drivers keep a reserve, and page cache can be had back.
        memory_free_bound_by: Which of several limits the free memory comes from,
            on a device that shares the host's. ``None`` on one with its own.
        memory_reserved_bytes: Held by the driver itself, in neither of the
            other two.
        memory_bandwidth_bytes_per_second: At its peak, from the width and the
            highest clock of the memory bus.
        memory_utilization_percent: Of the time, not of the space: how long the
            memory was being read or written.
        power_limit_watts: What is enforced now.
        throttle: Why the clocks are held down at this moment. Empty when they are not.
        processes: ``None`` when the driver does not tell, empty when there are none.
        age_seconds: How long ago this was read. Above zero when the driver did
            not answer in time and this is its last answer.
        unknown: Why each field that is ``None`` is not known.
    """

    uid: str
    vendor: str
    name: str | None = None
    index: int | None = None
    pci_address: str | None = None
    parent_uid: str | None = None
    visible: bool = True
    cuda_index: int | None = None
    state: GpuState = GpuState.ACTIVE
    driver_version: str | None = None
    cuda_version: str | None = None
    compute_capability: str | None = None
    memory_pool: MemoryPool = MemoryPool.VRAM
    memory_total_bytes: int | None = None
    memory_used_bytes: int | None = None
    memory_free_bytes: int | None = None
    memory_free_bound_by: MemoryBound | None = None
    memory_reserved_bytes: int | None = None
    memory_bandwidth_bytes_per_second: int | None = None
    utilization_percent: float | None = None
    memory_utilization_percent: float | None = None
    temperature_celsius: float | None = None
    power_watts: float | None = None
    power_limit_watts: float | None = None
    clock_mhz: float | None = None
    memory_clock_mhz: float | None = None
    fan_percent: float | None = None
    throttle: tuple[str, ...] | None = None
    processes: tuple[GpuProcess, ...] | None = None
    age_seconds: float = 0.0
    unknown: Mapping[str, Cause] = NOTHING_UNKNOWN

    @property
    def is_silent(self) -> bool:
        """Whether the driver bound to the GPU tells no figures of it, asleep or awake."""
        return Cause.DRIVER_EXPOSES_NOTHING in self.unknown.values()


@dataclass(frozen=True, slots=True, kw_only=True)
class HostReading:
    """The machine's processors and memory, as this process may use them.

    Pressure is the share of the last ten seconds in which some, or all, of the
    tasks that could have run were held up (Linux's PSI).

    Attributes:
        cpu_percent: Of all processors together, since the look before.
        cores: How many this process may use, by its affinity and its cgroups'
            quotas. Not always a whole number.
        memory_available_bytes: What a new process could take here without
            swapping: the least of what the system has and what each cgroup
            above this process leaves. Page cache counts as available.
        available_source: The cgroup that leaves the least, where that is less
            than the system has.
        memory_used_bytes: Of the whole machine: total minus what the system has
            available.
        memory_percent: How full memory is, of the machine or of the cgroup that
            is nearest to its limit, whichever is fuller.
        memory_limit_bytes: The lowest limit that a cgroup sets, where one lies
            below the machine's total.
        limit_source: The cgroup that sets it.
        unknown: Why each field that is ``None`` is not known.
    """

    cpu_percent: float | None = None
    cores: float | None = None
    memory_total_bytes: int | None = None
    memory_available_bytes: int | None = None
    available_source: str | None = None
    memory_used_bytes: int | None = None
    memory_percent: float | None = None
    memory_limit_bytes: int | None = None
    limit_source: str | None = None
    swap_total_bytes: int | None = None
    swap_used_bytes: int | None = None
    pressure_cpu_some_percent: float | None = None
    pressure_memory_some_percent: float | None = None
    pressure_memory_full_percent: float | None = None
    pressure_io_some_percent: float | None = None
    pressure_io_full_percent: float | None = None
    unknown: Mapping[str, Cause] = NOTHING_UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The whole machine at one moment.

    Attributes:
        taken_at: In UTC.
        gpus: Every GPU of every vendor; a GPU's MIG instances follow it.
        absent: Of each vendor that this system could have, why nothing is here.
        failures: Of each vendor that is here, what went wrong this time.
        format: The version of the layout that ``to_dict`` gives.
    """

    taken_at: datetime
    host: HostReading
    gpus: tuple[GpuReading, ...] = ()
    absent: Mapping[str, str] = FrozenDict()
    failures: Mapping[str, str] = FrozenDict()
    format: int = FORMAT

    def to_dict(self) -> dict[str, Any]:
        """Return the same as plain dicts, lists, strings and numbers, ready for JSON.

        Not known is ``None``, and ``taken_at`` is ISO 8601 in UTC.
        """
        plain: dict[str, Any] = _plain(self)
        return {"format": plain.pop("format"), **plain}


def _plain(value: Any) -> Any:
    if isinstance(value, GpuReading | GpuProcess | HostReading | Snapshot):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return str(value) if isinstance(value, StrEnum) else value
