"""Which GPUs there are, and what of them does not change while the machine runs."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vramline.readers.causes import LARGEST_COUNT
from vramline.readers.windows.asking import Windows, number
from vramline.readings import Cause, MemoryPool
from vramline.units import MIB

VENDORS = {
    0x1002: "amd",
    0x1022: "amd",
    0x10DE: "nvidia",
    0x8086: "intel",
    0x5143: "qualcomm",
    0x4D4F4351: "qualcomm",  # "QCOM": its GPUs sit on no PCI bus
}
SOFTWARE_FLAG = 2
"""DXGI_ADAPTER_FLAG_SOFTWARE."""
BASIC_RENDER_DRIVER = (0x1414, 0x8C)
"""https://learn.microsoft.com/windows/win32/direct3ddxgi/d3d10-graphics-programming-guide-dxgi"""

SOFTWARE, HYBRID_DISCRETE, HYBRID_INTEGRATED = 1 << 2, 1 << 4, 1 << 5
"""Bits of https://learn.microsoft.com/windows-hardware/drivers/ddi/d3dkmthk/ns-d3dkmthk-_d3dkmt_adaptertype"""

LARGEST_OF_NO_CARD = 512 * MIB
"""A GPU with no more than that of its own is taken for a part of the processor, where nothing
tells. Intel's say 128 MiB that they do not have, for the sake of old programs:
https://www.intel.com/content/www/us/en/developer/articles/technical/detecting-video-memory-budget.html"""

NOWHERE = 0xFFFFFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """One GPU.

    Attributes:
        luid: Windows' number for it, until the next boot or driver.
        known: The fields of its reading that last.
        pool: Its own memory, or the host's.
        own_bytes: How much memory of its own it has.
        shared_bytes: How much of the host's memory Windows lends it at the most.
        may_sleep: It is the discrete GPU of a laptop with two: its driver is left alone.
    """

    luid: int
    known: Mapping[str, object]
    pool: MemoryPool
    own_bytes: int | Cause
    shared_bytes: int | Cause
    may_sleep: bool

    @property
    def key(self) -> str:
        """What it is called among the reader's devices."""
        return str(self.known["uid"])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listed:
    """An adapter as DXGI and the graphics kernel tell of it."""

    luid: int
    listed: Mapping[str, Any]
    lasting: Mapping[str, Any]

    @property
    def ids(self) -> tuple[int, int]:
        return number(self.listed, "vendor_id") or 0, number(self.listed, "device_id") or 0

    @property
    def kind(self) -> int:
        return number(self.lasting.get("kind"), "bits") or 0

    @property
    def is_software(self) -> bool:
        flags = number(self.listed, "flags") or 0
        is_basic = self.ids == BASIC_RENDER_DRIVER
        return bool(flags & SOFTWARE_FLAG or self.kind & SOFTWARE or is_basic)


def find_adapters(windows: Windows) -> list[Adapter]:
    """Return the GPUs in DXGI's order. Each is there once.

    Raises ``ReadError`` where Windows cannot list them.
    """
    found: dict[str, Adapter] = {}
    counted: Counter[str] = Counter()
    for each in _hardware(windows):
        vendor = VENDORS.get(each.ids[0], f"pci:{each.ids[0]:04x}")
        address = pci_address(each.lasting.get("address"))
        uid = address or _uid(vendor, each, found)
        if uid not in found:
            known = _known(each, vendor, address, counted[vendor])
            found[uid] = _adapter(windows, each, {"uid": uid, **known})
            counted[vendor] += 1
    return list(found.values())


def _hardware(windows: Windows) -> Iterator[_Listed]:
    seen = set()
    for listed in windows.adapters():
        luid = number(listed, "luid")
        if luid is None or luid in seen:
            continue
        seen.add(luid)
        each = _Listed(luid=luid, listed=listed, lasting=windows.lasting(luid))
        if not each.is_software:
            yield each


def pci_address(fields: Any) -> str | None:
    """Return where the adapter sits, ``None`` where it is on no PCI bus.

    The bus's number has the segment, which is the domain, above its eight bits:
    https://learn.microsoft.com/windows-hardware/drivers/ddi/miniport/ns-miniport-_pci_segment_bus_number
    """
    bus, device, function = (number(fields, name) for name in ("bus", "device", "function"))
    if bus is None or device is None or function is None or bus >= 1 << 24:
        return None
    if device >= 32 or function >= 8:
        return None
    return f"{bus >> 8:04x}:{bus & 0xFF:02x}:{device:02x}.{function}"


def _uid(vendor: str, each: _Listed, found: Mapping[str, object]) -> str:
    """Return a name for a GPU on no PCI bus, such as Qualcomm's.

    Its LUID is another after the next boot, so it is named by what it is, and by
    its place among others of the kind.
    """
    stem = f"{vendor}:{each.ids[1]:04x}:{number(each.listed, 'subsystem_id') or 0:08x}"
    place = 0
    while f"{stem}:{place}" in found:
        place += 1
    return f"{stem}:{place}"


def _known(each: _Listed, vendor: str, address: str | None, index: int) -> dict[str, object]:
    return {
        "vendor": vendor,
        "index": index,
        "name": _name(each.listed.get("description")) or Cause.NOT_SUPPORTED,
        "pci_address": address or Cause.NOT_SUPPORTED,
        "driver_version": _version(each.lasting.get("driver_version")) or Cause.NOT_SUPPORTED,
        "cuda_version": Cause.NOT_SUPPORTED,
        "compute_capability": Cause.NOT_SUPPORTED,
        # D3DKMT_ADAPTER_PERFDATACAPS has a field for it. What drivers put there nobody reported.
        "memory_bandwidth_bytes_per_second": Cause.NOT_SUPPORTED,
    }


def _name(description: Any) -> str | None:
    if not isinstance(description, str):
        return None
    return re.sub(r"\s+", " ", "".join(filter(str.isprintable, description))).strip() or None


def _version(fields: Any) -> str | None:
    version = number(fields, "version")
    if not version:
        return None
    return ".".join(str(version >> place & 0xFFFF) for place in (48, 32, 16, 0))


def _adapter(windows: Windows, each: _Listed, known: Mapping[str, object]) -> Adapter:
    own, shared = (
        number(each.listed, name) for name in ("dedicated_video_memory", "shared_system_memory")
    )
    integrated = _is_integrated(windows, each, own or 0)
    unified = integrated and (own or 0) <= (shared or 0)
    if not own and not integrated:
        own = _registered_bytes(windows.registered(), each.ids)
    return Adapter(
        luid=each.luid,
        known=known,
        pool=MemoryPool.UNIFIED if unified else MemoryPool.VRAM,
        own_bytes=_size(own) if own else Cause.NOT_SUPPORTED,
        shared_bytes=Cause.NOT_SUPPORTED if shared is None else _size(shared),
        may_sleep=bool(each.kind & HYBRID_DISCRETE),
    )


def _is_integrated(windows: Windows, each: _Listed, own_bytes: int) -> bool:
    """Tell whether the GPU is a part of the processor.

    DXGI does not, and the size of a GPU's own memory does not either: the firmware
    sets aside up to 96 GiB for one.
    """
    told = windows.is_integrated(each.luid)
    if told is not None:
        return told
    if each.kind & (HYBRID_INTEGRATED | HYBRID_DISCRETE):
        return bool(each.kind & HYBRID_INTEGRATED)
    return own_bytes <= LARGEST_OF_NO_CARD


def _registered_bytes(registered: Sequence[Mapping[str, Any]], ids: tuple[int, int]) -> int | None:
    """Return what the registry has as the size of such a card's memory.

    It remembers cards that are gone, so only a size that all of that kind agree on counts.
    """
    pattern = re.compile(rf"PCI\\VEN_{ids[0]:04X}&DEV_{ids[1]:04X}(?:&.*)?", re.IGNORECASE)
    sizes = {
        number(each, "memory_bytes")
        for each in registered
        if isinstance(each.get("device"), str) and pattern.fullmatch(each["device"])
    }
    return next(iter(sizes)) if len(sizes) == 1 else None


def _size(count: int) -> int | Cause:
    return count if count <= LARGEST_COUNT else Cause.GARBLED
