from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.machines import DATA, entries_of
from tests.readers.breakage import CAUSES, absurdities, breakages, changes, fed_by, unexplained
from tests.readers.nvidia.machines import AVAILABLE, HOST, TOTAL
from vramline.errors import ReadError
from vramline.machine import RecordedMachine
from vramline.readers.tegra import TegraReader, find_board, is_tegra
from vramline.readings import (
    Cause,
    FrozenDict,
    GpuReading,
    GpuState,
    MemoryBound,
    MemoryPool,
)

Entries = Mapping[str, Any]

BOARDS = sorted(path.stem for path in (DATA / "tegra").glob("*.json"))
ORIN_LABEL = "/sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3/in1_label"
ORIN_CURRENT = "/sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3/curr1_input"
ORIN_GPU = "/sys/devices/platform/bus@0/17000000.gpu"
ORIN_ZONE = "/sys/class/thermal/thermal_zone1/temp"
ORIN_MODEL = "/sys/firmware/devicetree/base/model"

NEVER = (
    "pci_address",
    "cuda_version",
    "memory_reserved_bytes",
    "memory_bandwidth_bytes_per_second",
    "memory_utilization_percent",
    "power_limit_watts",
    "memory_clock_mhz",
    "fan_percent",
    "throttle",
    "processes",
)


class Watched(RecordedMachine):
    """Remembers which files were read or listed."""

    def __init__(self, entries: Entries) -> None:
        super().__init__(entries)
        self.touched: list[str] = []

    def read(self, path: str) -> str:
        self.touched.append(path)
        return super().read(path)

    def list(self, path: str) -> list[str]:
        self.touched.append(path)
        return super().list(path)


def machine(name: str, **changed: Any) -> RecordedMachine:
    return RecordedMachine(entries(name, **changed))


def entries(name: str, **changed: Any) -> dict[str, Any]:
    """The board's files and the host's; a change of ``None`` takes a file away."""
    files = {**HOST, **entries_of(f"tegra/{name}"), **changed}
    return {path: entry for path, entry in files.items() if entry is not None}


def opened(at: RecordedMachine) -> TegraReader:
    board = find_board(at)
    assert board is not None
    return TegraReader(at, board)


def read(at: RecordedMachine) -> GpuReading:
    reader = opened(at)
    (device,) = reader.devices()
    (gpu,) = reader.arrange(reader.read(device))
    reader.close()
    return gpu


def a_board(**figures: Any) -> GpuReading:
    """What every board reads, and these figures; ``None`` is not supported."""
    missing = [*NEVER, *(name for name, value in figures.items() if value is None)]
    return GpuReading(
        uid="tegra:0",
        vendor="nvidia",
        index=0,
        memory_pool=MemoryPool.UNIFIED,
        memory_total_bytes=TOTAL,
        memory_used_bytes=TOTAL - AVAILABLE,
        memory_free_bytes=AVAILABLE,
        memory_free_bound_by=MemoryBound.HOST,
        unknown=FrozenDict(dict.fromkeys(missing, Cause.NOT_SUPPORTED)),
        **figures,
    )


WHOLE = {
    "nano": a_board(
        name="NVIDIA Jetson Nano",
        driver_version="L4T 32.7.1",
        compute_capability="5.3",
        utilization_percent=0.0,
        temperature_celsius=30.5,
        power_watts=0.122,
        clock_mhz=76.8,
    ),
    "tx2_nx": a_board(
        name="NVIDIA Jetson TX2 NX",
        driver_version="L4T 32.7.1",
        compute_capability="6.2",
        utilization_percent=0.0,
        temperature_celsius=39.5,
        power_watts=0.182,
        clock_mhz=114.75,
    ),
    "agx_xavier": a_board(
        name="NVIDIA Jetson AGX Xavier",
        driver_version="L4T 32.1.0",
        compute_capability="7.2",
        utilization_percent=0.0,
        temperature_celsius=30.5,
        power_watts=0.463,
        clock_mhz=318.75,
    ),
    "agx_orin": a_board(
        name="NVIDIA Jetson AGX Orin",
        driver_version="L4T 39.2.0",
        compute_capability="8.7",
        utilization_percent=12.0,
        temperature_celsius=47.625,
        power_watts=5.139,
        clock_mhz=1300.0,
    ),
    "agx_thor": a_board(
        name="NVIDIA Jetson AGX Thor",
        driver_version="L4T 38.4.0",
        compute_capability="11.0",
        utilization_percent=None,
        temperature_celsius=84.8,
        power_watts=32.4,
        clock_mhz=1386.0,
    ),
}


@pytest.mark.parametrize("name", BOARDS)
def test_a_board_is_read_from_its_own_files(name: str) -> None:
    assert read(machine(name)) == WHOLE[name]


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super\0", "Orin Nano Super"),
        ("NVIDIA Jetson Orin NX Developer Kit\0", "Orin NX"),
        ("NVIDIA Jetson AGX Xavier\0", "AGX Xavier"),
        ("Jetson-AGX\0", "AGX Xavier"),
        ("quill\0", "TX2"),
        ("NVIDIA Jetson AGX Orin\x1b[2J\0rest", "AGX Orin[2J"),
    ],
)
def test_a_board_has_the_name_that_its_users_have_for_it(model: str, name: str) -> None:
    assert read(machine("agx_orin", **{ORIN_MODEL: model})).name == f"NVIDIA Jetson {name}"


def test_in_a_container_without_the_device_tree_the_chip_is_the_name() -> None:
    hidden = {ORIN_MODEL: None, "/sys/firmware/devicetree/base/bus@0/gpu@17000000/name": None}
    gpu = read(machine("agx_orin", **hidden, **{"/etc/nv_tegra_release": None}))

    assert (gpu.name, gpu.compute_capability, gpu.driver_version) == ("NVIDIA Orin", "8.7", None)
    assert gpu.utilization_percent == 12.0


def test_a_node_of_another_makers_chip_is_no_board() -> None:
    mali = {
        "/sys/class/devfreq/ff9a0000.gpu/device/uevent": (
            "DRIVER=panfrost\nOF_NAME=gpu\nOF_COMPATIBLE_0=rockchip,rk3399-mali\n"
        ),
        "/sys/class/devfreq/ff9a0000.gpu/device/of_node/name": "gpu\0",
        "/proc/device-tree/model": "Pine64 RockPro64\0",
    }

    assert find_board(RecordedMachine({**HOST, **mali})) is None
    assert not is_tegra(RecordedMachine({**HOST, **mali}))


@pytest.mark.parametrize("kept", ["nv_tegra_release", "/model", "/compatible"])
def test_each_of_three_files_tells_a_tegra_system(kept: str) -> None:
    telling = ("nv_tegra_release", "/model", "/compatible")
    files = {
        path: entry
        for path, entry in entries("agx_thor").items()
        if path.endswith(kept) or not path.endswith(telling)
    }

    assert is_tegra(RecordedMachine(files))
    assert not is_tegra(RecordedMachine(files, platform="win32"))
    assert find_board(RecordedMachine(files, platform="win32")) is None


def test_a_board_whose_gpu_has_no_driver_is_none_yet() -> None:
    at = machine("agx_orin", **{"/sys/class/devfreq/17000000.gpu": None})

    assert find_board(at) is None
    assert is_tegra(at)


def test_a_rail_that_feeds_the_processors_too_is_not_the_gpus() -> None:
    gpu = read(machine("agx_orin", **{ORIN_LABEL: "VDD_CPU_GPU_CV\n"}))

    assert (gpu.power_watts, gpu.unknown["power_watts"]) == (None, Cause.NOT_SUPPORTED)


def test_a_rail_without_current_is_a_little_below_zero() -> None:
    assert read(machine("agx_orin", **{ORIN_CURRENT: "-80\n"})).power_watts == 0.0


def test_a_rail_far_below_zero_makes_no_sense() -> None:
    gpu = read(machine("agx_orin", **{ORIN_CURRENT: "-8000\n"}))

    assert (gpu.power_watts, gpu.unknown["power_watts"]) == (None, Cause.GARBLED)


@pytest.mark.parametrize(
    ("temperature", "cause"),
    [
        ({"errno": "EAGAIN"}, Cause.ASLEEP),  # Thor, JetPack 6 and 7
        ("-256000\n", Cause.ASLEEP),  # JetPack 5
        ("-200000\n", Cause.GARBLED),
        ("999000\n", Cause.GARBLED),
    ],
)
def test_a_gpu_without_power_has_no_temperature(temperature: Any, cause: Cause) -> None:
    gpu = read(machine("agx_orin", **{ORIN_ZONE: temperature}))

    assert gpu.temperature_celsius is None
    assert gpu.unknown["temperature_celsius"] is cause


def test_a_sleeping_gpu_is_left_alone_and_its_memory_is_the_hosts() -> None:
    at = Watched(entries("agx_orin", **{f"{ORIN_GPU}/power/runtime_status": "suspended\n"}))
    reader = opened(at)
    at.touched.clear()

    (gpu,) = reader.read("tegra:0")

    told = ("name", "driver_version", "compute_capability")
    assert gpu == GpuReading(
        uid="tegra:0",
        vendor="nvidia",
        index=0,
        state=GpuState.ASLEEP,
        **{field: getattr(WHOLE["agx_orin"], field) for field in told},
        memory_pool=MemoryPool.UNIFIED,
        memory_total_bytes=TOTAL,
        memory_used_bytes=TOTAL - AVAILABLE,
        memory_free_bytes=AVAILABLE,
        memory_free_bound_by=MemoryBound.HOST,
        unknown=FrozenDict(
            {
                **dict.fromkeys(NEVER, Cause.ASLEEP),
                **dict.fromkeys(
                    (
                        "utilization_percent",
                        "temperature_celsius",
                        "power_watts",
                        "clock_mhz",
                    ),
                    Cause.ASLEEP,
                ),
                "pci_address": Cause.NOT_SUPPORTED,
                "cuda_version": Cause.NOT_SUPPORTED,
                "memory_bandwidth_bytes_per_second": Cause.NOT_SUPPORTED,
                "memory_reserved_bytes": Cause.NOT_SUPPORTED,
            }
        ),
    )
    assert [path for path in at.touched if not path.startswith(("/proc", "/sys/fs"))] == [
        "/sys/class/devfreq/17000000.gpu/device/power/runtime_status"
    ]


def test_of_zones_that_are_not_the_gpus_no_temperature_is_read() -> None:
    at = Watched(entries("agx_orin"))

    opened(at).read("tegra:0")

    zones = [path for path in at.touched if path.endswith("/temp")]
    assert zones == ["/sys/class/thermal/thermal_zone1/temp"]


def test_a_driver_that_is_gone_ends_the_reading() -> None:
    class Emptied(RecordedMachine):
        gone = False

        def list(self, path: str) -> list[str]:
            if self.gone:
                raise FileNotFoundError(path)
            return super().list(path)

    at = Emptied(entries("agx_orin"))
    reader = opened(at)
    at.gone = True

    with pytest.raises(ReadError, match="not loaded any more"):
        reader.read("tegra:0")


def test_a_board_is_described_without_being_asked() -> None:
    at = Watched(entries("agx_orin"))
    reader = opened(at)
    at.touched.clear()

    gpu = reader.describe("tegra:0", Cause.TIMEOUT)

    assert (gpu.name, gpu.state) == ("NVIDIA Jetson AGX Orin", GpuState.ACTIVE)
    assert gpu.unknown["memory_total_bytes"] is Cause.TIMEOUT
    assert at.touched == []


MEMORY = (
    "memory_total_bytes",
    "memory_used_bytes",
    "memory_free_bytes",
    "memory_free_bound_by",
)
FEEDS = {
    r"/proc/(meminfo|self/)": MEMORY,
    r"/load$": ("utilization_percent",),
    r"/(17000000|57000000)[^/]*/cur_freq$": ("clock_mhz",),
    r"/gpu-gpc-0/cur_freq$": ("clock_mhz",),
    r"/thermal_zone\d/(type|temp)$": ("temperature_celsius",),
    r"/(in|curr)1_(input|label)$": ("power_watts",),
    r"/(rail_name_|in_power)[01](_input)?$": ("power_watts",),
    r"/model$": ("name",),
    r"/nv_tegra_release$": ("driver_version",),
    r"/uevent$": ("compute_capability",),
}
IDENTIFYING = ("/type", "label", "rail_name_0", "rail_name_1", "/uevent", "/meminfo", "/model")
"""Where another answer than a figure decides, the cause is not the file's own."""


@pytest.mark.parametrize("name", BOARDS)
def test_a_broken_file_costs_the_fields_that_it_feeds_and_no_other(name: str) -> None:
    files = entries(name)
    before = read(RecordedMachine(files))
    for path, way, broken in breakages(files):
        if path.startswith("/proc/self"):
            continue  # the cgroups' own tests break these
        board = find_board(RecordedMachine(broken))
        assert board is not None, path
        after = read(RecordedMachine(broken))
        changed = changes(before, after)
        assert changed.keys() <= fed_by(path, FEEDS), (path, way)
        assert absurdities(after) == []
        assert unexplained(after) == set()
        if not path.endswith(IDENTIFYING) and "driver_version" not in changed:
            assert set(changed.values()) <= {CAUSES[way]}, (path, way)


@pytest.mark.parametrize("name", BOARDS)
def test_every_figure_is_lost_when_its_file_is(name: str) -> None:
    """The table above would also hold for a reader that reads nothing."""
    files = entries(name)
    before = read(RecordedMachine(files))
    fed = {
        field
        for path, way, broken in breakages(files)
        if way == "EIO"
        for field in changes(before, read(RecordedMachine(broken)))
    }

    figures = ("utilization_percent", "clock_mhz", "temperature_celsius", "power_watts")
    assert {each for each in figures if getattr(before, each) is not None} <= fed


CONTENTS = st.one_of(
    st.text(),
    st.integers().map(str),
    st.sampled_from(["", "-1", "nan", "inf", "٣", "9" * 5000, "1_000", "+5", "\0", "gpu\0"]),
    st.sampled_from(["EAGAIN", "EIO", "EPERM", "ENODEV"]).map(lambda name: {"errno": name}),
)


@given(data=st.data(), name=st.sampled_from(BOARDS))
def test_whatever_the_files_hold_no_reading_is_absurd(data: st.DataObject, name: str) -> None:
    files = entries(name)
    paths = [path for path, entry in files.items() if isinstance(entry, str)]
    broken = data.draw(st.dictionaries(st.sampled_from(paths), CONTENTS, max_size=8))
    at = RecordedMachine({**files, **broken})
    board = find_board(at)
    if board is None:
        return
    try:
        (gpu,) = TegraReader(at, board).read("tegra:0")
    except ReadError:
        return

    assert absurdities(gpu) == []
    assert unexplained(gpu) == set()
    assert all(
        str(getattr(gpu, field.name)).isprintable()
        for field in fields(GpuReading)
        if field.name != "unknown"
    )
