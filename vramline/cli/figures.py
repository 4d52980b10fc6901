"""One device's figures, as the words that stand in the table's columns."""

from collections.abc import Callable
from dataclasses import dataclass

from vramline.readings import Cause, GpuReading, HostReading
from vramline.units import format_bytes

UNKNOWN = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What the columns hold for one device.

    Attributes:
        fraction: How full its memory is, from 0 to 1.
        cells: As many as there are columns. Empty where the device has no such thing.
        any_known: Whether at least one figure is known.
    """

    fraction: float | None
    cells: tuple[str, ...]
    any_known: bool


@dataclass(frozen=True, slots=True)
class Column:
    """Fields of a reading that share a column, and how they are written there."""

    fields: tuple[str, ...]
    words: Callable[..., str]


def figures_of(device: GpuReading | HostReading) -> Figures:
    """Return the device's figures, as words."""
    columns = GPU_COLUMNS if isinstance(device, GpuReading) else HOST_COLUMNS
    values = [tuple(getattr(device, field) for field in column.fields) for column in columns]
    told = [
        any(device.unknown.get(field) is not Cause.ON_PARENT for field in column.fields)
        for column in columns
    ]
    cells = [
        column.words(*each) if is_told and column.fields else ""
        for column, each, is_told in zip(columns, values, told, strict=True)
    ]
    used, total = values[0]
    return Figures(
        fraction=used / total if used is not None and total else None,
        cells=tuple(cells),
        any_known=any(value is not None for each in values for value in each),
    )


def _size(count_bytes: int | None) -> str:
    return UNKNOWN if count_bytes is None else format_bytes(count_bytes)


def _rounded(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.0f}"


def _memory(used: int | None, total: int | None) -> str:
    return f"{_size(used)} / {_size(total)}"


def _free(free: int | None) -> str:
    return f"{_size(free)} free"


def _busy(percent: float | None) -> str:
    return f"{_rounded(percent)} % busy"


def temperature(celsius: float | None) -> str:
    """Return a temperature, as words."""
    return f"{_rounded(celsius)} °C"


def _power(watts: float | None, limit: float | None) -> str:
    return f"{_rounded(watts)} / {_rounded(limit)} W"


def _nothing() -> str:
    return ""


GPU_COLUMNS = (
    Column(("memory_used_bytes", "memory_total_bytes"), _memory),
    Column(("memory_free_bytes",), _free),
    Column(("utilization_percent",), _busy),
    Column(("temperature_celsius",), temperature),
    Column(("power_watts", "power_limit_watts"), _power),
)
HOST_COLUMNS = (
    Column(("memory_used_bytes", "memory_total_bytes"), _memory),
    Column(("memory_available_bytes",), _free),
    Column(("cpu_percent",), _busy),
    Column((), _nothing),
    Column((), _nothing),
)
