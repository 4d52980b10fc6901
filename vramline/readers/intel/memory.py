"""How much memory a model could take on an Intel GPU: the card's own, or the host's."""

import re
from collections.abc import Sequence

from vramline.machine import Machine
from vramline.machine.files import read
from vramline.readers.causes import LARGEST_COUNT, count, read_text
from vramline.readers.drm import Card
from vramline.readers.intel.regions import Region
from vramline.readers.shared_memory import SharedMemory, room
from vramline.readings import Cause, MemoryBound, MemoryPool
from vramline.units import MIB

DMEM_CAPACITY = "/sys/fs/cgroup/dmem.capacity"
"""The sizes of the devices' memories: https://docs.kernel.org/admin-guide/cgroup-v2.html#dmem.
Only the root cgroup has the file, and only xe's cards are in it."""

BAR_LINE = 2
"""Which of a device's resources its memory is: ``LMEM_BAR`` in the kernel's intel_pci_config.h."""
UNSIZED_BAR_BYTES = 256 * MIB
AS_LARGE_AS_THEIR_BAR = frozenset({"56a0", "56a1", "e223"})
"""Arc A770, A750 and Pro B70: cards with 8, 16 or 32 GiB. A resource has a power of two for its
size, 16 GiB on an Arc B580, which has 12 (https://github.com/xCuri0/ReBarUEFI/issues/11), and so
tells the memory of no other. https://dgpu-docs.intel.com/devices/hardware-table.html"""

Regions = Sequence[Region]


def own_memory(machine: Machine, card: Card, regions: Regions | Cause) -> dict[str, object]:
    """Return the memory fields of a card with its own; a card of several tiles has the sum."""
    if isinstance(regions, Cause):
        total: int | Cause = _capacity(machine, card, unless=regions)
        used: int | Cause = regions
    else:
        own = [region for region in regions if region.on_device]
        total = _limited(sum(region.total_bytes for region in own))
        used = _accounted(own)
    return {
        "memory_pool": MemoryPool.VRAM,
        "memory_total_bytes": total,
        "memory_used_bytes": used,
        "memory_free_bytes": total if isinstance(total, Cause) else room(total, used),
        "memory_free_bound_by": None,
        "memory_reserved_bytes": Cause.NOT_SUPPORTED,
    }


def hosts_memory(
    shared: SharedMemory, card: Card, regions: Regions | Cause, mapped_bytes: int
) -> dict[str, object]:
    """Return the memory fields of an integrated GPU.

    xe maps no more of the host's memory at a time than its region has: half of
    it on some kernels ("TTM limits allocation of all TTM devices by 50%", since
    removed from xe_ttm_sys_mgr.c), all of it on others. What of that is taken
    the driver tells the privileged only, so it is at least what the clients
    that can be seen have mapped. i915 knows no such limit.

    Args:
        mapped_bytes: What those clients hold.
    """
    if card.driver != "xe" or isinstance(regions, Cause):
        return shared.figures()
    total = _limited(sum(region.total_bytes for region in regions))
    used = max(mapped_bytes, sum(region.used_bytes for region in regions))
    return shared.figures({MemoryBound.GTT: room(total, used)})


def has_own_memory(
    machine: Machine, card: Card, regions: Regions | Cause, *, sensors: bool
) -> bool:
    """Tell whether the card is a discrete one: by its regions, where they are known.

    Else any sign of one is enough, as the host's memory must not pass for a
    card's: it has sensors, which neither driver registers for an integrated
    GPU, or is in the list of device memories, or is not at 0000:00:02, where
    every integrated one is. (Virtual machines may have any card there.)
    """
    if not isinstance(regions, Cause):
        return any(region.on_device for region in regions)
    return sensors or not may_be_integrated(card) or bool(_sizes(machine, card))


def may_be_integrated(card: Card) -> bool:
    """Tell whether the card is where integrated GPUs, and their virtual functions, are."""
    return card.address.startswith("0000:00:02.")


def _accounted(own: Regions) -> int | Cause:
    """Return what is used of the card's memory, all its regions together.

    Without CAP_PERFMON both drivers say that nothing is, as did older ones to
    everyone (``drm_xe_mem_region.used`` and
    ``drm_i915_memory_region_info.unallocated_size``). It is never true: the
    driver's own page tables and firmware lie there.
    """
    return sum(region.used_bytes for region in own) or Cause.NO_PERMISSION


def _capacity(machine: Machine, card: Card, *, unless: Cause) -> int | Cause:
    sizes = _sizes(machine, card)
    return _limited(sum(sizes)) if sizes else _bar(machine, card) or unless


def _sizes(machine: Machine, card: Card) -> list[int]:
    text = read_text(machine, DMEM_CAPACITY)
    if isinstance(text, Cause):
        return []
    lines = (line.split() for line in text.splitlines())
    sizes = [
        count(line[1])
        for line in lines
        if len(line) == 2 and line[0].startswith(f"drm/{card.address}/vram")
    ]
    return [size for size in sizes if not isinstance(size, Cause) and size > 0]


def _bar(machine: Machine, card: Card) -> int | None:
    """Return the size of the resource that the card's memory is, where that is all of it."""
    if card.device_id not in AS_LARGE_AS_THEIR_BAR:
        return None
    lines = read(machine, f"{card.device}/resource").splitlines()[BAR_LINE : BAR_LINE + 1]
    ends = [re.fullmatch(r"0x([0-9a-f]{1,16}) 0x([0-9a-f]{1,16}) .*", line) for line in lines]
    size = sum(int(end[2], 16) - int(end[1], 16) + 1 for end in ends if end)
    return size if UNSIZED_BAR_BYTES < size <= LARGEST_COUNT else None


def _limited(total: int) -> int | Cause:
    return total if 0 < total <= LARGEST_COUNT else Cause.GARBLED
