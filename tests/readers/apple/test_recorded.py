from tests.readers.apple.machines import MACOS_26, mac, read, recorded
from vramline.readings import Cause, FrozenDict, GpuReading, MemoryBound, MemoryPool
from vramline.units import GIB

NEVER = (
    "pci_address",
    "cuda_version",
    "compute_capability",
    "memory_reserved_bytes",
    "memory_bandwidth_bytes_per_second",
    "memory_utilization_percent",
    "power_limit_watts",
    "throttle",
    "processes",
)
SENSORS = (
    "temperature_celsius",
    "power_watts",
    "clock_mhz",
    "memory_clock_mhz",
    "fan_percent",
)


def not_supported(*names: str) -> FrozenDict[str, Cause]:
    return FrozenDict(dict.fromkeys((*NEVER, *names), Cause.NOT_SUPPORTED))


def test_an_m1_max_before_it_told_its_name_is_named_after_its_driver() -> None:
    assert read(mac(recorded("m1max_macos12"), total=64 * GIB, available=50 * GIB)) == (
        GpuReading(
            uid="apple:0",
            vendor="apple",
            name="Apple G13X",
            index=0,
            driver_version="190.22",
            memory_pool=MemoryPool.UNIFIED,
            memory_total_bytes=64 * GIB,
            memory_used_bytes=14 * GIB,
            memory_free_bytes=48 * GIB - 1214005248,
            memory_free_bound_by=MemoryBound.WIRED_LIMIT,
            utilization_percent=2.0,
            unknown=not_supported(*SENSORS),
        ),
    )


def test_a_model_on_an_m2_pro_takes_what_is_allocated_off_the_limit() -> None:
    # With what is in use, 20.5 GiB of the limit would be left, and the host has 8.
    assert read(mac(recorded("m2pro_model_loaded"), available=8 * GIB)) == (
        GpuReading(
            uid="apple:0",
            vendor="apple",
            name="Apple M2 Pro",
            index=0,
            memory_pool=MemoryPool.UNIFIED,
            memory_total_bytes=32 * GIB,
            memory_used_bytes=24 * GIB,
            memory_free_bytes=32 * GIB * 2 // 3 - 16541990912,
            memory_free_bound_by=MemoryBound.WIRED_LIMIT,
            utilization_percent=42.0,
            unknown=not_supported("driver_version", *SENSORS),
        ),
    )


def test_an_idle_m5_pro_has_a_measured_zero_load_and_what_the_host_has() -> None:
    machine = mac(recorded("m5pro"), total=48 * GIB, available=30 * GIB, sysctl=MACOS_26)

    assert read(machine) == (
        GpuReading(
            uid="apple:0",
            vendor="apple",
            name="Apple M5 Pro",
            index=0,
            memory_pool=MemoryPool.UNIFIED,
            memory_total_bytes=48 * GIB,
            memory_used_bytes=18 * GIB,
            memory_free_bytes=30 * GIB,
            memory_free_bound_by=MemoryBound.HOST,
            utilization_percent=0.0,
            unknown=not_supported("driver_version", *SENSORS),
        ),
    )


def test_a_virtual_gpu_is_told_once_and_without_the_memory_of_the_card_it_plays() -> None:
    assert read(mac(recorded("paravirtual"), total=7 * GIB, available=5 * GIB)) == (
        GpuReading(
            uid="apple:0",
            vendor="apple",
            name="Apple Paravirt",
            index=0,
            memory_pool=MemoryPool.UNIFIED,
            memory_total_bytes=7 * GIB,
            memory_used_bytes=2 * GIB,
            memory_free_bytes=7 * GIB * 2 // 3 - 50103936,
            memory_free_bound_by=MemoryBound.WIRED_LIMIT,
            unknown=not_supported("driver_version", "utilization_percent", *SENSORS),
        ),
    )


def test_figures_that_intels_driver_adds_up_are_not_taken_for_those_of_now() -> None:
    assert read(mac(recorded("intel_icelake"), total=16 * GIB, available=9 * GIB)) == (
        GpuReading(
            uid="intel:0",
            vendor="intel",
            name="Intel GPU",
            index=0,
            memory_pool=MemoryPool.UNIFIED,
            memory_total_bytes=16 * GIB,
            memory_used_bytes=7 * GIB,
            unknown=not_supported(
                "driver_version", "utilization_percent", "memory_free_bytes", *SENSORS
            ),
        ),
    )


def test_where_a_card_has_no_sensors_its_zeros_are_no_measurements() -> None:
    assert read(mac(recorded("rx5500"))) == (
        GpuReading(
            uid="amd:0",
            vendor="amd",
            name="AMD Navi14",
            index=0,
            memory_used_bytes=435888128,
            memory_free_bytes=7461748736,
            unknown=not_supported(
                "driver_version", "memory_total_bytes", "utilization_percent", *SENSORS
            ),
        ),
    )


def test_a_mac_with_two_gpus_tells_of_both() -> None:
    machine = mac(
        recorded("two_gpus"),
        cards=recorded("two_gpus_cards"),
        total=16 * GIB,
        available=9 * GIB,
    )

    assert read(machine) == (
        GpuReading(
            uid="amd:0",
            vendor="amd",
            name="Radeon Pro 560X",
            index=0,
            memory_total_bytes=4 * GIB,
            memory_used_bytes=3007856640,
            memory_free_bytes=165969856,
            power_watts=26.0,
            memory_clock_mhz=300.0,
            unknown=not_supported(
                "driver_version",
                "utilization_percent",
                "temperature_celsius",
                "clock_mhz",
                "fan_percent",
            ),
        ),
        GpuReading(
            uid="intel:0",
            vendor="intel",
            name="Intel GPU",
            index=0,
            memory_pool=MemoryPool.UNIFIED,
            memory_total_bytes=16 * GIB,
            memory_used_bytes=7 * GIB,
            memory_free_bytes=1536 * 2**20 - 33492992,
            memory_free_bound_by=MemoryBound.WIRED_LIMIT,
            utilization_percent=0.0,
            unknown=not_supported("driver_version", *SENSORS),
        ),
    )
