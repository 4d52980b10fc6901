from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pynvml
import pytest

from tests.readers.nvidia.machines import AVAILABLE, HOST, TOTAL, machine, on_bus
from tests.standin import SOURCES, StandIn, build, run_python, write_script
from vramline.errors import ReadError, ReaderUnavailableError
from vramline.machine import Machine, RecordedMachine
from vramline.readers.base import GpuReader
from vramline.readers.nvidia import open_reader
from vramline.readers.unread import MOMENTARY
from vramline.readings import (
    Cause,
    FrozenDict,
    GpuProcess,
    GpuReading,
    GpuState,
    MemoryBound,
    MemoryPool,
    ProcessKind,
)
from vramline.units import GIB, MIB

MACHINES = SOURCES / "machines"
TWO_GPUS = (MACHINES / "two_gpus.txt").read_text()
UID = "GPU-00000000-0000-4000-8000-00000000000{}"
ADDRESS = "0000:0{}:00.0"
CHECKOUT = Path(__file__).resolve().parents[3]


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


OpenReader = Callable[..., GpuReader]


@pytest.fixture
def opened(nvml: StandIn, clock: Clock) -> Iterator[OpenReader]:
    readers = []

    def make(at: Machine | None = None) -> GpuReader:
        readers.append(open_reader(at or machine(), clock=clock))
        return readers[-1]

    yield make
    for reader in readers:
        reader.close()


def read_all(reader: GpuReader) -> list[GpuReading]:
    readings = [gpu for device in reader.devices() for gpu in reader.read(device)]
    return list(reader.arrange(readings))


def healthy(index: int = 0, **changes: object) -> GpuReading:
    """What the first of the stand-in's two GPUs reads, with nothing running on it."""
    gpu = GpuReading(
        uid=UID.format(index),
        vendor="nvidia",
        name="NVIDIA RTX 6000 Ada Generation",
        index=index,
        pci_address=ADDRESS.format(index + 1),
        cuda_index=index,
        driver_version="580.65.06",
        cuda_version="13.0",
        compute_capability="8.9",
        memory_total_bytes=51527024640,
        memory_used_bytes=2 * GIB,
        memory_free_bytes=51527024640 - 2 * GIB - 600 * MIB,
        memory_reserved_bytes=600 * MIB,
        memory_bandwidth_bytes_per_second=10001 * 1_000_000 * 2 * 384 // 8,
        utilization_percent=25.0,
        memory_utilization_percent=10.0,
        temperature_celsius=45.0,
        power_watts=75.0,
        power_limit_watts=300.0,
        clock_mhz=1800.0,
        memory_clock_mhz=10001.0,
        fan_percent=30.0,
        throttle=(),
        processes=(),
    )
    return replace(gpu, **changes)  # type: ignore[arg-type]


def without(gpu: GpuReading, cause: Cause, *fields: str, **changes: object) -> GpuReading:
    unknown = FrozenDict({**gpu.unknown, **dict.fromkeys(fields, cause)})
    return replace(gpu, **dict.fromkeys(fields), unknown=unknown, **changes)  # type: ignore[arg-type]


def test_two_gpus_are_read_exactly(opened: OpenReader) -> None:
    first = healthy(
        processes=(
            GpuProcess(pid=4194401, memory_bytes=1536 * MIB),
            GpuProcess(pid=4194402, memory_bytes=256 * MIB, kind=ProcessKind.GRAPHICS),
        )
    )
    second = healthy(
        1,
        memory_used_bytes=20 * GIB,
        memory_free_bytes=51527024640 - 20 * GIB - 600 * MIB,
        utilization_percent=75.0,
        temperature_celsius=61.0,
        power_watts=243.5,
    )

    assert read_all(opened()) == [first, second]


def test_one_session_serves_every_reading(nvml: StandIn, opened: OpenReader) -> None:
    reader = opened()

    for _ in range(5):
        read_all(reader)

    assert nvml.initialised == 1
    assert nvml.calls("nvmlInit") == 1


def test_closing_ends_the_session_of_this_reader_and_no_other(
    nvml: StandIn, opened: OpenReader
) -> None:
    pynvml.nvmlInit()
    reader = opened()

    reader.close()

    assert nvml.initialised == 1


def test_what_holds_for_the_session_is_asked_once(nvml: StandIn, opened: OpenReader) -> None:
    reader = opened()

    for _ in range(5):
        read_all(reader)

    assert nvml.calls("nvmlDeviceGetName") == 2
    assert nvml.calls("nvmlDeviceGetUUID") == 2
    assert nvml.calls("nvmlDeviceGetMemoryBusWidth") == 2


def test_a_metric_that_is_not_supported_is_asked_once(nvml: StandIn, opened: OpenReader) -> None:
    nvml.load("gpu 0 fan_speed unsupported\n")
    reader = opened()

    readings = [read_all(reader) for _ in range(5)]

    assert readings == [[without(healthy(), Cause.NOT_SUPPORTED, "fan_percent")]] * 5
    assert nvml.calls("nvmlDeviceGetFanSpeed") == 1


def test_a_metric_that_has_answered_is_asked_again_after_a_fault(
    nvml: StandIn, opened: OpenReader
) -> None:
    reader = opened()
    nvml.load("")
    read_all(reader)
    nvml.load("on nvmlDeviceGetFanSpeed error=3\n")

    assert read_all(reader)[0].fan_percent is None
    nvml.load("")
    assert read_all(reader)[0].fan_percent == 30.0


def test_an_older_drivers_memory_call_counts_the_reserve_as_used(
    nvml: StandIn, opened: OpenReader
) -> None:
    nvml.load("on nvmlDeviceGetMemoryInfo_v2 error=13\n")

    expected = without(
        healthy(memory_used_bytes=2 * GIB + 600 * MIB),
        Cause.DRIVER_TOO_OLD,
        "memory_reserved_bytes",
    )
    assert read_all(opened()) == [expected]


@pytest.mark.parametrize(
    ("newer", "older"),
    [
        ("nvmlDeviceGetTemperatureV", "nvmlDeviceGetTemperature"),
        ("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons"),
        ("nvmlSystemGetCudaDriverVersion_v2", "nvmlSystemGetCudaDriverVersion"),
        ("nvmlDeviceGetEnforcedPowerLimit", "nvmlDeviceGetPowerManagementLimit"),
        (
            "nvmlDeviceGetComputeRunningProcesses_v3",
            "nvmlDeviceGetComputeRunningProcesses_v2",
        ),
        (
            "nvmlDeviceGetGraphicsRunningProcesses_v3",
            "nvmlDeviceGetGraphicsRunningProcesses_v2",
        ),
    ],
)
def test_the_older_call_serves_where_the_newer_is_missing(
    nvml: StandIn, opened: OpenReader, newer: str, older: str
) -> None:
    nvml.load(f"on {newer} error=13\n")
    reader = opened()

    assert read_all(reader) == [healthy()]
    assert read_all(reader) == [healthy()]
    assert nvml.calls(newer) == 1
    assert nvml.calls(older) >= 1


@pytest.mark.parametrize("total", ["unsupported", "0", str(TOTAL)])
def test_unified_memory_is_what_the_host_has_available(
    nvml: StandIn, opened: OpenReader, total: str
) -> None:
    nvml.load(f"gpu 0 memory_total {total}\ngpu 0 memory_used 0\ngpu 0 memory_reserved 0\n")

    expected = without(
        healthy(
            memory_pool=MemoryPool.UNIFIED,
            memory_total_bytes=TOTAL,
            memory_used_bytes=TOTAL - AVAILABLE,
            memory_free_bytes=AVAILABLE,
            memory_free_bound_by=MemoryBound.HOST,
        ),
        Cause.NOT_SUPPORTED,
        "memory_reserved_bytes",
    )
    assert read_all(opened()) == [expected]


def test_unified_memory_is_cut_by_the_cgroups_limit(nvml: StandIn, opened: OpenReader) -> None:
    nvml.load("gpu 0 memory_total unsupported\n")
    cgroup = {
        "/sys/fs/cgroup/memory.max": f"{8 * GIB}\n",
        "/sys/fs/cgroup/memory.current": f"{3 * GIB}\n",
        "/sys/fs/cgroup/memory.stat": f"inactive_file {GIB}\nslab_reclaimable 0\n",
    }

    (gpu,) = read_all(opened(machine(cgroup)))

    assert (gpu.memory_total_bytes, gpu.memory_free_bytes) == (TOTAL, 6 * GIB)


def test_a_lost_gpu_says_so_and_the_other_stays_right(nvml: StandIn, opened: OpenReader) -> None:
    nvml.load("gpus 2\n")
    reader = opened()
    read_all(reader)
    nvml.load("gpus 2\non * gpu=1 error=15\n")

    lost = without(healthy(1), Cause.LOST, *MOMENTARY, state=GpuState.LOST)
    assert read_all(reader) == [healthy(), lost]


def test_a_gpu_that_comes_back_is_read_without_a_restart(nvml: StandIn, opened: OpenReader) -> None:
    nvml.load("gpus 2\non * gpu=1 error=15\n")
    reader = opened()
    read_all(reader)
    nvml.load("gpus 2\n")

    assert read_all(reader) == [healthy(), healthy(1)]


def test_with_a_lost_gpu_nvml_is_opened_anew_after_a_growing_pause(
    nvml: StandIn, opened: OpenReader, clock: Clock
) -> None:
    nvml.load("gpus 2\non * gpu=1 error=15\n")
    reader = opened()
    openings = []
    for _ in range(64):
        read_all(reader)
        openings.append(nvml.calls("nvmlInit") - 1)
        clock.now += 1

    assert openings[:8] == [0, 1, 1, 2, 2, 2, 2, 3]
    assert openings[-1] == 6
    assert nvml.initialised <= 1


def test_a_forbidden_gpu_says_so_and_the_other_stays_right(
    nvml: StandIn, opened: OpenReader
) -> None:
    nvml.load("gpus 2\non nvmlDeviceGetHandleByIndex_v2 gpu=1 error=4\n")

    first, second = read_all(opened())

    assert first == healthy(cuda_index=None)
    assert second.uid == "nvidia:1"
    assert set(second.unknown.values()) == {Cause.NO_PERMISSION}
    assert second.memory_total_bytes is None


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("on nvmlInit error=18", "different versions"),
        ("on nvmlInit error=4", "/dev/nvidiactl"),
        ("on nvmlInit error=999", "unknown error"),
        ("on nvmlInit error=17", "blocks"),
        ("on nvmlInit error=8", "error 8"),
        ("on nvmlDeviceGetCount_v2 error=999", "unknown error"),
    ],
)
def test_a_broken_driver_is_a_read_error_that_says_what_would_mend_it(
    nvml: StandIn, line: str, words: str
) -> None:
    nvml.load(f"{line}\n")

    with pytest.raises(ReadError, match=words):
        open_reader(machine())

    assert nvml.initialised == 0


@pytest.mark.parametrize("code", [9, 12])
def test_without_hardware_a_missing_driver_is_no_failure(nvml: StandIn, code: int) -> None:
    nvml.load(f"on nvmlInit error={code}\n")

    with pytest.raises(ReaderUnavailableError, match="no NVIDIA GPU, and no NVIDIA driver"):
        open_reader(machine())


@pytest.mark.parametrize(
    ("code", "driver", "words"),
    [
        (12, None, f"an NVIDIA GPU is at {ADDRESS.format(1)}, but .* not installed"),
        (9, "nvidia", "modprobe nvidia"),
        (12, "nvidiafb", "bound to nvidiafb"),
    ],
)
def test_hardware_without_its_driver_is_a_failure(
    nvml: StandIn, code: int, driver: str | None, words: str
) -> None:
    nvml.load(f"on nvmlInit error={code}\n")

    with pytest.raises(ReadError, match=words):
        open_reader(machine(on_bus(ADDRESS.format(1), driver=driver)))


def test_a_driver_without_a_gpu_is_absent(nvml: StandIn) -> None:
    nvml.load("gpus 0\n")

    with pytest.raises(ReaderUnavailableError, match="shows no GPU"):
        open_reader(machine())

    assert nvml.initialised == 0


@pytest.mark.parametrize("code", [1, 9, 18])
def test_a_driver_that_goes_ends_the_reading(nvml: StandIn, opened: OpenReader, code: int) -> None:
    reader = opened()
    read_all(reader)
    nvml.load(f"gpus 2\non * error={code}\n")

    with pytest.raises(ReadError):
        reader.read("0")


def test_a_sleeping_gpu_is_listed_and_nvml_is_not_opened(nvml: StandIn, opened: OpenReader) -> None:
    reader = opened(machine(on_bus(ADDRESS.format(1), status="suspended")))

    (gpu,) = read_all(reader)

    assert (gpu.uid, gpu.state, gpu.memory_total_bytes) == (
        ADDRESS.format(1),
        GpuState.ASLEEP,
        None,
    )
    assert set(gpu.unknown.values()) == {Cause.ASLEEP}
    assert nvml.calls("nvmlInit") == 0


def test_beside_a_sleeping_gpu_the_other_is_read_by_its_address(
    nvml: StandIn, opened: OpenReader
) -> None:
    nvml.load("gpus 2\n")
    bus = on_bus(ADDRESS.format(1), status="suspended") | on_bus(ADDRESS.format(2))

    first, second = read_all(opened(machine(bus)))

    assert first.state is GpuState.ASLEEP
    assert second == healthy(1, cuda_index=None)
    assert nvml.calls("nvmlDeviceGetHandleByIndex_v2") == 0


D3 = {
    f"/proc/driver/nvidia/gpus/{ADDRESS.format(1)}/power": "Runtime D3 status:    Enabled (fine)\n"
}


def test_an_idle_gpu_that_could_sleep_is_let_go_and_left_alone_for_a_while(
    nvml: StandIn, opened: OpenReader, clock: Clock
) -> None:
    nvml.load("gpu 0 utilization 0\n")
    reader = opened(machine(on_bus(ADDRESS.format(1)) | D3))

    assert read_all(reader) == [healthy(utilization_percent=0.0)]
    assert nvml.initialised == 0
    clock.now += 4
    assert read_all(reader) == [healthy(utilization_percent=0.0, age_seconds=4.0)]
    assert nvml.calls("nvmlDeviceGetUtilizationRates") == 1
    clock.now += 8
    assert read_all(reader) == [healthy(utilization_percent=0.0)]


def test_a_busy_gpu_that_could_sleep_is_kept(nvml: StandIn, opened: OpenReader) -> None:
    nvml.load("gpu 0 utilization 3\n")

    read_all(opened(machine(on_bus(ADDRESS.format(1)) | D3)))

    assert nvml.initialised == 1


TWO_IDLE = "gpus 2\ngpu * utilization 0\n"


def test_of_two_gpus_that_could_sleep_each_is_looked_at_after_a_rest(
    nvml: StandIn, opened: OpenReader, clock: Clock
) -> None:
    nvml.load(TWO_IDLE)
    power = "Runtime D3 status: Enabled (fine-grained)\n"
    files: dict[str, object] = {}
    for number in (1, 2):
        address = ADDRESS.format(number)
        files |= on_bus(address) | {f"/proc/driver/nvidia/gpus/{address}/power": power}
    reader = opened(machine(files))
    read_all(reader)
    assert nvml.initialised == 0
    nvml.load(f"{TWO_IDLE}gpu 1 memory_used 42949672960\ngpu 1 utilization 99\n")
    clock.now += 11

    second = read_all(reader)[1]

    assert (second.memory_used_bytes, second.age_seconds) == (40 * GIB, 0.0)
    assert nvml.initialised == 1


def test_a_gpu_is_found_again_by_its_place_and_not_by_its_number(
    nvml: StandIn, opened: OpenReader, clock: Clock
) -> None:
    three = "gpus 3\ngpu 0 memory_used 0\ngpu 1 memory_used 1073741824\n"
    nvml.load(three)
    reader = opened()
    before = read_all(reader)
    nvml.load(f"{three}on nvmlDevice* gpu=0 error=15\n")
    for _ in range(3):
        during = read_all(reader)
        clock.now += 2

    assert [gpu.uid for gpu in during] == [gpu.uid for gpu in before]
    assert [gpu.state for gpu in during] == [GpuState.LOST, GpuState.ACTIVE, GpuState.ACTIVE]
    assert during[1].memory_used_bytes == GIB


def test_more_gpus_than_before_are_a_reason_to_begin_anew(
    nvml: StandIn, opened: OpenReader, clock: Clock
) -> None:
    nvml.load("gpu 0 utilization 0\n")
    reader = opened(machine(on_bus(ADDRESS.format(1)) | D3))
    read_all(reader)
    nvml.load("gpus 2\n")
    clock.now += 11

    with pytest.raises(ReadError, match="more GPUs than before"):
        read_all(reader)

    assert nvml.initialised == 0


def test_a_session_that_somebody_else_has_shut_is_not_shut_again(
    nvml: StandIn, opened: OpenReader
) -> None:
    reader = opened()
    read_all(reader)
    pynvml.nvmlShutdown()

    with pytest.raises(ReadError, match="another part of this program"):
        reader.read("0")
    pynvml.nvmlInit()
    reader.close()

    assert nvml.initialised == 1


def test_handles_of_a_session_that_was_exchanged_are_found_anew(
    nvml: StandIn, opened: OpenReader
) -> None:
    reader = opened()
    before = read_all(reader)
    pynvml.nvmlShutdown()
    pynvml.nvmlInit()

    assert read_all(reader) == before


def test_processes_of_which_one_list_is_refused_are_not_known(
    nvml: StandIn, opened: OpenReader
) -> None:
    nvml.load("on nvmlDeviceGetComputeRunningProcesses* error=4\n")

    assert read_all(opened()) == [without(healthy(), Cause.NO_PERMISSION, "processes")]


def test_a_name_that_is_no_text_costs_the_name_alone(nvml: StandIn, opened: OpenReader) -> None:
    class Garbling(ModuleType):
        def __getattr__(self, name: str) -> object:
            return getattr(pynvml, name)

        def nvmlDeviceGetName(self, _handle: object) -> str:  # noqa: N802
            return b"\xff\xfe".decode()

    binding = Garbling("pynvml")
    reader = open_reader(RecordedMachine(HOST, libraries={"pynvml": binding}))
    (gpu, _) = read_all(reader)
    reader.close()

    assert (gpu.name, gpu.unknown["name"]) == (None, Cause.GARBLED)
    assert gpu.memory_used_bytes == 2 * GIB


def test_a_gpu_with_mig_on_and_no_instance_is_not_visible(
    nvml: StandIn, opened: OpenReader
) -> None:
    nvml.load("gpu 0 mig_mode 1\ngpu 0 max_migs 7\n")

    (gpu,) = read_all(opened())

    assert (gpu.visible, gpu.cuda_index) == (False, None)


def test_instances_follow_their_gpu(nvml: StandIn, opened: OpenReader) -> None:
    nvml.load((MACHINES / "mig.txt").read_text())

    gpus = read_all(opened())

    assert [(gpu.name, gpu.index, gpu.parent_uid) for gpu in gpus] == [
        ("NVIDIA A100-SXM4-80GB", 0, None),
        ("NVIDIA A100-SXM4-80GB MIG 3g.40gb", 0, UID.format(0)),
        ("NVIDIA A100-SXM4-80GB MIG 1g.10gb", 1, UID.format(0)),
        ("NVIDIA A100-SXM4-80GB", 1, None),
    ]
    instance = gpus[1]
    assert instance.memory_used_bytes == 10 * GIB
    assert instance.processes == (GpuProcess(pid=4194401, memory_bytes=10 * GIB),)
    assert instance.unknown["temperature_celsius"] is Cause.ON_PARENT


def test_an_instance_that_is_made_later_is_found(nvml: StandIn, opened: OpenReader) -> None:
    nvml.load("gpu 0 mig_mode 1\ngpu 0 max_migs 7\n")
    reader = opened()
    before = len(read_all(reader))
    nvml.load("gpu 0 mig 0\ngpu 0 mig 3\n")

    assert (before, [gpu.index for gpu in read_all(reader)]) == (1, [0, 0, 3])


@pytest.mark.parametrize(
    "fault",
    [
        "on nvmlDeviceGetMigMode gpu=0 error=999",
        "on nvmlDeviceGetMaxMigDeviceCount gpu=0 error=999",
        "on nvmlDeviceGetMigDeviceHandleByIndex gpu=0 error=999",
    ],
)
def test_a_passing_fault_makes_no_whole_gpu_of_one_that_is_cut(
    nvml: StandIn, opened: OpenReader, fault: str
) -> None:
    mig = (MACHINES / "mig.txt").read_text()
    nvml.load(mig)
    reader = opened()
    before = read_all(reader)
    nvml.load(f"{mig}{fault}\n")

    during = read_all(reader)

    assert [gpu.uid for gpu in during] == [gpu.uid for gpu in before]
    assert [gpu.visible for gpu in during] == [False, True, True, True]
    nvml.load(mig)
    assert read_all(reader) == before


def test_values_that_make_no_sense_are_not_passed_on(nvml: StandIn, opened: OpenReader) -> None:
    nvml.load(
        "gpu 0 utilization 4294967295\ngpu 0 power 4294967295\ngpu 0 memory_used 0xffffffffffff\n"
    )

    assert read_all(opened()) == [
        without(
            healthy(),
            Cause.GARBLED,
            "utilization_percent",
            "memory_utilization_percent",
            "memory_total_bytes",
            "memory_used_bytes",
            "memory_free_bytes",
            "memory_reserved_bytes",
            "power_watts",
        )
    ]


def test_reasons_for_low_clocks_are_named(nvml: StandIn, opened: OpenReader) -> None:
    nvml.load("gpu 0 throttle_reasons 0x65\n")

    assert read_all(opened())[0].throttle == ("power_cap", "software_thermal", "hardware_thermal")


def test_a_process_is_told_once_and_by_name(nvml: StandIn, opened: OpenReader) -> None:
    nvml.load(
        "gpu 0 process compute pid=70 memory=1048576\n"
        "gpu 0 process graphics pid=70 memory=1048576\n"
        "gpu 0 process compute pid=71 memory=none\n"
    )
    container = "0123456789ab" + "c" * 52
    files = {
        "/proc/70/stat": "70 (llama (server)) S 1 70 70 0 -1 0 1 0 0 0 1 1 0 0 20 0 1 0 250 9",
        "/proc/70/status": "Name:\tllama\nUid:\t1000\t1000\t1000\t1000\n",
        "/proc/70/cgroup": f"0::/system.slice/docker-{container}.scope\n",
    }

    (gpu,) = read_all(opened(machine(files)))

    assert gpu.processes == (
        GpuProcess(
            pid=70,
            start_time=1700000002.5,
            name="llama (server)",
            user="1000",
            memory_bytes=MIB,
            kind=ProcessKind.COMPUTE_AND_GRAPHICS,
            container="0123456789ab",
        ),
        GpuProcess(pid=71, memory_bytes=None),
    )


def test_a_module_that_only_bears_the_name_is_a_failure() -> None:
    with pytest.raises(ReadError, match="is not NVIDIA's"):
        open_reader(RecordedMachine({}, libraries={"pynvml": pytest}))


def test_without_the_binding_the_vendor_is_absent() -> None:
    with pytest.raises(ReaderUnavailableError, match="pip install nvidia-ml-py"):
        open_reader(RecordedMachine({}))


OLD_DRIVER = (
    "nvmlDeviceGetMemoryInfo_v2",
    "nvmlDeviceGetTemperatureV",
    "nvmlDeviceGetCurrentClocksEventReasons",
    "nvmlDeviceGetComputeRunningProcesses_v3",
    "nvmlDeviceGetGraphicsRunningProcesses_v3",
    "nvmlSystemGetCudaDriverVersion_v2",
    "nvmlDeviceGetMigMode",
)


def test_a_driver_that_lacks_the_newer_functions_is_read(old_driver: Path, tmp_path: Path) -> None:
    program = f"""
import sys; sys.path.insert(0, {str(CHECKOUT)!r})
from tests.readers.nvidia.machines import machine
from vramline.readers.nvidia import open_reader
gpu, = open_reader(machine()).read("0")
print(gpu.memory_used_bytes, gpu.temperature_celsius, gpu.throttle, len(gpu.processes))
print(dict(gpu.unknown))
"""
    script = write_script(tmp_path / "script.txt", "gpu 0 process compute pid=5 memory=1\n")

    ended = run_python(program, library=old_driver, script=script)

    assert ended.stderr == ""
    assert ended.stdout.splitlines() == [
        f"{2 * GIB + 600 * MIB} 45.0 () 1",
        "{'memory_reserved_bytes': <Cause.DRIVER_TOO_OLD: 'driver_too_old'>}",
    ]


@pytest.fixture(scope="session")
def old_driver(standin_library: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("old"), without=OLD_DRIVER)
