from subprocess import CalledProcessError, TimeoutExpired

import pytest

from tests.readers.apple.machines import (
    AGX,
    MACOS_15,
    MACOS_26,
    RADEON,
    mac,
    printed,
    read,
    with_stats,
)
from vramline.readers.apple import open_reader
from vramline.readers.apple.memory import SYSCTL, default_limit
from vramline.readings import Cause, MemoryBound
from vramline.units import GIB, MIB

UNTOUCHED = {**AGX, "PerformanceStatistics": {"Alloc system memory": 0}}


def left_of(sysctl: str | Exception, *, total: int = 64 * GIB) -> int | None:
    """Return what the limit leaves where the GPU holds nothing and the host has all free."""
    (gpu,) = read(mac(printed(UNTOUCHED), total=total, available=total, sysctl=sysctl))
    return gpu.memory_free_bytes


# What Metal recommends on machines of these sizes, from public logs.
@pytest.mark.parametrize(
    ("version", "total_gib", "limit"),
    [
        ("15.6", 7, 4.67 * GIB),
        ("15.6", 16, 10922.67 * MIB),
        ("13.5", 32, 21845.34 * MIB),
        ("14.1", 36, 27648 * MIB),
        ("13.4", 64, 49152 * MIB),
        ("13.5", 96, 73728 * MIB),
        ("15.1", 128, 96 * GIB),
        ("26.4", 16, 12713.12e6),
        ("26.4", 18, 14302.25e6),
        ("26.1", 24, 19069.67e6),
        ("26.4", 32, 26800603136),
        ("26.4", 36, 30150.67e6),
        ("27.0", 48, 40200896512),
        ("26.4.1", 64, 55662788608),
        ("26.6.2", 128, 107.52 * GIB),
        ("26.0", 8, 8 * GIB * 2 / 3),
        ("16.0", 32, 26800603136),
    ],
)
def test_without_a_setting_the_limit_is_what_metal_recommends(
    version: str, total_gib: int, limit: float
) -> None:
    assert default_limit(total_gib * GIB, version) == pytest.approx(limit, rel=1e-3)


@pytest.mark.parametrize("version", ["", "x", "-26", "9" * 5000])
def test_a_version_that_is_none_has_the_older_lower_limits(version: str) -> None:
    assert default_limit(48 * GIB, version) == 36 * GIB


@pytest.mark.parametrize(
    ("sysctl", "limit"),
    [
        ("iogpu.wired_limit_mb: 57344\nkern.osproductversion: 15.6\n", 57344 * MIB),
        ("debug.iogpu.wired_limit: 27917287424\nkern.osproductversion: 13.5\n", 27917287424),
        ("iogpu.wired_limit_mb: 1024\ndebug.iogpu.wired_limit: 7\n", 1024 * MIB),
        ("debug.iogpu.wired_limit: 0\nkern.osproductversion: 13.5\n", 48 * GIB),
        ("iogpu.wired_limit_mb: 999999999\n", 64 * GIB),
        ("iogpu.wired_limit_mb: -1\n", 48 * GIB),
        ("iogpu.wired_limit_mb: 1e6\n", 48 * GIB),
        (f"iogpu.wired_limit_mb: {10**30}\n", 48 * GIB),
        ("no colon here\n", 48 * GIB),
        ("", 48 * GIB),
        (MACOS_15, 48 * GIB),
        (MACOS_26, 64 * GIB * 81 // 100),
        (CalledProcessError(1, SYSCTL), 48 * GIB),
        (TimeoutExpired(SYSCTL, 3.0), 48 * GIB),
        (FileNotFoundError(2, "No such file"), 48 * GIB),
    ],
)
def test_the_limit_is_what_was_set_or_else_the_systems_own(
    sysctl: str | Exception, limit: int
) -> None:
    assert left_of(sysctl) == limit


def test_a_setting_is_looked_at_every_ten_seconds_and_kept_where_that_fails() -> None:
    looks: list[tuple[float, str | Exception]] = [
        (100.0, "iogpu.wired_limit_mb: 1024\n"),
        (109.9, "iogpu.wired_limit_mb: 2048\n"),
        (110.0, TimeoutExpired(SYSCTL, 3.0)),
        (119.9, "iogpu.wired_limit_mb: 2048\n"),
        (120.0, "iogpu.wired_limit_mb: 2048\n"),
    ]
    times = iter([now for now, _ in looks])
    machine = mac(printed(UNTOUCHED), clock=lambda: next(times))
    reader = open_reader(machine)
    told: list[int] = []
    for _, answer in looks:
        machine.answers[SYSCTL] = answer
        told.extend((gpu.memory_free_bytes or 0) // MIB for gpu in reader.read("ioreg"))

    assert told == [1024, 1024, 1024, 1024, 2048]
    assert machine.runs.count(SYSCTL) == 3


def test_no_more_is_taken_off_the_limit_than_the_host_has_in_use() -> None:
    # Idle, with 14 GB of a 24 GB Mac allocated: most of that was never touched.
    entry = with_stats(AGX, **{"Alloc system memory": 14 * GIB})
    (gpu,) = read(mac(printed(entry), total=24 * GIB, available=18 * GIB))

    assert gpu.memory_free_bytes == 16 * GIB - 6 * GIB
    assert gpu.memory_free_bound_by is MemoryBound.WIRED_LIMIT


def test_a_limit_that_is_used_up_leaves_a_measured_zero() -> None:
    entry = with_stats(AGX, **{"Alloc system memory": 30 * GIB})
    (gpu,) = read(mac(printed(entry), total=32 * GIB, available=GIB))

    assert (gpu.memory_free_bytes, gpu.memory_free_bound_by) == (0, MemoryBound.WIRED_LIMIT)


def test_where_the_host_has_less_than_the_limit_leaves_that_is_what_is_free() -> None:
    (gpu,) = read(mac(printed(AGX), total=32 * GIB, available=3 * GIB))

    assert (gpu.memory_free_bytes, gpu.memory_free_bound_by) == (3 * GIB, MemoryBound.HOST)


def test_without_the_hosts_memory_there_is_none_to_tell() -> None:
    (gpu,) = read(mac(printed(AGX), total=None))

    names = ("memory_total_bytes", "memory_used_bytes", "memory_free_bytes")
    assert [gpu.unknown[name] for name in names] == [Cause.NOT_SUPPORTED] * 3
    assert gpu.utilization_percent == 7.0


def card(vendor_id: bytes, size: object, model: object = b"Radeon\0") -> dict[str, object]:
    return {"vendor-id": vendor_id, "VRAM,totalMB": size, "model": model}


AMD, NVIDIA = b"\x02\x10\0\0", b"\xde\x10\0\0"
NEWER = with_stats(RADEON, vramUsedBytes=None, inUseVidMemoryBytes=2 * GIB)


@pytest.mark.parametrize(
    ("cards", "total"),
    [
        ([card(AMD, 8192)], 8 * GIB),
        ([card(AMD, b"\0\x20\0\0")], 8 * GIB),
        ([card(NVIDIA, 4096), card(AMD, 8192)], 8 * GIB),
        ([card(AMD, 8192), {**card(AMD, 8192), "IORegistryEntryID": 2}], 8 * GIB),
    ],
)
def test_a_cards_size_is_that_of_its_entry_on_the_bus(
    cards: list[dict[str, object]], total: int
) -> None:
    (gpu,) = read(mac(printed(NEWER), cards=printed(*cards)))

    assert (gpu.memory_total_bytes, gpu.memory_used_bytes) == (total, 2 * GIB)
    assert (gpu.memory_free_bytes, gpu.name) == (5 * GIB, "Radeon")


@pytest.mark.parametrize(
    ("cards", "cause"),
    [
        ("", Cause.NOT_SUPPORTED),
        (printed(card(AMD, 4096), card(AMD, 8192)), Cause.NOT_SUPPORTED),
        (printed(card(NVIDIA, 8192)), Cause.NOT_SUPPORTED),
        (printed({"VRAM,totalMB": 8192}), Cause.NOT_SUPPORTED),
        (printed(card(AMD, -1)), Cause.GARBLED),
        (printed(card(AMD, 0)), Cause.GARBLED),
        (printed(card(AMD, 2**62)), Cause.GARBLED),
        (printed(card(AMD, "8192")), Cause.GARBLED),
        ("<plist>", Cause.NOT_SUPPORTED),
        (TimeoutExpired(SYSCTL, 3.0), Cause.NOT_SUPPORTED),
    ],
)
def test_a_size_that_cannot_be_told_leaves_the_rest(cards: str | Exception, cause: Cause) -> None:
    (gpu,) = read(mac(printed(NEWER), cards=cards))

    assert gpu.unknown["memory_total_bytes"] is cause
    assert (gpu.memory_used_bytes, gpu.memory_free_bytes) == (2 * GIB, 5 * GIB)


def test_a_size_that_does_not_hold_what_is_in_it_makes_no_sense() -> None:
    (gpu,) = read(mac(printed(NEWER), cards=printed(card(AMD, 1024))))

    names = ("memory_total_bytes", "memory_used_bytes", "memory_free_bytes")
    assert [gpu.unknown[name] for name in names] == [Cause.GARBLED] * 3


def test_a_mac_without_cards_does_not_look_for_any() -> None:
    assert len(read(mac(printed(AGX), cards=AssertionError("it was asked for")))) == 1
