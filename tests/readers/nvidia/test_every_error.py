import time
from collections.abc import Callable
from dataclasses import fields

import pynvml
import pytest

from tests.readers.nvidia.machines import machine
from tests.standin import StandIn
from vramline.errors import ReadError, ReaderUnavailableError
from vramline.readers.nvidia import gauges, open_reader
from vramline.readers.nvidia.errors import ENDS_SESSION, FOR_GOOD, UNINITIALIZED, cause_of
from vramline.readers.nvidia.gauges import Row
from vramline.readings import GpuReading
from vramline.sampler.guard import GuardedReader
from vramline.sampler.rounds import Deadlines

PATIENT = Deadlines(opening_seconds=60, reading_seconds=60)
CODES = sorted(
    value
    for name, value in vars(pynvml).items()
    if name.startswith("NVML_ERROR_") and isinstance(value, int) and value > 0
)
ROWS = [
    row
    for part in vars(gauges).values()
    for row in (part if isinstance(part, tuple) else (part,))
    if isinstance(row, Row)
]
EXPORTED = {
    "nvmlInit": "nvmlInit",
    "nvmlDeviceGetCount": "nvmlDeviceGetCount_v2",
    "nvmlDeviceGetHandleByIndex": "nvmlDeviceGetHandleByIndex_v2",
    "nvmlDeviceGetPciInfo": "nvmlDeviceGetPciInfo_v3",
    "nvmlDeviceGetMemoryInfo": "nvmlDeviceGetMemoryInfo*",
}
CALLED = {way.function for row in ROWS for way in row.ways} | {
    "nvmlInit",
    "nvmlShutdown",
    "nvmlDeviceGetCount",
    "nvmlDeviceGetHandleByIndex",
    "nvmlDeviceGetMigDeviceHandleByIndex",
}
FUNCTIONS = sorted(EXPORTED.get(name, name) for name in CALLED)

MACHINE = """
gpus 3
gpu 0 process compute pid=4194401 memory=1048576
gpu 2 mig 0 process compute pid=4194402 memory=1048576
"""


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def read_all(guard: GuardedReader) -> dict[str, GpuReading]:
    until = time.monotonic() + 30
    while not (readings := guard.read().readings) and time.monotonic() < until:
        pass  # the session that failed is still being closed
    return {gpu.uid: gpu for gpu in readings}


def assert_true_to(baseline: GpuReading, gpu: GpuReading) -> None:
    """Hold that each field is as it was, or is not known and says why."""
    for field in fields(GpuReading):
        value = getattr(gpu, field.name)
        if value is None and getattr(baseline, field.name) is not None:
            assert field.name in gpu.unknown or field.name == "cuda_index"
        elif field.name not in LOOSE:
            assert value == getattr(baseline, field.name), field.name
    if gpu.memory_pool is baseline.memory_pool and gpu.memory_total_bytes is not None:
        assert gpu.memory_total_bytes == baseline.memory_total_bytes
        assert gpu.memory_free_bytes == baseline.memory_free_bytes
    assert gpu.processes is None or gpu.processes in ((), baseline.processes)


LOOSE = (
    "uid",
    "unknown",
    "state",
    "visible",
    "cuda_index",
    "memory_used_bytes",  # NVML's older call counts the driver's reserve as used
    "memory_pool",  # where NVML does not support the question it is the host's
    "memory_total_bytes",
    "memory_free_bytes",
    "memory_free_bound_by",
    "processes",  # of a driver that has but one of the two lists it is that one's
)


@pytest.fixture(scope="module")
def baseline(loaded_standin: StandIn) -> dict[str, GpuReading]:
    loaded_standin.load(MACHINE)
    guard = guarded(Clock())
    readings = read_all(guard)
    guard.close()
    assert len(readings) == 4
    return readings


def guarded(clock: Clock) -> GuardedReader:
    at = machine()
    return GuardedReader(
        lambda: open_reader(at, clock=clock), name="matrix", deadlines=PATIENT, clock=clock
    )


Baseline = dict[str, GpuReading]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_an_error_of_one_gpu_from_the_start_leaves_the_others_right(
    nvml: StandIn, baseline: Baseline, function: str
) -> None:
    first, second = list(baseline)[:2]
    for code in CODES:
        nvml.load(f"{MACHINE}on {function} gpu=1 error={code}\n")
        guard = guarded(Clock())

        report = guard.read()

        readings = {gpu.index: gpu for gpu in report.readings if gpu.parent_uid is None}
        if report.failure is None:
            assert_true_to(baseline[first], readings[0])
            assert readings[0].memory_used_bytes == baseline[first].memory_used_bytes
            assert_true_to(baseline[second], readings[1])
        else:
            assert code in ENDS_SESSION
        guard.close()
        if code == UNINITIALIZED and nvml.initialised:
            pynvml.nvmlShutdown()  # what answers so is taken to be shut by somebody else
        assert nvml.initialised == 0 or function == "nvmlShutdown"


@pytest.mark.parametrize("function", FUNCTIONS)
def test_an_error_in_the_midst_leaves_the_others_right_and_passes_without_a_restart(
    nvml: StandIn, baseline: Baseline, function: str
) -> None:
    clock = Clock()
    first, second = list(baseline)[:2]
    for code in CODES:
        nvml.load(MACHINE)
        guard = guarded(clock)
        assert read_all(guard) == baseline
        nvml.load(f"{MACHINE}on {function} gpu=1 error={code}\n")
        report = guard.read()
        during = {gpu.uid: gpu for gpu in report.readings}
        if report.failure is None:
            assert during[first] == baseline[first]
            assert_true_to(baseline[second], during[second])
        else:
            assert code in ENDS_SESSION
        nvml.load(f"{MACHINE}on {function} error={code}\n")
        guard.read()
        clock.now += 1
        guard.read()
        nvml.load(MACHINE)
        clock.now += 60

        assert read_all(guard) == baseline, (function, code)
        guard.close()


HASTY = Deadlines(opening_seconds=0.4, reading_seconds=0.1)
OF_A_GPU = [name for name in FUNCTIONS if name.startswith("nvmlDevice") and "Count" not in name]


@pytest.mark.parametrize("function", OF_A_GPU)
def test_a_hang_of_one_gpu_leaves_the_others_right_and_passes_without_a_restart(
    nvml: StandIn, baseline: Baseline, function: str
) -> None:
    at = machine()
    guard = GuardedReader(lambda: open_reader(at), name="matrix", deadlines=HASTY)
    nvml.load(f"{MACHINE}on {function} gpu=1 hang\n")
    first, _, *rest = list(baseline)

    early = {gpu.uid: gpu for gpu in guard.read().readings}
    nvml.load(MACHINE)
    while {gpu.uid: gpu for gpu in guard.read().readings} != baseline:
        pass
    nvml.load(f"{MACHINE}on {function} gpu=1 hang\n")
    late = {gpu.uid: gpu for gpu in guard.read().readings}
    nvml.load(MACHINE)
    while {gpu.uid: gpu for gpu in guard.read().readings} != baseline:
        pass
    guard.close()
    nvml.await_closed()

    for readings in (early, late):
        assert readings[first].memory_used_bytes == baseline[first].memory_used_bytes
        assert {uid: readings[uid].memory_used_bytes for uid in rest} == {
            uid: baseline[uid].memory_used_bytes for uid in rest
        }


@pytest.mark.parametrize("function", FUNCTIONS)
def test_an_error_of_all_from_the_start_is_told_and_never_raised(
    nvml: StandIn, baseline: Baseline, function: str
) -> None:
    for code in CODES:
        nvml.load(f"{MACHINE}on {function} error={code}\n")
        clock = Clock()
        guard = guarded(clock)

        report = guard.read()

        whole = {gpu.uid: gpu for gpu in report.readings}
        assert report.absent or report.failure or len(whole) >= 3
        if not (report.absent or report.failure) and cause_of(code) not in FOR_GOOD:
            nvml.load(MACHINE)
            clock.now += 60
            assert read_all(guard) == baseline, (function, code)
        guard.close()


def outcome(open_it: Callable[[], object]) -> str:
    try:
        open_it()
    except (ReadError, ReaderUnavailableError) as error:
        return type(error).__name__
    return "open"


def test_every_error_of_nvml_init_is_one_of_ours(nvml: StandIn) -> None:
    outcomes = set()
    for code in CODES:
        nvml.load(f"on nvmlInit error={code}\n")
        outcomes.add((outcome(lambda: open_reader(machine())), nvml.initialised))

    assert outcomes == {("ReadError", 0), ("ReaderUnavailableError", 0)}
