"""Machines with Windows, and what is read on them.

The figures are those of public reports, and none is a copy of one: tests/data/windows/SOURCES.md
tells which are from where.
"""

from typing import Any

from tests.readers.breakage import unexplained
from tests.readers.windows.standin import FakeWindows, adapter, array, collection
from vramline.readers.windows import open_reader
from vramline.readings import Cause, GpuProcess, GpuReading, MemoryPool, ProcessKind
from vramline.units import GIB, MIB

NEVER = dict.fromkeys(
    (
        "cuda_version",
        "compute_capability",
        "memory_bandwidth_bytes_per_second",
        "memory_reserved_bytes",
        "memory_utilization_percent",
        "power_watts",
        "power_limit_watts",
        "throttle",
    ),
    Cause.NOT_SUPPORTED,
)
SENSORS = dict.fromkeys(
    ("temperature_celsius", "fan_percent", "clock_mhz", "memory_clock_mhz"), Cause.NOT_SUPPORTED
)
FIRST = {"utilization_percent": Cause.FIRST_SAMPLE}
PLACE = {"address": {"bus": 3, "device": 0, "function": 0}}
BASIC = adapter(0x17034, (0x1414, 0x8C), "Microsoft Basic Render Driver")


def instance(luid: int, physical: int = 0) -> str:
    return f"luid_0x{luid >> 32:08X}_0x{luid & 0xFFFFFFFF:08X}_phys_{physical}"


def holder(pid: int, luid: int) -> str:
    return f"pid_{pid}_{instance(luid)}"


def engine(pid: int, luid: int, number: int, kind: str) -> str:
    return f"{holder(pid, luid)}_eng_{number}_engtype_{kind}"


# A whole card: Radeon RX 5700 XT on Windows 11. The figures of its sensors and of its memory are
# those of a public report; how much memory it has is the card's own, and not in the report.
# https://github.com/mathoudebine/turing-smart-screen-python/issues/139

NAVI = 0xD1F2
NAVI_USED = int(1164.87109375 * MIB)


def navi(**changes: Any) -> FakeWindows:
    listed = adapter(
        NAVI,
        (0x1002, 0x731F),
        "AMD Radeon RX 5700 XT",
        dedicated_video_memory=8 * GIB,
        shared_system_memory=16 * GIB,
    )
    arrays = {
        "adapter_dedicated": array((instance(NAVI), NAVI_USED)),
        "adapter_shared": array((instance(NAVI), int(196.86328125 * MIB))),
        "process_local": array((holder(4120, NAVI), 700 * MIB), (holder(612, NAVI), 90 * MIB)),
    }
    busy = array(
        (engine(612, NAVI, 0, "3D"), 3.0),
        (engine(4120, NAVI, 0, "3D"), 0.724090337753296),
        (engine(4120, NAVI, 4, "Video Codec 0"), 8.5394926071167),
        (engine(9000, NAVI, 8, "Compute_1"), 1.5),
        zeros=120,
    )
    first = collection(**arrays, engine=array(status=0xC0000BC6))
    options: dict[str, Any] = {
        "lasting": {
            NAVI: {
                **PLACE,
                "driver_version": {"version": 31 << 48 | 12027 << 16 | 9001},
            }
        },
        "present": {
            NAVI: {
                "engine": {"frequency": 168_000_000},
                "limits": {"max_fan_rpm": 3372},
                "performance": {
                    "temperature": 570,
                    "fan_rpm": 843,
                    "memory_frequency": 1_744_000_000,
                    "power": 120,
                },
            }
        },
        "integrated": {NAVI: False},
        "collections": [first, collection(**arrays, engine=busy)],
    }
    return FakeWindows([listed, BASIC], **{**options, **changes})


NAVI_READING = GpuReading(
    uid="0000:03:00.0",
    vendor="amd",
    name="AMD Radeon RX 5700 XT",
    index=0,
    pci_address="0000:03:00.0",
    driver_version="31.0.12027.9001",
    memory_total_bytes=8 * GIB,
    memory_used_bytes=NAVI_USED,
    memory_free_bytes=8 * GIB - NAVI_USED,
    utilization_percent=8.5394926071167,
    temperature_celsius=57.0,
    fan_percent=25.0,
    clock_mhz=168.0,
    memory_clock_mhz=1744.0,
    processes=(
        GpuProcess(
            pid=612,
            start_time=1700000612.0,
            name="dwm.exe",
            user="PC\\user",
            memory_bytes=90 * MIB,
            kind=ProcessKind.GRAPHICS,
        ),
        GpuProcess(pid=4120, memory_bytes=700 * MIB, kind=ProcessKind.GRAPHICS),
        GpuProcess(pid=9000, memory_bytes=0, kind=ProcessKind.COMPUTE),
    ),
    unknown=NEVER,
)


# Strix Halo: the join by LUID, and a third LUID that is nobody's.
# https://github.com/unslothai/unsloth/pull/8863

HALO = 86826
STRANGER = 94361
HALO_DEDICATED, HALO_SHARED = int(0.947 * GIB), int(0.141 * GIB)


def halo(*, carve_out: int, shared: int, **changes: Any) -> FakeWindows:
    listed = adapter(
        HALO,
        (0x1002, 0x1586),
        "AMD Radeon(TM) 8060S Graphics",
        dedicated_video_memory=carve_out,
        shared_system_memory=shared,
    )
    arrays = collection(
        adapter_dedicated=array(
            (instance(STRANGER), 0), (instance(HALO), HALO_DEDICATED), (instance(94260), 0)
        ),
        adapter_shared=array(
            (instance(STRANGER), int(1.273 * GIB)),
            (instance(HALO), HALO_SHARED),
            (instance(94260), 0),
        ),
        process_local=array((holder(70, HALO), 3 * GIB), (holder(70, STRANGER), GIB)),
        process_non_local=array((holder(70, HALO), 1 * GIB), (holder(71, HALO), 2 * GIB)),
    )
    lasting = {
        HALO: {
            "address": {"bus": 0xC5, "device": 0, "function": 0},
            "driver_version": {"version": 32 << 48 | 21041 << 16 | 1000},
        }
    }
    basic = adapter(94260, (5140, 140), "Microsoft Basic Render Driver")
    options = {"lasting": lasting, "integrated": {HALO: True}, "collections": [arrays], **changes}
    return FakeWindows([basic, listed], **options)


HALO_READING = GpuReading(
    uid="0000:c5:00.0",
    vendor="amd",
    name="AMD Radeon(TM) 8060S Graphics",
    index=0,
    pci_address="0000:c5:00.0",
    driver_version="32.0.21041.1000",
    memory_pool=MemoryPool.VRAM,
    memory_total_bytes=96 * GIB,
    memory_used_bytes=HALO_DEDICATED,
    memory_free_bytes=96 * GIB - HALO_DEDICATED,
    processes=(GpuProcess(pid=70, memory_bytes=3 * GIB, kind=ProcessKind.GRAPHICS),),
    unknown={**NEVER, **SENSORS, **FIRST},
)


# Intel HD 630 and GTX 1050 on Windows 10: the names of engines.
# https://forum.rainmeter.net/viewtopic.php?t=29135

HD_630, GTX_1050 = 0xA18D, 0x95CA


def two_gpus(**changes: Any) -> FakeWindows:
    listed = [
        adapter(
            HD_630,
            (0x8086, 0x5912),
            "Intel(R) HD Graphics 630",
            dedicated_video_memory=128 * MIB,
            shared_system_memory=8 * GIB,
        ),
        adapter(
            GTX_1050,
            (0x10DE, 0x1C81),
            "NVIDIA GeForce GTX 1050",
            dedicated_video_memory=2 * GIB,
            shared_system_memory=8 * GIB,
        ),
    ]
    arrays = {
        "adapter_dedicated": array((instance(HD_630), 0), (instance(GTX_1050), 300 * MIB)),
        "adapter_shared": array((instance(HD_630), 200 * MIB), (instance(GTX_1050), 50 * MIB)),
    }
    busy = array(
        ("pid_9524_luid_0x00000000_0x000095CA_phys_0_eng_0_engtype_3D", 40.0),
        ("pid_14904_luid_0x00000000_0x0000A18D_phys_0_eng_4_engtype_VideoDecode", 7.5),
    )
    options: dict[str, Any] = {
        "lasting": {
            HD_630: {"address": {"bus": 0, "device": 2, "function": 0}},
            GTX_1050: {"address": {"bus": 1, "device": 0, "function": 0}},
        },
        "collections": [collection(**arrays), collection(**arrays, engine=busy)],
    }
    return FakeWindows(listed, **{**options, **changes})


# How much memory a card has, where DXGI says zero.
# https://github.com/AlexsJones/llmfit/issues/830

AMPERE = 0x1234
REGISTERED = [
    {"device": r"PCI\VEN_1002&DEV_164E&SUBSYS_88771043", "memory_bytes": 536870912},
    {"device": r"pci\ven_10de&dev_2206&subsys_40301458", "memory_bytes": 10737418240},
    {"device": r"PCI\VEN_10DE&DEV_22060", "memory_bytes": 1},
    {"device": None, "memory_bytes": 7},
]


def ampere(registered: list[dict[str, Any]]) -> FakeWindows:
    listed = adapter(
        AMPERE, (0x10DE, 0x2206), "NVIDIA GeForce RTX 3080", shared_system_memory=16 * GIB
    )
    return FakeWindows(
        [listed],
        integrated={AMPERE: False},
        lasting={AMPERE: PLACE},
        registered=registered,
        collections=[collection(adapter_dedicated=array((instance(AMPERE), GIB)))],
    )


def second_look(windows: FakeWindows, key: str = "0000:03:00.0") -> GpuReading:
    reader = open_reader(windows.machine(names={612: "dwm.exe"}))
    reader.read(key)
    windows.now += 1
    [gpu] = reader.read(key)
    assert unexplained(gpu) == set()
    return gpu


COUNTED = ("memory_used_bytes", "memory_free_bytes", "utilization_percent", "processes")
