"""A Jetson whose GPU is both in NVML and in the board's own files."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pynvml
import pytest

from tests.machines import entries_of
from tests.readers.nvidia.machines import AVAILABLE, HOST, TOTAL, machine
from tests.readers.test_tegra import WHOLE
from tests.standin import StandIn
from vramline.errors import ReaderUnavailableError
from vramline.machine import Machine, RecordedMachine
from vramline.readers.base import GpuReader
from vramline.readers.nvidia import open_reader
from vramline.readers.tegra import TegraReader
from vramline.readings import (
    Cause,
    FrozenDict,
    GpuProcess,
    GpuReading,
    GpuState,
    MemoryBound,
    MemoryPool,
)

SCRIPTS = Path(__file__).resolve().parents[2] / "data" / "nvidia"
ORIN = (SCRIPTS / "orin_540.txt").read_text()
THOR = (SCRIPTS / "thor_580.txt").read_text()
UUID = "GPU-00000000-0000-4000-8000-000000000000"


def files_of(name: str, **changed: Any) -> dict[str, Any]:
    files = {**HOST, **entries_of(f"tegra/{name}"), **changed}
    return {path: entry for path, entry in files.items() if entry is not None}


def board(name: str, **changed: Any) -> RecordedMachine:
    return machine(files_of(name, **changed))


def read_all(reader: GpuReader) -> list[GpuReading]:
    readings = [gpu for device in reader.devices() for gpu in reader.read(device)]
    return list(reader.arrange(readings))


def read_once(at: Machine) -> list[GpuReading]:
    reader = open_reader(at)
    readings = read_all(reader)
    reader.close()
    return readings


def not_supported(*fields: str) -> Mapping[str, Cause]:
    return FrozenDict(dict.fromkeys(fields, Cause.NOT_SUPPORTED))


ORIN_WHOLE = GpuReading(
    uid=UUID,
    vendor="nvidia",
    name="Orin (nvgpu)",
    index=0,
    cuda_index=0,
    driver_version="540.4.0",
    cuda_version="12.6",
    compute_capability="8.7",
    memory_pool=MemoryPool.UNIFIED,
    memory_total_bytes=TOTAL,
    memory_used_bytes=TOTAL - AVAILABLE,
    memory_free_bytes=AVAILABLE,
    memory_free_bound_by=MemoryBound.HOST,
    utilization_percent=12.0,
    temperature_celsius=47.625,
    power_watts=5.139,
    clock_mhz=1300.0,
    unknown=not_supported(
        "pci_address",
        "memory_bandwidth_bytes_per_second",
        "memory_utilization_percent",
        "power_limit_watts",
        "memory_clock_mhz",
        "fan_percent",
        "throttle",
        "memory_reserved_bytes",
        "processes",
    ),
)


def test_an_orin_is_one_gpu_with_nvmls_name_and_the_boards_figures(nvml: StandIn) -> None:
    nvml.load(ORIN)

    assert read_once(board("agx_orin")) == [ORIN_WHOLE]


def test_the_address_of_no_device_is_none(nvml: StandIn) -> None:
    nvml.load(ORIN.replace("pci unsupported", "pci 00000000:00:00.0"))

    assert read_once(board("agx_orin")) == [ORIN_WHOLE]


def test_a_thor_keeps_what_nvml_knows_and_gets_the_rest(nvml: StandIn) -> None:
    nvml.load(THOR)

    assert read_once(board("agx_thor")) == [
        GpuReading(
            uid=UUID,
            vendor="nvidia",
            name="NVIDIA Thor",
            index=0,
            pci_address="0000:01:00.0",
            cuda_index=0,
            driver_version="580.00",
            cuda_version="13.0",
            compute_capability="11.0",
            memory_pool=MemoryPool.UNIFIED,
            memory_total_bytes=TOTAL,
            memory_used_bytes=TOTAL - AVAILABLE,
            memory_free_bytes=AVAILABLE,
            memory_free_bound_by=MemoryBound.HOST,
            utilization_percent=97.0,
            memory_utilization_percent=0.0,
            temperature_celsius=84.8,
            power_watts=32.4,
            clock_mhz=1386.0,
            processes=(GpuProcess(pid=5459, memory_bytes=4080218931),),
            unknown=not_supported(
                "memory_bandwidth_bytes_per_second",
                "power_limit_watts",
                "memory_clock_mhz",
                "fan_percent",
                "throttle",
                "memory_reserved_bytes",
            ),
        )
    ]


def test_what_nvml_knows_is_not_read_from_the_board(nvml: StandIn) -> None:
    class Strict(RecordedMachine):
        def read(self, path: str) -> str:
            assert path != "/sys/class/thermal/thermal_zone4/temp"
            return super().read(path)

    nvml.load(THOR.replace("temperature unsupported", "temperature 61"))

    (gpu,) = read_once(Strict(files_of("agx_thor"), libraries={"pynvml": pynvml}))

    assert (gpu.temperature_celsius, gpu.power_watts) == (61.0, 32.4)


def test_a_thor_without_power_has_no_temperature_and_says_why(nvml: StandIn) -> None:
    nvml.load(THOR)
    zone = {"/sys/class/thermal/thermal_zone4/temp": {"errno": "EAGAIN"}}

    (gpu,) = read_once(board("agx_thor", **zone))

    assert gpu.unknown["temperature_celsius"] is Cause.ASLEEP
    assert gpu.power_watts == 32.4


def test_a_card_beside_the_boards_own_gpu_gets_none_of_its_figures(nvml: StandIn) -> None:
    nvml.load(f"gpus 2\n{ORIN}gpu 1 temperature unsupported\n")

    own, card = read_once(board("agx_orin"))

    assert own == replace(ORIN_WHOLE, cuda_index=None)  # two models: CUDA's order is its own
    assert (card.memory_pool, card.temperature_celsius) == (MemoryPool.VRAM, None)
    assert card.unknown == not_supported("temperature_celsius")


def test_a_sleeping_orin_is_not_asked_once_it_is_known(nvml: StandIn) -> None:
    class Falling(RecordedMachine):
        asleep = False

        def read(self, path: str) -> str:
            text = super().read(path)
            return "suspended\n" if self.asleep and path.endswith("/runtime_status") else text

    at = Falling(files_of("agx_orin"), libraries={"pynvml": pynvml})
    script = ORIN.replace("utilization unsupported", "utilization 5")
    nvml.load(script)
    reader = open_reader(at)
    (before,) = read_all(reader)
    at.asleep = True
    nvml.load(script)

    (gpu,) = read_all(reader)
    calls = nvml.calls("nvmlDeviceGetUtilizationRates")
    at.asleep = False
    (woken,) = read_all(reader)
    reader.close()

    assert calls == 0
    assert (gpu.uid, gpu.name, gpu.state) == (UUID, "Orin (nvgpu)", GpuState.ASLEEP)
    assert (gpu.memory_total_bytes, gpu.memory_free_bytes) == (TOTAL, AVAILABLE)
    assert gpu.memory_pool is MemoryPool.UNIFIED
    assert gpu.unknown["utilization_percent"] is Cause.ASLEEP
    assert "memory_free_bytes" not in gpu.unknown
    assert woken == before == replace(woken, utilization_percent=5.0)


def test_a_gpu_whose_files_come_late_is_completed_when_they_are_there(nvml: StandIn) -> None:
    class Starting(RecordedMachine):
        late = True

        def list(self, path: str) -> list[str]:
            if self.late and path == "/sys/class/devfreq":
                return []
            return super().list(path)

    at = Starting(files_of("agx_orin"), libraries={"pynvml": pynvml})
    nvml.load(ORIN)
    reader = open_reader(at)
    (before,) = read_all(reader)
    at.late = False
    (after,) = read_all(reader)
    reader.close()

    assert (before.utilization_percent, before.memory_free_bytes) == (None, AVAILABLE)
    assert after == ORIN_WHOLE


@pytest.mark.parametrize("code", [9, 12])
@pytest.mark.parametrize("name", ["nano", "agx_xavier", "agx_orin"])
def test_without_nvml_the_boards_files_are_read(nvml: StandIn, name: str, code: int) -> None:
    nvml.load(f"on nvmlInit error={code}\n")

    assert read_once(board(name)) == [replace(WHOLE[name], cuda_index=0)]


def test_without_the_binding_the_boards_files_are_read() -> None:
    reader = open_reader(RecordedMachine(files_of("agx_orin")))

    assert isinstance(reader, TegraReader)
    assert read_all(reader) == [replace(WHOLE["agx_orin"], cuda_index=0)]


@pytest.mark.parametrize(
    ("value", "visible", "cuda_index"),
    [("", False, None), ("-1", False, None), ("0", True, 0), (f"GPU-{UUID}", True, None)],
)
def test_the_boards_gpu_is_visible_as_cuda_has_it(
    value: str, visible: bool, cuda_index: int | None
) -> None:
    at = RecordedMachine(files_of("agx_orin"), environ={"CUDA_VISIBLE_DEVICES": value})

    assert [(gpu.visible, gpu.cuda_index) for gpu in read_once(at)] == [(visible, cuda_index)]


def test_a_board_whose_gpu_has_no_driver_is_absent(nvml: StandIn) -> None:
    nvml.load("on nvmlInit error=12\n")

    with pytest.raises(ReaderUnavailableError, match="nvgpu is not loaded"):
        open_reader(board("agx_orin", **{"/sys/class/devfreq/17000000.gpu": None}))


def test_unified_memory_without_a_board_is_left_as_nvml_has_it(nvml: StandIn) -> None:
    nvml.load((SCRIPTS / "gb10_580.txt").read_text())

    (gpu,) = read_once(machine())

    assert gpu.memory_free_bytes == AVAILABLE
    assert gpu.unknown["power_limit_watts"] is Cause.NOT_SUPPORTED
