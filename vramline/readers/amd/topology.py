"""The GPUs as ROCm sees them: KFD's topology, which is read once and asks no hardware.

It gives ROCm's order, and how wide and how fast each GPU's memory is. In a
container that may not use a device, KFD refuses to tell of it.
https://github.com/torvalds/linux/blob/master/drivers/gpu/drm/amd/amdkfd/kfd_topology.c
"""

import re
from dataclasses import dataclass

from vramline.machine import Machine
from vramline.readers.causes import count, read_number, read_text
from vramline.readings import Cause

NODES = "/sys/class/kfd/kfd/topology/nodes"

TRANSFERS_PER_CLOCK = {
    90000: 2,  # HBM2: Vega 10, 12, 20, MI100, MI200
    90004: 2,
    90006: 2,
    90008: 2,
    90010: 2,
    100100: 16,  # GDDR6: Navi 10, 21, 22, 23, 24, 31, 32, 33, 48, 44
    100300: 16,
    100301: 16,
    100302: 16,
    100304: 16,
    110000: 16,
    110001: 16,
    110002: 16,
    120000: 16,
    120001: 16,
}
"""How often the memory moves data in each tick of the clock that the driver tells, by
``gfx_target_version``: for each kind of memory as Mesa has it (``ac_memory_ops_per_clock``,
https://gitlab.freedesktop.org/mesa/mesa/-/blob/main/src/amd/common/ac_gpu_info.c). Only cards
that were made with one kind alone are here, and no APUs. A 7900 XTX has 384 bits at 1249 MHz,
which makes 959 GB/s; it is sold with 960."""

PLACEHOLDER_MHZ = 100
"""What KFD gives where it does not know the clock (``amdgpu_amdkfd_get_local_mem_info``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One GPU of KFD's.

    Attributes:
        folder: Under ``NODES``.
        address: Where it sits on the PCI bus.
        version: Its ``gfx_target_version``: 110000 is gfx1100.
    """

    folder: str
    address: str
    version: int


def gpu_nodes(machine: Machine) -> list[Node] | Cause:
    """Return the GPUs in KFD's order, or why none is known. One that is refused is left out."""
    try:
        names = machine.list(NODES)
    except OSError:
        return Cause.NOT_SUPPORTED
    numbers = sorted(int(name) for name in names if re.fullmatch(r"[0-9]{1,6}", name))
    nodes = [_node(machine, f"{NODES}/{number}") for number in numbers]
    found = [node for node in nodes if isinstance(node, Node)]
    causes = [node for node in nodes if isinstance(node, Cause)]
    return found if found or not causes else causes[0]


def bandwidth(machine: Machine, node: Node) -> int | Cause:
    """Return the peak bandwidth of the memory of a card of its own, in bytes per second."""
    transfers = TRANSFERS_PER_CLOCK.get(node.version)
    if transfers is None:
        return Cause.NOT_SUPPORTED
    bank = read_text(machine, f"{node.folder}/mem_banks/0/properties")
    if isinstance(bank, Cause):
        return bank
    width, clock_mhz = _property(bank, "width"), _property(bank, "mem_clk_max")
    if isinstance(width, Cause) or isinstance(clock_mhz, Cause):
        return Cause.GARBLED
    if width == 0 or clock_mhz in (0, PLACEHOLDER_MHZ):
        return Cause.NOT_SUPPORTED
    sound = width <= 2**16 and clock_mhz <= 100_000
    return width * clock_mhz * transfers * 1_000_000 // 8 if sound else Cause.GARBLED


def _node(machine: Machine, folder: str) -> Node | Cause | None:
    """Return the node, ``None`` for a processor, or why it is not known."""
    gpu_id = read_number(machine, f"{folder}/gpu_id")
    if gpu_id == 0:
        return None
    text = read_text(machine, f"{folder}/properties")
    if isinstance(text, Cause):
        return text
    place, version = _property(text, "location_id"), _property(text, "gfx_target_version")
    domain = _property(text, "domain")
    if isinstance(place, Cause) or isinstance(version, Cause):
        return Cause.GARBLED
    domain = 0 if isinstance(domain, Cause) else domain  # older kernels do not tell it
    address = f"{domain:04x}:{place >> 8 & 0xFF:02x}:{place >> 3 & 0x1F:02x}.{place & 7}"
    return Node(folder=folder, address=address, version=version)


def _property(text: str, name: str) -> int | Cause:
    found = re.search(rf"^{name} ([0-9]{{1,20}})$", text, re.MULTILINE)
    return Cause.GARBLED if found is None else count(found[1])
