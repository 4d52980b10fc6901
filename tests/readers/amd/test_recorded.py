from tests.readers.amd.machines import Clock, looks, read, recorded, unknown
from vramline.readings import GpuReading, MemoryBound, MemoryPool
from vramline.units import MIB

NEVER = ("cuda_version", "compute_capability", "driver_version", "memory_reserved_bytes")


def test_a_7900_xtx_whose_fan_stands_still() -> None:
    (gpu,) = read(recorded("rx7900xtx"))

    assert gpu == GpuReading(
        uid="0000:03:00.0",
        vendor="amd",
        name="AMD Radeon RX 7900 XT/7900 XTX/7900 GRE/7900M",
        index=0,
        pci_address="0000:03:00.0",
        utilization_percent=3.0,
        temperature_celsius=53.0,
        power_watts=68.0,
        power_limit_watts=290.0,
        clock_mhz=31.0,
        memory_clock_mhz=1249.0,
        fan_percent=0.0,
        processes=(),
        unknown=unknown(
            not_supported=(
                *NEVER,
                "memory_total_bytes",
                "memory_used_bytes",
                "memory_free_bytes",
                "memory_bandwidth_bytes_per_second",
                "memory_utilization_percent",
                "throttle",
            )
        ),
    )


def test_a_card_of_the_first_gcn_has_no_utilisation_and_no_power() -> None:
    (gpu,) = read(recorded("r7_240"))

    assert gpu == GpuReading(
        uid="0000:01:00.0",
        vendor="amd",
        name="AMD Radeon R7 200 Series",
        index=0,
        pci_address="0000:01:00.0",
        memory_total_bytes=2048 * MIB,
        memory_used_bytes=495_321_088,
        memory_free_bytes=2048 * MIB - 495_321_088,
        temperature_celsius=52.0,
        clock_mhz=400.0,
        memory_clock_mhz=1150.0,
        fan_percent=100.0 * 103 / 255,
        processes=(),
        unknown=unknown(
            not_supported=(
                *NEVER,
                "memory_bandwidth_bytes_per_second",
                "utilization_percent",
                "memory_utilization_percent",
                "power_watts",
                "power_limit_watts",
                "throttle",
            )
        ),
    )


def test_an_apu_with_little_memory_of_its_own_has_the_hosts() -> None:
    clock = Clock()
    look = looks(recorded("strixpoint", clock=clock), clock)
    first = look()
    second = look()

    assert first.throttle is None
    assert first.unknown["throttle"] == "first_sample"
    assert second == GpuReading(
        uid="0000:c1:00.0",
        vendor="amd",
        name="AMD Radeon 880M / 890M",
        index=0,
        pci_address="0000:c1:00.0",
        memory_pool=MemoryPool.GTT,
        memory_total_bytes=16_441_004_032,
        memory_used_bytes=3_946_811_392,
        memory_free_bytes=16_441_004_032 - 3_946_811_392,
        memory_free_bound_by=MemoryBound.GTT,
        utilization_percent=3.0,
        temperature_celsius=38.0,
        power_watts=9.087,
        clock_mhz=848.0,
        memory_clock_mhz=836.0,
        throttle=(),
        processes=(),
        unknown=unknown(
            not_supported=(
                *NEVER,
                "memory_bandwidth_bytes_per_second",
                "memory_utilization_percent",
                "power_limit_watts",
                "fan_percent",
            )
        ),
    )


def test_a_vega_beside_an_intel_card_is_told_alone_and_by_its_own_number() -> None:
    (gpu,) = read(recorded("vega56"))

    assert gpu == GpuReading(
        uid="GPU-0123456789abcdef",
        vendor="amd",
        name="AMD Radeon RX Vega 56/64",
        index=0,
        pci_address="0000:09:00.0",
        memory_total_bytes=8_573_157_376,
        memory_used_bytes=1_490_378_752,
        memory_free_bytes=8_573_157_376 - 1_490_378_752,
        utilization_percent=4.0,
        clock_mhz=852.0,
        memory_clock_mhz=167.0,
        processes=(),
        unknown=unknown(
            not_supported=(
                *NEVER,
                "memory_bandwidth_bytes_per_second",
                "memory_utilization_percent",
                "temperature_celsius",
                "power_watts",
                "power_limit_watts",
                "fan_percent",
                "throttle",
            )
        ),
    )


def test_a_card_on_radeon_is_listed_with_the_reason_why_it_tells_nothing() -> None:
    (gpu,) = read(recorded("hd7870"))

    assert gpu == GpuReading(
        uid="0000:01:00.0",
        vendor="amd",
        name="AMD Radeon HD 7870 GHz Edition",
        index=0,
        pci_address="0000:01:00.0",
        temperature_celsius=27.0,
        unknown=unknown(
            not_supported=("driver_version",),
            driver_exposes_nothing=(
                "cuda_version",
                "compute_capability",
                "memory_total_bytes",
                "memory_used_bytes",
                "memory_free_bytes",
                "memory_reserved_bytes",
                "memory_bandwidth_bytes_per_second",
                "utilization_percent",
                "memory_utilization_percent",
                "power_watts",
                "power_limit_watts",
                "clock_mhz",
                "memory_clock_mhz",
                "fan_percent",
                "throttle",
                "processes",
            ),
        ),
    )
