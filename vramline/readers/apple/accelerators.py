"""From the entries of GPU drivers in the IO registry to readings."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields

from vramline.errors import ReadError, ReaderUnavailableError
from vramline.machine import Machine
from vramline.readers.apple import registry
from vramline.readers.apple.memory import UnifiedMemory, own_memory
from vramline.readers.apple.registry import Entry, Figures, measure, percent, text
from vramline.readers.causes import settle
from vramline.readers.unread import unread
from vramline.readings import Cause, GpuReading, GpuState, MemoryPool
from vramline.units import MIB

_FIGURES = [
    field.name
    for field in fields(GpuReading)
    if field.default is None
    and field.name not in {"index", "parent_uid", "cuda_index", "memory_free_bound_by"}
]

_COMMON_WORDS = re.compile(
    r"^.*_|AMD(Radeon)?|AGX|Apple|Intel|^NV|Graphics|Accelerator|GPU", re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Whose GPU it is, as the class of its driver tells."""

    pattern: re.Pattern[str]
    vendor: str
    maker: str
    has_own_memory: bool


def _kind(pattern: str, vendor: str, maker: str, *, has_own_memory: bool) -> Kind:
    compiled = re.compile(pattern, re.IGNORECASE)
    return Kind(pattern=compiled, vendor=vendor, maker=maker, has_own_memory=has_own_memory)


KINDS = (
    _kind(r"^NV|GeForce", "nvidia", "NVIDIA", has_own_memory=True),
    _kind(r"^AMD|^ATI", "amd", "AMD", has_own_memory=True),
    _kind(r"Intel", "intel", "Intel", has_own_memory=False),
    # AGX on Apple's chips, AppleParavirtGPU in a virtual machine on one of them.
    _kind(r"", "apple", "Apple", has_own_memory=False),
)

PCI_VENDORS = {b"\xde\x10": "nvidia", b"\x02\x10": "amd"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What the entries of a vendor's cards on the PCI bus agree on."""

    name: str | None
    memory_bytes: int | Cause


UNKNOWN_CARD = Card(name=None, memory_bytes=Cause.NOT_SUPPORTED)


class Mac:
    """What lasts from one reading of a Mac's GPUs to the next."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._memory = UnifiedMemory(machine)
        self._drivers: list[str] = []
        self._cards: Mapping[str, Card] = {}

    def known(self, entries: Sequence[Entry]) -> GpuReading:
        """Return what is known of the first GPU, or the only one, without its figures."""
        return settle(GpuReading, next(self._identities(entries)))

    def read(self, entries: Sequence[Entry]) -> list[GpuReading]:
        """Return a reading for each entry.

        A GPU that the system has switched off, in a Mac that has two, is asleep, and its figures
        are not of now. A monitor that asks as often finds it off all the same
        (https://github.com/exelban/stats/blob/master/Modules/GPU/reader.swift).
        """
        readings = []
        for entry, identity in zip(entries, self._identities(entries), strict=True):
            if _is_off(entry):
                gpu = settle(GpuReading, identity)
                readings.append(unread(gpu, GpuState.ASLEEP, Cause.ASLEEP))
            else:
                stats = registry.table(entry, "PerformanceStatistics")
                figures = {**identity, **self._memory_of(entry, stats), **sensors(stats)}
                readings.append(settle(GpuReading, figures))
        return readings

    def _identities(self, entries: Sequence[Entry]) -> Iterator[dict[str, object]]:
        """Give what each GPU is.

        No number of its own outlives a boot: that of the entry is given anew each time, and
        there is no PCI address. So a GPU is named by its place among those of its vendor,
        which is the only one but in a Mac with several cards of one make.
        """
        self._find_cards(entries)
        numbers: dict[str, int] = {}
        for entry in entries:
            kind = _kind_of(entry)
            number = numbers[kind.vendor] = numbers.get(kind.vendor, -1) + 1
            pool = MemoryPool.VRAM if kind.has_own_memory else MemoryPool.UNIFIED
            yield {
                **dict.fromkeys(_FIGURES, Cause.NOT_SUPPORTED),
                "uid": f"{kind.vendor}:{number}",
                "vendor": kind.vendor,
                "index": number,
                "name": text(entry, "model") or self._card(kind).name or _name(kind, entry),
                "driver_version": text(entry, "IOSourceVersion") or Cause.NOT_SUPPORTED,
                "memory_pool": pool,
            }

    def _find_cards(self, entries: Sequence[Entry]) -> None:
        """Look for the cards anew when there are others, as one in a box of its own comes and goes.

        It starts a program, and what that tells stays the same.
        """
        drivers = [_class_of(entry) for entry in entries if _kind_of(entry).has_own_memory]
        if drivers != self._drivers:
            self._drivers = drivers
            self._cards = find_cards(self._machine) if drivers else {}

    def _memory_of(self, entry: Entry, stats: Figures) -> dict[str, object]:
        kind = _kind_of(entry)
        if kind.has_own_memory:
            return own_memory(stats, self._card(kind).memory_bytes)
        return self._memory.intel(stats) if kind.vendor == "intel" else self._memory.apple(stats)

    def _card(self, kind: Kind) -> Card:
        return self._cards.get(kind.vendor, UNKNOWN_CARD)


def sensors(stats: Figures) -> dict[str, object]:
    """Return the load and, of AMD's cards, what their sensors tell.

    Apple's and Intel's have none of these. ``"GPU Activity(%)"`` is the card's own figure.
    """
    figures: dict[str, object] = {
        "utilization_percent": percent(stats, "GPU Activity(%)", "Device Utilization %"),
        # 128 is what a sensor tells that is not there.
        "temperature_celsius": measure(stats, "Temperature(C)", most=127),
        "power_watts": measure(stats, "Total Power(W)", most=1e5),
        "clock_mhz": measure(stats, "Core Clock(MHz)", most=1e5),
        "memory_clock_mhz": measure(stats, "Memory Clock(MHz)", most=1e5),
        "fan_percent": percent(stats, "Fan Speed(%)"),
    }
    # Some cards' drivers tell zero for all, load too: that is no measurement
    # (https://github.com/exelban/stats/issues/451).
    if figures["clock_mhz"] == 0 and not any(
        isinstance(figures[name], float) and figures[name]
        for name in ("temperature_celsius", "power_watts")
    ):
        return {name: figure or Cause.NOT_SUPPORTED for name, figure in figures.items()}
    return figures


def find_cards(machine: Machine) -> dict[str, Card]:
    """Return the cards on the PCI bus by vendor. Cards that differ cannot be told apart.

    The size is asked for in their own entries alone: in a virtual machine the GPU's entry
    holds others, of an imagined card, with a size of memory in them.

    Written from documentation.
    """
    try:
        entries = registry.find(machine, registry.CARDS)
    except (ReadError, ReaderUnavailableError):
        return {}
    found: dict[str, list[Card]] = {}
    for entry in entries:
        vendor_id = entry.get("vendor-id")
        vendor = PCI_VENDORS.get(vendor_id[:2]) if isinstance(vendor_id, bytes) else None
        if vendor is not None:
            card = Card(name=text(entry, "model"), memory_bytes=_size(entry))
            found.setdefault(vendor, []).append(card)
    return {vendor: cards[0] for vendor, cards in found.items() if len(set(cards)) == 1}


def _size(entry: Entry) -> int | Cause:
    value = entry.get("VRAM,totalMB")
    if isinstance(value, bytes):
        value = int.from_bytes(value[:8], "little")
    size = registry.count({"size": value}, "size")
    if isinstance(size, Cause):
        return size
    return size * MIB if 0 < size < 2**40 else Cause.GARBLED


def _kind_of(entry: Entry) -> Kind:
    return next(kind for kind in KINDS if kind.pattern.search(_class_of(entry)))


def _class_of(entry: Entry) -> str:
    return text(entry, "IOObjectClass", "IOClass", "IORegistryEntryName") or ""


def _name(kind: Kind, entry: Entry) -> str:
    """Return a name for a GPU that has none: what is special in its driver's class."""
    return f"{kind.maker} {_COMMON_WORDS.sub('', _class_of(entry)).strip() or 'GPU'}"


def _is_off(entry: Entry) -> bool:
    power = registry.table(entry, "AGCInfo")
    if isinstance(power, Cause):
        return False
    off = power.get("poweredOffByAGC")
    return off is True or (type(off) is int and off == 1)
