"""One card of amdgpu's: what each figure is taken from, and the memory."""

import pytest

from tests.readers.amd.machines import (
    CARD,
    HWMON,
    KFD,
    Clock,
    Entries,
    apu,
    desktop_card,
    kfd_node,
    looks,
    machine,
    memory,
    metrics,
    on_bus,
    read,
    recorded,
    unknown,
)
from tests.readers.amd.machines import binary as file
from tests.readers.nvidia.machines import AVAILABLE
from vramline.readers.amd import open_reader
from vramline.readings import Cause, GpuProcess, GpuReading, MemoryBound, MemoryPool
from vramline.units import GIB, KIB, MIB


def without(entries: Entries, *names: str) -> Entries:
    return {path: entry for path, entry in entries.items() if not path.endswith(names)}


def test_a_card_that_tells_everything() -> None:
    (gpu,) = read(machine({**desktop_card(), "/proc/sys/kernel/osrelease": "6.12.0\n"}))

    assert gpu == GpuReading(
        uid="GPU-4b2c1a9f8d3e6f7a",
        vendor="amd",
        name="AMD Radeon RX 7900 XTX",
        index=0,
        pci_address="0000:2d:00.0",
        driver_version="6.12.0",
        memory_total_bytes=24 * GIB,
        memory_used_bytes=6 * GIB,
        memory_free_bytes=18 * GIB,
        memory_bandwidth_bytes_per_second=959_232_000_000,
        utilization_percent=64.0,
        memory_utilization_percent=6.0,
        temperature_celsius=53.0,
        power_watts=240.5,
        power_limit_watts=303.0,
        clock_mhz=2165.0,
        memory_clock_mhz=1249.0,
        fan_percent=40.0,
        throttle=(),
        processes=(
            GpuProcess(
                pid=4242,
                start_time=1_700_000_005.0,
                name="llama-server",
                memory_bytes=5 * GIB,
            ),
        ),
        unknown=unknown(
            not_supported=("cuda_version", "compute_capability", "memory_reserved_bytes")
        ),
    )


# The memory.


def test_an_apu_that_may_map_more_than_its_own_memory_has_the_hosts() -> None:
    (gpu,) = read(machine(apu(4 * GIB, 31 * GIB, gtt_used=3 * GIB)))

    assert (gpu.memory_pool, gpu.memory_total_bytes) == (MemoryPool.GTT, 31 * GIB)
    assert (gpu.memory_used_bytes, gpu.memory_free_bytes) == (3 * GIB, 28 * GIB)
    assert gpu.memory_free_bound_by is MemoryBound.GTT


def test_what_the_host_has_available_binds_where_it_is_less() -> None:
    (gpu,) = read(machine(apu(512 * MIB, 60 * GIB)))

    assert (gpu.memory_free_bytes, gpu.memory_free_bound_by) == (AVAILABLE, MemoryBound.HOST)


def test_halves_of_96_gib_are_not_added_and_the_apus_own_half_counts() -> None:
    (gpu,) = read(machine(apu(96 * GIB, 96 * GIB, vram_used=GIB)))

    assert (gpu.memory_pool, gpu.memory_total_bytes) == (MemoryPool.VRAM, 96 * GIB)
    assert (gpu.memory_free_bytes, gpu.memory_free_bound_by) == (95 * GIB, None)


def test_a_card_of_its_own_keeps_its_memory_though_it_may_map_more() -> None:
    (gpu,) = read(machine({**desktop_card(), **memory(4 * GIB, GIB, 31 * GIB, 0)}))

    assert (gpu.memory_pool, gpu.memory_total_bytes) == (MemoryPool.VRAM, 4 * GIB)


def test_without_hwmon_an_apu_is_known_by_its_metrics() -> None:
    entries = without(apu(4 * GIB, 31 * GIB), "name", "_label", "_input")
    entries[f"{CARD}/gpu_metrics"] = file(metrics(264, (3, 0), {}))

    (gpu,) = read(machine(entries))

    assert (gpu.memory_pool, gpu.memory_total_bytes) == (MemoryPool.GTT, 31 * GIB)


def test_the_pool_stays_when_one_of_the_totals_cannot_be_read_for_a_while() -> None:
    clock = Clock()
    card = machine(apu(4 * GIB, 31 * GIB), clock=clock)
    look = looks(card, clock)
    look()
    card.change({f"{CARD}/mem_info_gtt_total": {"errno": "EIO"}})

    gpu = look()

    assert gpu.memory_pool is MemoryPool.GTT
    assert gpu.unknown["memory_total_bytes"] is Cause.DRIVER_ERROR
    assert gpu.unknown["memory_free_bytes"] is Cause.DRIVER_ERROR


def test_more_used_than_there_is_makes_no_sense() -> None:
    (gpu,) = read(machine({**desktop_card(), f"{CARD}/mem_info_vram_used": f"{25 * GIB}\n"}))

    assert gpu.memory_total_bytes == 24 * GIB
    assert gpu.unknown["memory_used_bytes"] is Cause.GARBLED
    assert gpu.unknown["memory_free_bytes"] is Cause.GARBLED


# Utilisation and sensors.


def test_a_bc_250_has_a_file_for_its_utilisation_that_is_not_supported() -> None:
    entries = apu(8 * GIB, 4 * GIB)
    entries[f"{CARD}/gpu_busy_percent"] = {"errno": "EOPNOTSUPP"}
    entries[f"{CARD}/gpu_metrics"] = file(metrics(128, (2, 2), {4: ("H", 5100)}))

    (gpu,) = read(machine(entries))

    assert gpu.unknown["utilization_percent"] is Cause.NOT_SUPPORTED
    assert gpu.temperature_celsius == 38.0


def test_of_a_card_that_refuses_because_it_sleeps_no_other_file_is_asked() -> None:
    entries = {**desktop_card(), f"{HWMON}/freq1_input": {"errno": "EBUSY"}}
    card = machine(entries)

    (gpu,) = read(card)

    assert gpu.unknown["clock_mhz"] is Cause.ASLEEP
    assert f"{CARD}/pp_dpm_sclk" not in card.opened


def test_more_than_all_of_the_time_is_garbled() -> None:
    (gpu,) = read(machine({**desktop_card(), f"{CARD}/gpu_busy_percent": "655\n"}))

    assert gpu.utilization_percent == 64.0  # as gpu_metrics has it
    entries = without(desktop_card(), "gpu_metrics")
    (gpu,) = read(machine({**entries, f"{CARD}/gpu_busy_percent": "655\n"}))
    assert gpu.unknown["utilization_percent"] is Cause.GARBLED


def test_an_accelerator_without_an_edge_is_as_hot_as_its_junction() -> None:
    entries = without(desktop_card(), "temp1_label", "temp1_input")

    (gpu,) = read(machine(entries))

    assert gpu.temperature_celsius == 75.0


def test_a_thermometer_without_a_label_is_the_gpus() -> None:
    entries = without(desktop_card(), "temp1_label", "temp2_label", "temp3_label")

    (gpu,) = read(machine(entries))

    assert gpu.temperature_celsius == 53.0


def test_power_is_the_average_or_else_that_of_the_moment() -> None:
    entries = {**desktop_card(), f"{HWMON}/power1_input": "100000000\n"}

    (both,) = read(machine(entries))
    (one,) = read(machine(without(entries, "power1_average")))
    (refused,) = read(machine({**entries, f"{HWMON}/power1_average": {"errno": "EOPNOTSUPP"}}))

    assert (both.power_watts, one.power_watts, refused.power_watts) == (240.5, 100.0, 100.0)


def test_a_limit_of_nothing_is_no_limit() -> None:
    (gpu,) = read(machine({**desktop_card(), f"{HWMON}/power1_cap": "0\n"}))

    assert gpu.unknown["power_limit_watts"] is Cause.NOT_SUPPORTED


def test_a_clock_that_stands_still_is_zero_and_known() -> None:
    (gpu,) = read(machine({**desktop_card(), f"{HWMON}/freq1_input": "0\n"}))

    assert gpu.clock_mhz == 0.0


def test_without_hwmon_the_marked_level_is_the_clock() -> None:
    entries = without(desktop_card(), "freq1_input", "freq2_input", "gpu_metrics")

    (gpu,) = read(machine(entries))

    assert (gpu.clock_mhz, gpu.memory_clock_mhz) == (2165.0, 1249.0)


def test_levels_of_which_none_is_marked_tell_no_clock() -> None:
    entries = without(desktop_card(), "freq2_input", "gpu_metrics")
    entries[f"{CARD}/pp_dpm_mclk"] = "0: 400Mhz \n1: 800Mhz \n"

    (gpu,) = read(machine(entries))

    assert gpu.unknown["memory_clock_mhz"] is Cause.NOT_SUPPORTED


def test_a_fan_is_told_by_its_speed_where_not_by_its_drive_and_never_past_all() -> None:
    entries = without(desktop_card(), "pwm1")

    (gpu,) = read(machine(entries))
    (fast,) = read(machine({**entries, f"{HWMON}/fan1_input": "3300\n"}))

    assert (gpu.fan_percent, fast.fan_percent) == (50.0, 100.0)


def test_the_sensors_are_found_again_under_another_number() -> None:
    clock = Clock()
    card = machine(desktop_card(), clock=clock)
    look = looks(card, clock)
    look()
    here = {path: entry for path, entry in card.files.items() if path.startswith(HWMON)}
    card.change(dict.fromkeys(here))
    card.change({path.replace("hwmon3", "hwmon7"): entry for path, entry in here.items()})

    # The first look after it finds nothing where the sensors were, and so looks for them.
    assert look().fan_percent is None
    assert look().fan_percent == 40.0


# The bandwidth of the memory.


@pytest.mark.parametrize(
    ("version", "width", "clock", "bandwidth"),
    [
        (110000, 384, 1249, 959_232_000_000),  # RX 7900 XTX: 960 GB/s
        (100300, 256, 1000, 512_000_000_000),  # RX 6800 XT: 512 GB/s
        (90006, 4096, 1000, 1_024_000_000_000),  # Radeon VII: 1024 GB/s
        (90010, 4096, 1600, 1_638_400_000_000),  # one half of an MI250X: 1638 GB/s
    ],
)
def test_the_bandwidth_is_what_the_card_is_sold_with(
    version: int, width: int, clock: int, bandwidth: int
) -> None:
    node = kfd_node(1, 0x2D00, version, width=width, clock=clock, gpu_id=51111)

    (gpu,) = read(machine({**desktop_card(), **node}))

    assert gpu.memory_bandwidth_bytes_per_second == bandwidth


@pytest.mark.parametrize(
    ("version", "width", "clock", "cause"),
    [
        (80003, 256, 2000, Cause.NOT_SUPPORTED),  # of GDDR5, DDR3 or HBM
        (90402, 8192, 1300, Cause.NOT_SUPPORTED),  # HBM3
        (110000, 384, 100, Cause.NOT_SUPPORTED),  # the driver's placeholder
        (110000, 0, 1249, Cause.NOT_SUPPORTED),
        (110000, 2**40, 1249, Cause.GARBLED),
    ],
)
def test_the_bandwidth_is_not_guessed(version: int, width: int, clock: int, cause: Cause) -> None:
    node = kfd_node(1, 0x2D00, version, width=width, clock=clock, gpu_id=51111)

    (gpu,) = read(machine({**desktop_card(), **node}))

    assert gpu.unknown["memory_bandwidth_bytes_per_second"] is cause


def test_an_apus_bandwidth_is_not_known_from_the_clock_that_is_told() -> None:
    (gpu,) = read(recorded("strixpoint"))

    assert gpu.unknown["memory_bandwidth_bytes_per_second"] is Cause.NOT_SUPPORTED


def test_an_accelerators_bandwidth_is_what_its_firmware_tells() -> None:
    told = file(metrics(3872, (1, 8), {16: ("Q", 5300)}))

    (gpu,) = read(machine({**desktop_card(), f"{CARD}/gpu_metrics": told}))

    assert gpu.memory_bandwidth_bytes_per_second == 5_300_000_000_000


def test_in_a_container_kfd_refuses_what_the_card_still_tells() -> None:
    entries: Entries = {
        path: {"errno": "EPERM"} if path.startswith(f"{KFD}/topology") else entry
        for path, entry in desktop_card().items()
    }

    (gpu,) = read(machine(entries))

    assert gpu.unknown["memory_bandwidth_bytes_per_second"] is Cause.NO_PERMISSION
    assert gpu.memory_total_bytes == 24 * GIB


# Who it is.


@pytest.mark.parametrize("number", ["0000000000000000\n", "\n", "garbage\n", "1" * 17 + "\n"])
def test_a_number_that_is_none_leaves_the_address(number: str) -> None:
    (gpu,) = read(machine({**desktop_card(), f"{CARD}/unique_id": number}))

    assert gpu.uid == "0000:2d:00.0"


def two_cards() -> Entries:
    other = "/sys/class/drm/card1/device"
    return {
        **desktop_card(),
        **on_bus("744C", "0000:03:00.0", folder=other, revision="c8"),
        **memory(20 * GIB, GIB, 32 * GIB, 0, folder=other),
        f"{other}/gpu_busy_percent": "0\n",
        f"{other}/unique_id": "00000000000000aa\n",
    }


def test_cards_are_numbered_by_their_addresses_and_those_on_radeon_come_last() -> None:
    old = on_bus("6818", "0000:01:00.0", driver="radeon", folder="/sys/class/drm/card2/device")

    gpus = read(machine({**two_cards(), **old}))

    assert [(gpu.index, gpu.uid) for gpu in gpus] == [
        (0, "GPU-00000000000000aa"),
        (1, "GPU-4b2c1a9f8d3e6f7a"),
        (2, "0000:01:00.0"),
    ]


def test_a_number_that_two_cards_share_is_neithers() -> None:
    entries = {**two_cards(), "/sys/class/drm/card1/device/unique_id": "4b2c1a9f8d3e6f7a\n"}

    gpus = read(machine(entries))

    assert [gpu.uid for gpu in gpus] == ["0000:03:00.0", "0000:2d:00.0"]


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ("AMD Instinct MI210\n", "AMD Instinct MI210"),
        ("Instinct MI300X\n", "AMD Instinct MI300X"),
        ("\n", "AMD Radeon RX 7900 XTX"),
        ("\x1b[31mred\n", "AMD Radeon RX 7900 XTX"),
        ("x" * 5000, "AMD Radeon RX 7900 XTX"),
    ],
)
def test_a_card_is_called_what_it_says_or_else_what_libdrm_says(told: str, name: str) -> None:
    (gpu,) = read(machine({**desktop_card(), f"{CARD}/product_name": told}))

    assert gpu.name == name


def test_without_a_revision_a_card_is_called_what_the_pci_ids_say() -> None:
    (gpu,) = read(machine(without(desktop_card(), "revision")))

    assert gpu.name == "AMD Radeon RX 7900 XT/7900 XTX/7900 GRE/7900M"


# Who uses it.


def test_a_model_on_an_apu_lies_in_what_is_mapped() -> None:
    entries = {
        **apu(512 * MIB, 60 * GIB, gtt_used=25 * GIB),
        "/sys/class/drm/renderD128/device/uevent": "PCI_SLOT_NAME=0000:c1:00.0\n",
        "/proc/77/stat": f"77 (llama-server) S {'1 ' * 18}500 0\n",
        "/proc/77/fd/5": {"symlink": "/dev/dri/renderD128"},
        "/proc/77/fdinfo/5": (
            "pos:\t0\nflags:\t02100002\nmnt_id:\t25\nino:\t521\n"
            "drm-driver:\tamdgpu\ndrm-client-id:\t9\ndrm-pdev:\t0000:c1:00.0\npasid:\t32771\n"
            "drm-memory-vram:\t5348 KiB\ndrm-memory-gtt: \t25258000 KiB\n"
            "drm-memory-cpu: \t0 KiB\ndrm-engine-compute:\t812345678 ns\n"
        ),
    }

    (gpu,) = read(machine(entries))

    assert gpu.processes == (
        GpuProcess(
            pid=77,
            start_time=1_700_000_005.0,
            name="llama-server",
            memory_bytes=(5348 + 25_258_000) * KIB,
        ),
    )


def test_where_others_processes_are_hidden_that_none_is_seen_says_nothing() -> None:
    nobody = {path: entry for path, entry in desktop_card().items() if "/proc/4242" not in path}

    (seen,) = read(machine(nobody))
    (hidden,) = read(machine({**nobody, "/proc/2/stat": {"errno": "ENOENT"}}))

    assert seen.processes == ()
    assert (hidden.processes, hidden.unknown["processes"]) == (None, Cause.NO_PERMISSION)


def test_an_apu_is_asked_for_the_size_of_its_pool_once_a_look() -> None:
    clock = Clock()
    one = machine(apu(4 * GIB, 31 * GIB), clock=clock)
    look = looks(one, clock)
    look()
    one.opened.clear()

    look()

    assert len(one.opened) == len(set(one.opened))
    assert f"{CARD}/mem_info_vram_total" not in one.opened


def test_a_device_is_described_by_what_was_known_of_it() -> None:
    reader = open_reader(machine(desktop_card()))
    (device,) = reader.devices()
    before = reader.describe(device, Cause.TIMEOUT)
    reader.read(device)

    after = reader.describe(device, Cause.TIMEOUT)

    assert before.name == after.name == "AMD Radeon RX 7900 XTX"
    assert after.memory_bandwidth_bytes_per_second == 959_232_000_000
    assert before.unknown["memory_bandwidth_bytes_per_second"] is Cause.TIMEOUT
    assert after.unknown["memory_total_bytes"] is Cause.TIMEOUT
