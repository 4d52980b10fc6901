"""``gpu_metrics``: many figures of one card in one binary file, in a layout of its own number.

The layouts are the structures of the kernel's ``kgd_pp_interface.h``, in natural
alignment, with a header that tells size, format and revision. What a chip does
not tell is left at all ones.
https://docs.kernel.org/gpu/amdgpu/thermal.html#gpu-metrics
https://github.com/torvalds/linux/blob/master/drivers/gpu/drm/amd/include/kgd_pp_interface.h
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace

from vramline.readings import Cause, FrozenDict

LARGEST_FILE = 65535
"""The header has 16 bits for the size."""

POWER, CURRENT, THERMAL, OTHER = "power_cap", "current_limit", "software_thermal", "other"
HOT_SIGNAL = "hardware_thermal"


@dataclass(frozen=True, slots=True)
class Field:
    """Where in a layout a figure is.

    Attributes:
        offsets: The first of them that the chip tells counts.
        divisor: How many of its units make one of ours.
        most: What lies above makes no sense, in our unit.
        code: Its type, as ``struct`` writes it.
    """

    offsets: tuple[int, ...]
    most: float
    divisor: int = 1
    code: str = "H"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """One revision of the structure.

    Attributes:
        status: Where the throttle bits are that mean the same on every chip.
            The older ones mean something else on each, so they are not read.
        residencies: Where the counters are that grow while something throttles,
            and what it is.
    """

    size: int
    is_apu: bool = False
    fields: Mapping[str, Field]
    status: int | None = None
    residencies: Mapping[int, str] = FrozenDict()


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """What the file told. A figure that is not known is its cause.

    Attributes:
        is_apu: The formats 2 and 3 are those of APUs. ``None`` where the file told nothing.
        throttle: Why the clocks are held down, where the chip tells it as bits.
        residencies: Where it tells it as counters, these, by the reason.
    """

    is_apu: bool | None = None
    utilization_percent: float | Cause
    memory_utilization_percent: float | Cause
    temperature_celsius: float | Cause
    power_watts: float | Cause
    clock_mhz: float | Cause
    memory_clock_mhz: float | Cause
    fan_rpm: float | Cause
    memory_bandwidth_gigabytes_per_second: float | Cause
    throttle: tuple[str, ...] | Cause
    residencies: Mapping[str, int] = FrozenDict()


def nothing(cause: Cause) -> Metrics:
    """Return metrics of which nothing is known for one cause."""
    return Metrics(
        utilization_percent=cause,
        memory_utilization_percent=cause,
        temperature_celsius=cause,
        power_watts=cause,
        clock_mhz=cause,
        memory_clock_mhz=cause,
        fan_rpm=cause,
        memory_bandwidth_gigabytes_per_second=cause,
        throttle=cause,
    )


def parse(content: bytes) -> Metrics:
    """Return the figures in the file's content.

    A header that makes no sense, a size that is not its revision's and a file
    that is shorter than it are refused whole. The file may be longer than the
    size: 4096 bytes were seen for 120.
    """
    if len(content) < 4:
        return nothing(Cause.GARBLED)
    size, format_revision, content_revision = struct.unpack_from("<HBB", content)
    if not 4 <= size <= len(content) or format_revision == 0:
        return nothing(Cause.GARBLED)
    layouts = LAYOUTS.get((format_revision, content_revision))
    if layouts is None:  # newer than this table
        return nothing(Cause.NOT_SUPPORTED)
    for layout in layouts:
        if layout.size == size:
            return _figures(layout, content)
    return nothing(Cause.GARBLED)


def _figures(layout: Layout, content: bytes) -> Metrics:
    figures = {name: _figure(field, content) for name, field in layout.fields.items()}
    return replace(
        nothing(Cause.NOT_SUPPORTED),
        is_apu=layout.is_apu,
        throttle=_throttle(layout, content),
        residencies=FrozenDict(_residencies(layout, content)),
        **figures,
    )


def _figure(field: Field, content: bytes) -> float | Cause:
    for offset in field.offsets:
        number = _number(field.code, content, offset)
        if number is not None:
            value = number / field.divisor
            return value if value <= field.most else Cause.GARBLED
    return Cause.NOT_SUPPORTED


def _number(code: str, content: bytes, offset: int) -> int | None:
    """Return the unsigned number, ``None`` where all its bits are set."""
    number: int = struct.unpack_from(f"<{code}", content, offset)[0]
    return None if number == 2 ** (8 * struct.calcsize(f"<{code}")) - 1 else number


def _residencies(layout: Layout, content: bytes) -> dict[str, int]:
    """Return the counters by their reason. Where several have one, their sum grows as each does."""
    counters: dict[str, int] = {}
    for offset, reason in layout.residencies.items():
        number = _number("I", content, offset)
        if number is not None:
            counters[reason] = counters.get(reason, 0) + number
    return counters


HOTSPOT = 1 << 36
CPU_BITS = 1 << 21 | 1 << 33
"""The CPU cores' own current and temperature."""

THROTTLE_BITS = {
    0x0000_0000_0000_FFFF: POWER,
    0x0000_0000_FFFF_0000: CURRENT,
    0x0000_0FFF_0000_0000: THERMAL,
    0x0000_F000_0000_0000: HOT_SIGNAL,
    0xFFFF_0000_0000_0000: OTHER,
}
"""The ``SMU_THROTTLER_*_BIT`` of the kernel's ``amdgpu_smu.h``, by their groups: limits of
power, of current, of a temperature, then the regulators' and the processor's own signals that
they are hot (VRHOT, PROCHOT), and the rest. A reason that NVIDIA has too has the same name."""


def _throttle(layout: Layout, content: bytes) -> tuple[str, ...] | Cause:
    if layout.status is None:
        return Cause.NOT_SUPPORTED
    bits = _number("Q", content, layout.status)
    if bits is None:
        return Cause.NOT_SUPPORTED
    # RDNA 3 sets the hotspot's bit nearly always, far below the limit; MangoHud leaves it out
    # too: https://github.com/flightlessmango/MangoHud/blob/master/src/amdgpu.cpp
    bits &= ~(HOTSPOT | CPU_BITS)
    return tuple(name for group, name in THROTTLE_BITS.items() if bits & group)


_HOTTEST = 300
_FASTEST = 100_000
_STRONGEST = 10_000


def _desktop(size: int, start: int, *, status: int | None = None) -> Layout:
    """Return a layout of cards of their own, from Vega 20 to RDNA 4."""
    return Layout(
        size=size,
        status=status,
        fields={
            "temperature_celsius": Field((start,), _HOTTEST),
            "utilization_percent": Field((start + 12,), 100),
            "memory_utilization_percent": Field((start + 14,), 100),
            "power_watts": Field((start + 18,), _STRONGEST),
            "clock_mhz": Field((54, 40), _FASTEST),
            "memory_clock_mhz": Field((58, 44), _FASTEST),
            "fan_rpm": Field((72,), _FASTEST),
        },
    )


def _accelerator(
    size: int, clock: int, memory_clock: int, *, residencies: int | None = None, told: bool = False
) -> Layout:
    """Return a layout of MI300 and what follows it; *told*: with the memory's bandwidth."""
    fields = {
        "temperature_celsius": Field((4,), _HOTTEST),
        "power_watts": Field((10,), _STRONGEST),
        "utilization_percent": Field((12,), 100),
        "memory_utilization_percent": Field((14,), 100),
        "clock_mhz": Field((clock,), _FASTEST),
        "memory_clock_mhz": Field((memory_clock,), _FASTEST),
    }
    if told:
        fields["memory_bandwidth_gigabytes_per_second"] = Field((16,), 1e6, code="Q")
    reasons = (HOT_SIGNAL, POWER, THERMAL, THERMAL, THERMAL)
    places = range(residencies, residencies + 20, 4) if residencies is not None else ()
    return Layout(
        size=size, fields=fields, residencies=FrozenDict(zip(places, reasons, strict=False))
    )


def _apu(size: int, *, status: int | None = None, scaled: bool = False) -> Layout:
    """Return a layout of APUs from Renoir on; *scaled*: the kernel says in which units.

    In the others percents are hundredths on one chip and whole on the next, and
    powers watts or thousandths, so these are not read. Temperatures are hundredths
    on all of them.
    """
    fields = {
        "temperature_celsius": Field((4,), _HOTTEST, 100),
        "clock_mhz": Field((76, 64), _FASTEST),
        "memory_clock_mhz": Field((80, 68), _FASTEST),
    }
    if scaled:
        fields["utilization_percent"] = Field((28,), 100, 100)
        fields["power_watts"] = Field((40,), _STRONGEST, 1000)
    return Layout(size=size, is_apu=True, status=status, fields=fields)


_APU_2_0 = Layout(
    size=120,
    is_apu=True,
    fields={
        "temperature_celsius": Field((16,), _HOTTEST, 100),
        "clock_mhz": Field((80, 68), _FASTEST),
        "memory_clock_mhz": Field((84, 72), _FASTEST),
    },
)

_APU_3_0 = Layout(
    size=264,
    is_apu=True,
    fields={
        "temperature_celsius": Field((4,), _HOTTEST, 100),
        "utilization_percent": Field((42,), 100),
        "power_watts": Field((112,), _STRONGEST, 1000, "I"),
        "clock_mhz": Field((174,), _FASTEST),
        "memory_clock_mhz": Field((186,), _FASTEST),
    },
    # The counter of the CPU cores' temperature, at 244, is none of the GPU's.
    residencies={
        228: HOT_SIGNAL,
        232: POWER,
        236: POWER,
        240: POWER,
        248: THERMAL,
        252: THERMAL,
    },
)

LAYOUTS: Mapping[tuple[int, int], tuple[Layout, ...]] = {
    (1, 0): (_desktop(80, 16),),
    (1, 1): (_desktop(96, 4),),
    (1, 2): (_desktop(104, 4),),
    (1, 3): (_desktop(120, 4, status=112),),
    (1, 4): (_accelerator(288, 240, 280),),
    (1, 5): (_accelerator(360, 312, 352),),
    # Two that differ were given this number, one after the other.
    (1, 6): (
        _accelerator(1664, 264, 304, residencies=36),
        _accelerator(384, 336, 376, residencies=108),
    ),
    (1, 7): (_accelerator(2208, 296, 336, residencies=44, told=True),),
    (1, 8): (_accelerator(3872, 296, 336, residencies=44, told=True),),
    (2, 0): (_APU_2_0,),
    (2, 1): (_apu(120),),
    (2, 2): (_apu(128, status=120),),
    (2, 3): (_apu(152, status=120),),
    (2, 4): (_apu(168, status=120, scaled=True),),
    (3, 0): (_APU_3_0,),
}
"""By format and revision. 1.9 and later are lists of pairs instead."""
