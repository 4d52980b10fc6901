"""What NVML is asked of a GPU, as a table, and how each of its rows is asked.

A row has one or more ways, newest first. A way that the driver does not have is
not tried again until the driver is opened anew.

https://docs.nvidia.com/deploy/nvml-api/group__nvmlDeviceQueries.html
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any

from vramline.errors import ReadError
from vramline.readers.nvidia.errors import (
    ENDS_SESSION,
    FOR_GOOD,
    FUNCTION_NOT_FOUND,
    INVALID_ARGUMENT,
    UNINITIALIZED,
    cause_of,
    why_closed,
)
from vramline.readers.pci import normal_address
from vramline.readings import Cause

Values = tuple[Any, ...]


class GpuLostError(Exception):
    """The device fell off the bus in the middle of a reading."""


class StaleHandleError(Exception):
    """The handle that has answered before is of a session that somebody else has ended."""


class SessionGoneError(ReadError):
    """Somebody else has shut NVML down. Nothing is left of our session to be shut."""


def check_gone(code: int) -> None:
    """Raise for an NVML error code that says that the GPU, or the whole driver, is gone."""
    if code == UNINITIALIZED:
        raise SessionGoneError(why_closed(code))
    if code in ENDS_SESSION:
        raise ReadError(why_closed(code))
    if cause_of(code) is Cause.LOST:
        raise GpuLostError


@dataclass(frozen=True, slots=True)
class Way:
    """One function that tells a row's values.

    Attributes:
        function: Its name in the module pynvml.
        values: Takes its answer apart, in the order of the row's fields.
        arguments: What comes after the handle: numbers, or names of pynvml's constants.
    """

    function: str
    values: Callable[[Any], Values]
    arguments: tuple[int | str, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """Fields of a reading that one call tells.

    Attributes:
        limits: The lowest and highest value that makes sense.
        static: Whether the answer holds for as long as the driver is open.
    """

    fields: tuple[str, ...]
    ways: tuple[Way, ...]
    limits: tuple[float, float] | None = None
    static: bool = False


class Gauge:
    """One row, as it is asked of one device.

    Attributes:
        settled: The answer, or the cause, that will not change before the driver does.
    """

    __slots__ = ("_answered", "_errors", "_limits", "_static", "_ways", "fields", "settled")

    def __init__(self, row: Row, nvml: ModuleType, *handle: object) -> None:
        self.fields = row.fields
        self._limits = row.limits
        self._static = row.static
        # Where both versions of a function are missing, newer pynvml raises the second,
        # which has no code.
        mismatch = getattr(nvml, "NVMLLibraryMismatchError", nvml.NVMLError)
        self._errors = (nvml.NVMLError, mismatch)
        bound = ((_bind(nvml, way, handle), way.values) for way in row.ways)
        self._ways = tuple((call, values) for call, values in bound if call is not None)
        self._answered = False
        self.settled: Values | Cause | None = None if self._ways else Cause.DRIVER_TOO_OLD

    def ask(self) -> Values | Cause:
        """Return the row's values, or why they are not known.

        Raises ``GpuLostError``, and ``ReadError`` where the whole driver is gone.
        """
        if self.settled is not None:
            return self.settled
        cause = Cause.NOT_SUPPORTED
        for call, values in self._ways:
            try:
                answer = values(call())
            except self._errors as error:
                cause = self._refused(call, getattr(error, "value", FUNCTION_NOT_FOUND))
                continue
            except ValueError:  # text that is none, which pynvml or we could not take apart
                return Cause.GARBLED
            self._answered = True
            if self._limits is not None:
                lowest, highest = self._limits
                for value in answer:
                    if not lowest <= value <= highest:
                        return Cause.GARBLED
            if self._static:
                self.settled = answer
            return answer
        return cause

    def _refused(self, call: Callable[[], Any], code: int) -> Cause:
        check_gone(code)
        if code == INVALID_ARGUMENT and self._answered:
            raise StaleHandleError
        cause = cause_of(code)
        # What has answered before has it: then this is a passing fault.
        if cause in FOR_GOOD and not self._answered:
            self._ways = tuple(way for way in self._ways if way[0] is not call)
            if not self._ways:
                self.settled = cause
        return cause


def _bind(nvml: ModuleType, way: Way, handle: tuple[object, ...]) -> Callable[[], Any] | None:
    names = [name for name in (way.function, *way.arguments) if isinstance(name, str)]
    if not all(hasattr(nvml, name) for name in names):
        return None  # an older pynvml
    arguments = [getattr(nvml, name) if isinstance(name, str) else name for name in way.arguments]
    return partial(getattr(nvml, way.function), *handle, *arguments)


def _text(answer: Any) -> str:
    return answer.decode("utf-8", "replace") if isinstance(answer, bytes) else str(answer)


def _count(answer: Any) -> Values:
    return (int(answer),)


def _number(answer: Any) -> Values:
    return (float(answer),)


def _one_text(answer: Any) -> Values:
    return (_text(answer),)


def _from_milli(answer: int) -> Values:
    return (answer / 1000,)


def _memory_v2(answer: Any) -> Values:
    return answer.total, answer.used, answer.free, answer.reserved


def _memory_v1(answer: Any) -> Values:
    return answer.total, answer.used, answer.free, None


def _utilization(answer: Any) -> Values:
    return float(answer.gpu), float(answer.memory)


def _cuda_version(answer: int) -> Values:
    return (f"{answer // 1000}.{answer % 1000 // 10}",)


def _compute_capability(answer: Sequence[int]) -> Values:
    return (f"{answer[0]}.{answer[1]}",)


THROTTLE_REASONS = {
    0x0004: "power_cap",
    0x0008: "hardware_slowdown",
    0x0010: "sync_boost",
    0x0020: "software_thermal",
    0x0040: "hardware_thermal",
    0x0080: "hardware_power_brake",
}
"""nvmlClocksEventReason bits. Idleness, and clocks that the user chose, hold nothing down."""


def _throttle(answer: int) -> Values:
    return (tuple(name for bit, name in THROTTLE_REASONS.items() if answer & bit),)


def _processes(answer: Sequence[Any]) -> Values:
    return (tuple((process.pid, process.usedGpuMemory) for process in answer),)


SYSTEM = (
    Row(("driver_version",), (Way("nvmlSystemGetDriverVersion", _one_text),), static=True),
    Row(
        ("cuda_version",),
        (
            Way("nvmlSystemGetCudaDriverVersion_v2", _cuda_version),
            Way("nvmlSystemGetCudaDriverVersion", _cuda_version),
        ),
        static=True,
    ),
)

UUID = Row(("uid",), (Way("nvmlDeviceGetUUID", _one_text),), static=True)

IDENTITY = (
    UUID,
    Row(("name",), (Way("nvmlDeviceGetName", _one_text),), static=True),
)

ONLY_GPU = (
    Row(
        ("pci_address",),
        (Way("nvmlDeviceGetPciInfo", lambda answer: (normal_address(_text(answer.busId)),)),),
        static=True,
    ),
    Row(
        ("compute_capability",),
        (Way("nvmlDeviceGetCudaComputeCapability", _compute_capability),),
        static=True,
    ),
    Row(("bus_width",), (Way("nvmlDeviceGetMemoryBusWidth", _count),), (1, 2**16), static=True),
    Row(
        ("highest_memory_clock",),
        (Way("nvmlDeviceGetMaxClockInfo", _count, ("NVML_CLOCK_MEM",)),),
        (1, 1e5),
        static=True,
    ),
    Row(
        ("utilization_percent", "memory_utilization_percent"),
        (Way("nvmlDeviceGetUtilizationRates", _utilization),),
        (0, 100),
    ),
    Row(
        ("temperature_celsius",),
        (
            Way("nvmlDeviceGetTemperatureV", _number, ("NVML_TEMPERATURE_GPU",)),
            Way("nvmlDeviceGetTemperature", _number, ("NVML_TEMPERATURE_GPU",)),
        ),
        (-100, 250),
    ),
    Row(("power_watts",), (Way("nvmlDeviceGetPowerUsage", _from_milli),), (0, 1e5)),
    Row(
        ("power_limit_watts",),
        (
            Way("nvmlDeviceGetEnforcedPowerLimit", _from_milli),
            Way("nvmlDeviceGetPowerManagementLimit", _from_milli),
        ),
        (0, 1e5),
    ),
    Row(("clock_mhz",), (Way("nvmlDeviceGetClockInfo", _number, ("NVML_CLOCK_SM",)),), (0, 1e5)),
    Row(
        ("memory_clock_mhz",),
        (Way("nvmlDeviceGetClockInfo", _number, ("NVML_CLOCK_MEM",)),),
        (0, 1e5),
    ),
    # NVIDIA says of it that it may pass 100 for a moment.
    Row(
        ("fan_percent",),
        (Way("nvmlDeviceGetFanSpeed", lambda answer: (min(float(answer), 100.0),)),),
        (0, 100),
    ),
    Row(
        ("throttle",),
        (
            Way("nvmlDeviceGetCurrentClocksEventReasons", _throttle),
            Way("nvmlDeviceGetCurrentClocksThrottleReasons", _throttle),
        ),
    ),
)

MEMORY = Row(
    ("memory_total_bytes", "memory_used_bytes", "memory_free_bytes", "memory_reserved_bytes"),
    (
        Way("nvmlDeviceGetMemoryInfo", _memory_v2, ("nvmlMemory_v2",)),
        Way("nvmlDeviceGetMemoryInfo", _memory_v1),
    ),
)

COMPUTE_PROCESSES = Row(
    ("compute",),
    (
        Way("nvmlDeviceGetComputeRunningProcesses_v3", _processes),
        Way("nvmlDeviceGetComputeRunningProcesses_v2", _processes),
        Way("nvmlDeviceGetComputeRunningProcesses", _processes),
    ),
)
GRAPHICS_PROCESSES = Row(
    ("graphics",),
    (
        Way("nvmlDeviceGetGraphicsRunningProcesses_v3", _processes),
        Way("nvmlDeviceGetGraphicsRunningProcesses_v2", _processes),
        Way("nvmlDeviceGetGraphicsRunningProcesses", _processes),
    ),
)

MIG_MODE = Row(("mig_mode",), (Way("nvmlDeviceGetMigMode", lambda answer: (answer[0],)),))
MOST_INSTANCES = Row(
    ("most_instances",), (Way("nvmlDeviceGetMaxMigDeviceCount", _count),), (0, 64), static=True
)
INSTANCE = (
    Row(("gpu_instance",), (Way("nvmlDeviceGetGpuInstanceId", _count),), static=True),
    Row(("compute_instance",), (Way("nvmlDeviceGetComputeInstanceId", _count),), static=True),
)
