"""Every recorded Intel machine as one whole reading. ``tests/data/intel/SOURCES.md`` has them."""

from typing import Any

import pytest

from tests.readers.intel.machines import (
    AVAILABLE,
    TOTAL,
    Stage,
    client,
    i915,
    machine,
    read,
    render_node,
    unknown,
    xe,
)
from vramline.readers.intel import open_reader
from vramline.readings import GpuProcess, GpuReading, MemoryBound, MemoryPool, ProcessKind
from vramline.units import GIB, KIB, MIB

NEVER = (
    "cuda_version",
    "compute_capability",
    "memory_reserved_bytes",
    "memory_bandwidth_bytes_per_second",
    "memory_utilization_percent",
    "memory_clock_mhz",
)
WITHOUT_SENSORS = (*NEVER, "temperature_celsius", "power_watts", "power_limit_watts", "fan_percent")
MEMORY = ("memory_total_bytes", "memory_used_bytes", "memory_free_bytes")

B580_BYTES = 12_784_238_592
B580 = "/sys/class/drm/card1/device"
A380 = "/sys/class/drm/card1"


def test_an_arc_b580_on_xe() -> None:
    regions = xe((0, TOTAL, 0), (1, B580_BYTES, 800 * MIB))
    stage = Stage("b580", render_node("0000:09:00.0"), ioctl=regions)
    reader = open_reader(stage.machine)
    reader.read("0000:09:00.0")
    stage.change(
        {
            f"{B580}/tile0/gt0/gtidle/idle_residency_ms": "309107\n",
            f"{B580}/hwmon/hwmon2/energy1_input": "11151745544\n",
        },
        after=2.0,
    )

    assert reader.read("0000:09:00.0") == [
        GpuReading(
            uid="0000:09:00.0",
            vendor="intel",
            name="Intel Arc B580",
            index=0,
            pci_address="0000:09:00.0",
            driver_version="6.17.0",
            memory_total_bytes=B580_BYTES,
            memory_used_bytes=800 * MIB,
            memory_free_bytes=B580_BYTES - 800 * MIB,
            utilization_percent=75.0,
            temperature_celsius=54.0,
            power_watts=60.0,
            power_limit_watts=190.0,
            clock_mhz=0.0,
            fan_percent=100 * 1116 / 2160,
            throttle=(),
            processes=(),
            unknown=unknown(not_supported=NEVER),
        )
    ]


def test_at_the_first_look_only_the_rates_are_missing() -> None:
    regions = xe((0, TOTAL, 0), (1, B580_BYTES, 800 * MIB))

    gpu = read(machine("b580", render_node("0000:09:00.0"), ioctl=regions))

    assert gpu.unknown == unknown(
        not_supported=NEVER, first_sample=("utilization_percent", "power_watts")
    )


def test_a_tiger_lake_on_xe_has_the_hosts_memory_and_no_sensors() -> None:
    gpu = read(machine("tigerlake", render_node("0000:00:02.0"), ioctl=xe((0, TOTAL, 0))))

    assert gpu == GpuReading(
        uid="0000:00:02.0",
        vendor="intel",
        name="Intel Iris Xe Graphics",
        index=0,
        pci_address="0000:00:02.0",
        driver_version="6.17.0",
        memory_pool=MemoryPool.UNIFIED,
        memory_total_bytes=TOTAL,
        memory_used_bytes=TOTAL - AVAILABLE,
        memory_free_bytes=AVAILABLE,
        memory_free_bound_by=MemoryBound.HOST,
        clock_mhz=0.0,
        throttle=(),
        processes=(),
        unknown=unknown(not_supported=WITHOUT_SENSORS, first_sample=("utilization_percent",)),
    )


def test_an_arc_a380_on_i915_tells_used_memory_to_the_privileged_only() -> None:
    regions = i915((0, TOTAL, TOTAL), (1, 6 * GIB, 6 * GIB))
    stage = Stage("a380_i915", render_node("0000:0b:00.0"), ioctl=regions)
    reader = open_reader(stage.machine)
    reader.read("0000:0b:00.0")
    stage.change(
        {
            f"{A380}/gt/gt0/rc6_residency_ms": "7534\n",
            f"{A380}/device/hwmon/hwmon1/energy1_input": "25657161804\n",
        }
    )

    assert reader.read("0000:0b:00.0") == [
        GpuReading(
            uid="0000:0b:00.0",
            vendor="intel",
            name="Intel Arc A380",
            index=0,
            pci_address="0000:0b:00.0",
            driver_version="6.17.0",
            memory_total_bytes=6 * GIB,
            utilization_percent=0.0,
            temperature_celsius=55.0,
            power_watts=20.0,
            power_limit_watts=55.0,
            clock_mhz=600.0,
            throttle=(),
            processes=(),
            unknown=unknown(
                not_supported=(*NEVER, "fan_percent"),
                no_permission=("memory_used_bytes", "memory_free_bytes"),
            ),
        )
    ]


def test_a_uhd_620_of_which_little_is_there() -> None:
    gpu = read(machine("uhd620", {"/proc/2/stat": None}))

    assert gpu == GpuReading(
        uid="0000:00:02.0",
        vendor="intel",
        name="Intel UHD Graphics 620",
        index=0,
        pci_address="0000:00:02.0",
        driver_version="6.17.0",
        memory_pool=MemoryPool.UNIFIED,
        memory_total_bytes=TOTAL,
        memory_used_bytes=TOTAL - AVAILABLE,
        memory_free_bytes=AVAILABLE,
        memory_free_bound_by=MemoryBound.HOST,
        unknown=unknown(
            not_supported=(*WITHOUT_SENSORS, "clock_mhz", "throttle"),
            no_permission=("utilization_percent", "processes"),
        ),
    )


LLAMA = """drm-driver:\txe
drm-client-id:\t20
drm-pdev:\t0000:03:00.0
drm-total-system:\t0
drm-total-gtt:\t2 MiB
drm-resident-gtt:\t2 MiB
drm-total-vram0:\t16946852 KiB
drm-resident-vram0:\t16000 MiB
drm-cycles-rcs:\t744
drm-total-cycles-rcs:\t18956600119
drm-cycles-bcs:\t497250
drm-total-cycles-bcs:\t18956600119
drm-cycles-ccs:\t386293167
drm-total-cycles-ccs:\t18956600119
drm-engine-capacity-ccs:\t2
"""


def test_an_arc_pro_b70_with_a_model_beside_a_bare_integrated_gpu() -> None:
    regions = xe((0, TOTAL, 0), (1, 32 * GIB, 17 * GIB))
    model = client(4711, LLAMA, node="/dev/dri/renderD129")

    reader = open_reader(machine("arc_pro_b70", model, ioctl=regions))

    assert reader.devices() == ("0000:00:02.0", "0000:03:00.0")
    (card,) = reader.read("0000:03:00.0")
    assert card == GpuReading(
        uid="0000:03:00.0",
        vendor="intel",
        name="Intel Arc Pro B70",
        index=1,
        pci_address="0000:03:00.0",
        driver_version="6.17.0",
        memory_total_bytes=32 * GIB,
        memory_used_bytes=17 * GIB,
        memory_free_bytes=15 * GIB,
        temperature_celsius=48.0,
        fan_percent=100 * 1074 / 4980,
        processes=(
            GpuProcess(
                pid=4711,
                start_time=1700000005.0,
                name="ollama",
                user="1000",
                memory_bytes=16000 * MIB,
                kind=ProcessKind.COMPUTE_AND_GRAPHICS,
            ),
        ),
        unknown=unknown(
            not_supported=(*NEVER, "power_limit_watts", "clock_mhz", "throttle"),
            first_sample=("utilization_percent", "power_watts"),
        ),
    )


def test_the_bare_integrated_gpu_beside_it() -> None:
    (gpu, *_) = open_reader(machine("arc_pro_b70")).read("0000:00:02.0")

    assert (gpu.name, gpu.index, gpu.memory_pool) == (
        "Intel AlderLake-S GT1",
        0,
        MemoryPool.UNIFIED,
    )
    assert gpu.memory_free_bytes == AVAILABLE


def test_without_the_query_the_window_on_the_bus_tells_the_memory_of_cards_that_fill_it() -> None:
    gpu = read(machine("arc_pro_b70"), "0000:03:00.0")

    assert gpu.memory_total_bytes == 32 * GIB
    left = ("memory_used_bytes", "memory_free_bytes")
    assert {name: gpu.unknown[name] for name in left} == unknown(no_permission=left)


@pytest.mark.parametrize(
    "resource",
    [
        "",
        "0x0 0x0 0x0\n" * 3,
        "0x0 0x0 0x0\n" * 2 + "0x000000004fffffff 0x0000000040000000 0x14220c\n",
        "0x0 0x0 0x0\n" * 2 + "0x0000000040000000 0x000000004fffffff 0x14220c\n",  # not resized
        "0x0 0x0 0x0\n" * 2 + "0x0000000000000000 0xffffffffffffffff 0x14220c\n",
        "0x0 0x0 0x0\n" * 2 + "nonsense\n",
        {"errno": "EACCES"},
    ],
)
def test_a_window_that_cannot_be_the_memory_tells_nothing(resource: Any) -> None:
    files = {f"{B580}/resource": resource}
    gpu = read(machine("arc_pro_b70", files), "0000:03:00.0")

    assert {name: gpu.unknown[name] for name in MEMORY} == unknown(no_permission=MEMORY)


def test_the_window_of_a_card_that_has_less_memory_is_not_taken_for_its_size() -> None:
    window = "0x0 0x0 0x0\n" * 2 + "0x0000004000000000 0x00000043ffffffff 0x14220c\n"
    gpu = read(machine("b580", {f"{B580}/resource": window}))

    assert {name: gpu.unknown[name] for name in MEMORY} == unknown(not_supported=MEMORY)


def test_an_arc_a750_on_xe_has_one_label_on_every_kind_of_sensor() -> None:
    regions = xe((0, TOTAL, 0), (1, 8 * GIB, GIB))
    stage = Stage("arc_a750_xe", ioctl=regions)
    reader = open_reader(stage.machine)
    reader.read("0000:03:00.0")
    stage.change({"/sys/class/drm/card1/device/hwmon/hwmon3/energy2_input": "14410000000\n"})

    assert reader.read("0000:03:00.0") == [
        GpuReading(
            uid="0000:03:00.0",
            vendor="intel",
            name="Intel Arc A750",
            index=0,
            pci_address="0000:03:00.0",
            driver_version="6.17.0",
            memory_total_bytes=8 * GIB,
            memory_used_bytes=GIB,
            memory_free_bytes=7 * GIB,
            utilization_percent=0.0,
            temperature_celsius=47.0,
            power_watts=40.0,
            power_limit_watts=190.0,
            processes=(),
            unknown=unknown(not_supported=(*NEVER, "fan_percent", "clock_mhz", "throttle")),
        )
    ]


def test_a_ponte_vecchio_is_one_gpu_with_the_memory_of_both_tiles() -> None:
    regions = xe((0, TOTAL, 0), (1, 64 * GIB, GIB), (1, 64 * GIB, 0))
    processes_unseen = {"/proc/2/stat": None}

    gpu = read(machine("ponte_vecchio", processes_unseen, ioctl=regions))

    assert gpu == GpuReading(
        uid="0000:4d:00.0",
        vendor="intel",
        name="Intel Data Center GPU Max 1550",
        index=0,
        pci_address="0000:4d:00.0",
        driver_version="6.17.0",
        memory_total_bytes=128 * GIB,
        memory_used_bytes=GIB,
        memory_free_bytes=127 * GIB,
        power_limit_watts=600.0,
        clock_mhz=1550.0,
        throttle=(),
        unknown=unknown(
            not_supported=(*NEVER, "temperature_celsius", "fan_percent"),
            first_sample=("power_watts",),
            # It never idles, and others' clients are not seen.
            no_permission=("utilization_percent", "processes"),
        ),
    )


BROWSER = """drm-driver: i915
drm-client-id: 39
drm-pdev: 0000:00:02.0
drm-total-system0: 6044 KiB
drm-shared-system0: 0
drm-active-system0: 0
drm-resident-system0: 6044 KiB
drm-purgeable-system0: 1688 KiB
drm-total-stolen-system0: 0
drm-shared-stolen-system0: 0
drm-active-stolen-system0: 0
drm-resident-stolen-system0: 0
drm-purgeable-stolen-system0: 0
drm-engine-render: 346249 ns
drm-engine-copy: 0 ns
drm-engine-video: 0 ns
drm-engine-capacity-video: 2
drm-engine-video-enhance: 0 ns
"""


def test_what_a_client_of_an_integrated_gpu_holds_lies_in_the_hosts_memory() -> None:
    files = {**render_node("0000:00:02.0"), **client(812, BROWSER, name="firefox")}

    gpu = read(machine("uhd620", files))

    assert gpu.processes == (
        GpuProcess(
            pid=812,
            start_time=1700000005.0,
            name="firefox",
            user="1000",
            memory_bytes=6044 * KIB,
            kind=ProcessKind.GRAPHICS,
        ),
    )
