import json
import os
import subprocess
import sys
import threading
import time
import typing
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fit.files import safetensors_bytes, write
from tests.fit.truth import header_path, model_of
from tests.readers.nvidia.machines import AVAILABLE, HOST, TOTAL, machine
from tests.standin import StandIn
from vramline.errors import ModelFormatError
from vramline.machine import Machine, RecordedMachine
from vramline.models.resource_monitor import ResourceMonitor, Resources, TimedResources
from vramline.units import GIB

CHECKOUT = Path(__file__).resolve().parents[2]
NO_GPU = {
    "gpu_vram_gb": 0.0,
    "gpu_total_vram_gb": 0.0,
    "gpu_used_vram_gb": 0.0,
    "gpu_free_vram_gb": 0.0,
    "gpu_utilization_percent": 0.0,
    "gpu_temperature_c": 0.0,
}
FREE_GB = (51527024640 - 20 * GIB - 629145600) / GIB

MakeMonitor = Callable[..., ResourceMonitor]


@pytest.fixture
def monitor_of() -> Iterator[MakeMonitor]:
    monitors = []

    def make(at: Machine | None = None, **options: typing.Any) -> ResourceMonitor:
        monitors.append(ResourceMonitor(machine=at or machine(), **options))
        return monitors[-1]

    yield make
    for monitor in monitors:
        monitor.close()


def gpu_part(resources: Resources) -> dict[str, object]:
    return {key: value for key, value in resources.items() if key.startswith("gpu")}


def host(available: int, total: int = TOTAL) -> RecordedMachine:
    meminfo = f"MemTotal: {total // 1024} kB\nMemAvailable: {available // 1024} kB\n"
    return RecordedMachine({**HOST, "/proc/meminfo": meminfo})


def test_the_old_keys_are_all_there_and_all_are_floats(
    nvml: StandIn, monitor_of: MakeMonitor
) -> None:
    resources = monitor_of().get_current_resources()

    assert list(resources) == list(typing.get_type_hints(Resources))
    assert {type(value) for value in resources.values()} == {float}


def test_the_first_visible_gpu_is_read_in_gib(nvml: StandIn, monitor_of: MakeMonitor) -> None:
    at = machine(environ={"CUDA_VISIBLE_DEVICES": "1"})

    resources = monitor_of(at).get_current_resources()

    assert gpu_part(resources) == {
        "gpu_vram_gb": FREE_GB,
        "gpu_total_vram_gb": 51527024640 / GIB,
        "gpu_used_vram_gb": 20.0,
        "gpu_free_vram_gb": FREE_GB,
        "gpu_utilization_percent": 75.0,
        "gpu_temperature_c": 61.0,
    }


def test_the_host_is_read_in_gib_and_percent(nvml: StandIn, monitor_of: MakeMonitor) -> None:
    resources = monitor_of().get_current_resources()

    assert resources["available_memory_gb"] == AVAILABLE / GIB
    assert resources["memory_percent"] == 100 * (TOTAL - AVAILABLE) / TOTAL


def test_without_a_gpu_its_values_are_zero(monitor_of: MakeMonitor) -> None:
    assert gpu_part(monitor_of(host(AVAILABLE)).get_current_resources()) == NO_GPU


def test_with_an_empty_cuda_visible_devices_they_are_zero(
    nvml: StandIn, monitor_of: MakeMonitor
) -> None:
    monitor = monitor_of(machine(environ={"CUDA_VISIBLE_DEVICES": ""}))

    assert gpu_part(monitor.get_current_resources()) == NO_GPU
    assert [gpu.visible for gpu in monitor.snapshot().gpus] == [False, False]


@pytest.mark.parametrize("code", [4, 9, 18, 999])
def test_a_broken_driver_gives_zeros_and_the_reason(
    nvml: StandIn, monitor_of: MakeMonitor, code: int
) -> None:
    nvml.load(f"on nvmlInit error={code}\n")
    monitor = monitor_of()

    assert gpu_part(monitor.get_current_resources()) == NO_GPU
    snapshot = monitor.snapshot()
    assert {**snapshot.absent, **snapshot.failures}["nvidia"]


@pytest.mark.parametrize(
    ("choice", "used"),
    [
        (None, 2.0),
        (0, 2.0),
        (1, 20.0),
        ("1", 20.0),
        ("GPU-00000000-0000-4000-8000-000000000001", 20.0),
        ("all", 22.0),
        (5, 0.0),
        ("GPU-of-another-machine", 0.0),
    ],
)
def test_a_gpu_can_be_chosen(
    nvml: StandIn, monitor_of: MakeMonitor, choice: str | int | None, used: float
) -> None:
    resources = monitor_of(gpu=choice).get_current_resources()

    assert resources["gpu_used_vram_gb"] == used


@pytest.mark.parametrize("choice", [True, 1.5, [1]])
def test_a_choice_that_can_name_no_gpu_is_refused(choice: typing.Any) -> None:
    with pytest.raises(ValueError, match="gpu must be a uid, a number or 'all'"):
        ResourceMonitor(gpu=choice)


def test_a_choice_that_is_not_here_is_told_once_and_holds_no_model(
    nvml: StandIn, monitor_of: MakeMonitor, caplog: pytest.LogCaptureFixture
) -> None:
    monitor = monitor_of(gpu="GPU-of-another-machine")

    for _ in range(3):
        monitor.get_current_resources()

    (record,) = caplog.records
    assert record.getMessage() == (
        "no GPU here is gpu='GPU-of-another-machine'; there are: "
        "GPU-00000000-0000-4000-8000-000000000000, GPU-00000000-0000-4000-8000-000000000001"
    )
    assert not monitor.can_load_model(1.0)
    assert monitor.get_best_model_size() == "small"


def test_the_sums_are_of_memory_the_mean_of_load_and_the_highest_of_temperature(
    nvml: StandIn, monitor_of: MakeMonitor
) -> None:
    resources = monitor_of(gpu="all").get_current_resources()

    assert resources["gpu_total_vram_gb"] == 2 * 51527024640 / GIB
    assert resources["gpu_utilization_percent"] == 50.0
    assert resources["gpu_temperature_c"] == 61.0


def test_a_gpu_and_its_instances_are_not_added_up(nvml: StandIn, monitor_of: MakeMonitor) -> None:
    nvml.load(
        "gpu 0 memory_used 3221225472\n"
        "gpu 0 mig 0 memory_used 1073741824\ngpu 0 mig 1 memory_used 2147483648\n"
    )

    assert monitor_of(gpu="all").get_current_resources()["gpu_used_vram_gb"] == 3.0
    assert monitor_of().get_current_resources()["gpu_used_vram_gb"] == 1.0


def test_memory_that_two_gpus_share_is_counted_once(nvml: StandIn, monitor_of: MakeMonitor) -> None:
    nvml.load("gpus 2\ngpu * memory_total unsupported\n")

    resources = monitor_of(gpu="all").get_current_resources()

    assert resources["gpu_total_vram_gb"] == TOTAL / GIB
    assert resources["gpu_free_vram_gb"] == AVAILABLE / GIB


def test_get_gpu_memory_returns_total_used_and_free(nvml: StandIn, monitor_of: MakeMonitor) -> None:
    expected = (51527024640 / GIB, 20.0, FREE_GB)

    assert monitor_of(gpu=1)._get_gpu_memory() == expected
    assert monitor_of(host(AVAILABLE))._get_gpu_memory() == (0.0, 0.0, 0.0)


def test_history_keeps_the_newest_entries(nvml: StandIn, monitor_of: MakeMonitor) -> None:
    monitor = monitor_of()
    monitor.max_history_size = 3

    for used in range(5):
        nvml.load(f"gpu 0 memory_used {used * GIB}\n")
        monitor.update_history()

    assert [entry["gpu_used_vram_gb"] for entry in monitor.resource_history] == [2.0, 3.0, 4.0]
    assert set(monitor.resource_history[0]) == set(typing.get_type_hints(TimedResources))


def entry(age: float, **values: float) -> TimedResources:
    blank = dict.fromkeys(typing.get_type_hints(Resources), 0.0)
    return typing.cast(TimedResources, {**blank, **values, "timestamp": time.time() - age})


def test_a_trend_is_told_for_each_resource(monitor_of: MakeMonitor) -> None:
    monitor = monitor_of(host(AVAILABLE))
    monitor.resource_history = [
        entry(
            60 - second,
            memory_percent=40 + second,
            cpu_percent=50 - second,
            gpu_total_vram_gb=24,
            gpu_used_vram_gb=12 + second / 100,
        )
        for second in range(30)
    ]

    assert monitor.get_resource_trend() == {
        "memory": "increasing",
        "cpu": "decreasing",
        "gpu": "stable",
    }


def test_a_trend_needs_two_entries_in_its_window(monitor_of: MakeMonitor) -> None:
    monitor = monitor_of(host(AVAILABLE))
    monitor.resource_history = [entry(400), entry(350), entry(10)]

    assert set(monitor.get_resource_trend(window_minutes=5).values()) == {"insufficient_data"}
    assert set(monitor.get_resource_trend(window_minutes=10).values()) == {"stable"}


@pytest.mark.parametrize(
    ("available", "threshold", "overloaded"),
    [(TOTAL // 4, 80.0, False), (TOTAL // 10, 80.0, True), (TOTAL // 4, 70.0, True)],
)
def test_a_system_above_its_threshold_is_overloaded(
    monitor_of: MakeMonitor, available: int, threshold: float, overloaded: bool
) -> None:
    monitor = monitor_of(host(available), memory_threshold=threshold)

    assert monitor.is_system_overloaded() is overloaded


def test_a_model_that_fits_the_gpu_needs_no_host_memory(
    nvml: StandIn, monitor_of: MakeMonitor
) -> None:
    meminfo = "MemTotal: 4000000 kB\nMemAvailable: 1000000 kB\n"
    monitor = monitor_of(machine({"/proc/meminfo": meminfo}), gpu=1)

    assert monitor.can_load_model(FREE_GB)
    assert not monitor.can_load_model(FREE_GB + 0.001)


def test_without_a_gpu_a_model_needs_half_as_much_again(monitor_of: MakeMonitor) -> None:
    monitor = monitor_of(host(12 * GIB))

    assert monitor.can_load_model(8.0)
    assert not monitor.can_load_model(8.1)


def test_where_the_gpus_memory_is_not_known_the_host_counts(
    nvml: StandIn, monitor_of: MakeMonitor
) -> None:
    nvml.load("on nvmlDevice* error=15\n")
    monitor = monitor_of()

    assert monitor.can_load_model(AVAILABLE / GIB / 1.5)
    assert monitor.get_best_model_size() == "large"


@pytest.mark.parametrize("size", [-1.0, float("nan")])
def test_a_size_that_is_none_is_refused(monitor_of: MakeMonitor, size: float) -> None:
    with pytest.raises(ValueError, match="zero or more"):
        monitor_of(host(AVAILABLE)).can_load_model(size)


def model_file(folder: Path, header: str) -> Path:
    """Write a model of that header, with a hole in place of its weights."""
    path = folder / header
    path.write_bytes(header_path(header).read_bytes())
    os.truncate(path, path.stat().st_size + model_of(header).missing_bytes)
    return path


def test_a_model_that_is_told_by_its_path_is_worked_out(
    nvml: StandIn, monitor_of: MakeMonitor, tmp_path: Path
) -> None:
    path = model_file(tmp_path, "r-llama3.2-1b.gguf")
    nvml.load(f"gpu 0 memory_free {4 * GIB}\n")

    assert monitor_of().can_load_model(path)
    assert monitor_of().can_load_model(str(path), context_tokens=32768)
    assert not monitor_of().can_load_model(path, context_tokens=131072)


def test_where_one_gpu_is_named_that_cannot_be_read_no_file_fits_either(
    nvml: StandIn, monitor_of: MakeMonitor, tmp_path: Path
) -> None:
    path = model_file(tmp_path, "r-llama3.2-1b.gguf")

    assert not monitor_of(gpu="GPU-that-is-not-here").can_load_model(path)
    nvml.load("on nvmlDevice* error=15\n")
    assert not monitor_of(gpu=0).can_load_model(path)
    assert monitor_of().can_load_model(path)
    assert monitor_of(gpu="all").can_load_model(path)


def safetensors_folder(folder: Path, name: str, size: int) -> Path:
    """Write a model of one matrix of so many bytes, of which the file has none but a hole."""
    path = folder / name
    path.mkdir()
    config = {"model_type": "llama", **dict.fromkeys(SIZES, 1024), "num_hidden_layers": 2}
    write(path / "config.json", json.dumps(config))
    header = {
        "model.layers.0.mlp.up_proj.weight": {
            "dtype": "BF16",
            "shape": [1024, size // 2048],
            "data_offsets": [0, size],
        }
    }
    file = write(path / "model.safetensors", safetensors_bytes(header, data_bytes=0))
    os.truncate(file, file.stat().st_size + size)
    return path


def test_a_gpu_that_is_cut_has_room_for_what_one_of_its_instances_has(
    nvml: StandIn, monitor_of: MakeMonitor, tmp_path: Path
) -> None:
    path = model_file(tmp_path, "r-llama3.2-1b.gguf")
    nvml.load("".join(f"gpu 0 mig {at} memory_free {GIB}\n" for at in range(2)))

    for which in (0, "all", None):
        assert not monitor_of(gpu=which).can_load_model(path, context_tokens=2048)


SIZES = ("hidden_size", "intermediate_size", "num_attention_heads", "vocab_size")


def test_a_folder_of_safetensors_is_worked_out_too(
    nvml: StandIn, monitor_of: MakeMonitor, tmp_path: Path
) -> None:
    small, large = (safetensors_folder(tmp_path, f"{size}", size * GIB) for size in (1, 6))
    gguf = model_file(tmp_path, "r-llama3.2-1b.gguf")
    nvml.load(f"gpu 0 memory_free {4 * GIB}\n")
    monitor = monitor_of()

    assert monitor.can_load_model(small, context_tokens=1024)
    assert not monitor.can_load_model(large, context_tokens=1024)
    # By parameters: 1.2, 0.5 and 3.2 billion, of which the last would be on the host.
    paths = (small, gguf, large)
    assert monitor.get_best_model(paths, context_tokens=1024) == str(gguf)
    assert monitor.get_best_model((large,), context_tokens=1024) == str(large)


def test_without_a_gpu_it_has_to_fit_the_host(monitor_of: MakeMonitor, tmp_path: Path) -> None:
    path = model_file(tmp_path, "r-llama3.2-1b.gguf")

    assert monitor_of(host(4 * GIB)).can_load_model(path)
    assert not monitor_of(host(1 * GIB)).can_load_model(path)


def test_the_best_model_is_the_largest_that_fits_where_it_is_quick(
    nvml: StandIn, monitor_of: MakeMonitor, tmp_path: Path
) -> None:
    names = ("r-smollm2-135m.gguf", "r-llama3.2-1b.gguf", "r-llama3.1-8b.gguf")
    paths = [model_file(tmp_path, name) for name in names]
    nvml.load(f"gpu 0 memory_free {4 * GIB}\n")

    assert monitor_of().get_best_model(paths) == str(paths[1])
    assert monitor_of(host(512 * 2**20)).get_best_model(paths) is None


def test_what_is_no_model_is_told(monitor_of: MakeMonitor, tmp_path: Path) -> None:
    with pytest.raises(ModelFormatError, match=r"absent\.gguf"):
        monitor_of(host(AVAILABLE)).can_load_model(tmp_path / "absent.gguf")


@pytest.mark.parametrize(
    ("gigabytes", "size"), [(8.0, "large"), (7.9, "medium"), (4.0, "medium"), (3.9, "small")]
)
def test_the_best_size_goes_by_what_is_free(
    nvml: StandIn, monitor_of: MakeMonitor, gigabytes: float, size: str
) -> None:
    nvml.load(f"gpu 0 memory_free {int(gigabytes * GIB)}\n")

    assert monitor_of().get_best_model_size() == size
    assert monitor_of(host(int(gigabytes * GIB))).get_best_model_size() == size


@pytest.mark.parametrize("threshold", [-1, 101, float("nan")])
def test_a_threshold_that_is_no_percentage_is_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match="memory_threshold must be between 0 and 100"):
        ResourceMonitor(memory_threshold=threshold)
    with pytest.raises(ValueError, match="cpu_threshold must be between 0 and 100"):
        ResourceMonitor(cpu_threshold=threshold)


def test_after_closing_the_last_readings_are_given(nvml: StandIn, monitor_of: MakeMonitor) -> None:
    monitor = monitor_of()
    before = monitor.get_current_resources()
    monitor.close()

    assert gpu_part(monitor.get_current_resources()) == gpu_part(before)
    assert nvml.initialised == 0


def test_a_monitor_that_is_forgotten_lets_the_driver_go(nvml: StandIn) -> None:
    monitor = ResourceMonitor(machine=machine())
    monitor.get_current_resources()
    assert nvml.initialised == 1

    del monitor

    nvml.await_calls("nvmlShutdown", 1)


def test_a_hundred_threads_may_call_one_monitor(nvml: StandIn, monitor_of: MakeMonitor) -> None:
    monitor = monitor_of()
    monitor.get_current_resources()
    descriptors = len(os.listdir("/proc/self/fd"))
    readings: list[dict[str, object]] = []

    def ask() -> None:
        for _ in range(10):
            monitor.update_history()
            readings.append(gpu_part(monitor.get_current_resources()))
            monitor.get_resource_trend()

    threads = [threading.Thread(target=ask) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert len(readings) == 1000
    assert all(reading == readings[0] for reading in readings)
    assert readings[0]["gpu_used_vram_gb"] == 2.0
    assert len(monitor.resource_history) == 100
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_the_line_of_the_plan_prints_zeros_and_nothing_else() -> None:
    line = (
        "from src.models.resource_monitor import ResourceMonitor; rm = ResourceMonitor(); "
        "resources = rm.get_current_resources(); "
        "print({k: v for k, v in resources.items() if 'gpu' in k})"
    )

    ended = subprocess.run(
        [sys.executable, "-c", line],
        cwd=CHECKOUT,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=True,
    )

    assert (ended.stdout, ended.stderr) == (f"{NO_GPU}\n", "")


def test_the_same_class_is_behind_both_names() -> None:
    program = (
        "import src.models.resource_monitor as a, vramline.models.resource_monitor as b\n"
        "print(a.Snapshot is b.Snapshot, a.ResourceMonitor().snapshot().__class__ is b.Snapshot)"
    )

    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )

    assert ended.stdout == "True True\n"
