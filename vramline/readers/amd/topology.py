"""The GPUs as ROCm sees them: KFD's topology, which is read once and asks no hardware.

It gives ROCm's order, KFD's number of each GPU, and how wide and how fast its
memory is. In a container that may not use a device, KFD refuses to tell of it.
https://github.com/torvalds/linux/blob/master/drivers/gpu/drm/amd/amdkfd/kfd_topology.c
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from vramline.machine import Machine
from vramline.readers.causes import cause_of, count, read_number, read_text
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
        address: Where it sits on the PCI bus. The partitions of a GPU share it.
        gpu_id: KFD's number of it.
        version: Its ``gfx_target_version``: 110000 is gfx1100. Older kernels do
            not tell it, and then it is 0.
    """

    folder: str
    address: str
    gpu_id: int
    version: int


class Topology:
    """KFD's GPUs, which stay the same until the driver is loaded anew."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._nodes: list[Node] | Cause | None = None

    def nodes(self) -> Sequence[Node] | Cause:
        """Return the GPUs in KFD's order, or why none is known. One that is refused is left out."""
        if self._nodes is None:
            self._nodes = _find(self._machine)
        return self._nodes

    def at(self, address: str) -> Sequence[Node] | Cause:
        """Return those at an address on the PCI bus: several where the GPU is partitioned."""
        nodes = self.nodes()
        return nodes if isinstance(nodes, Cause) else [n for n in nodes if n.address == address]


def _find(machine: Machine) -> list[Node] | Cause:
    try:
        names = machine.list(NODES)
    except OSError as error:
        return cause_of(error)
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
    if isinstance(gpu_id, Cause):
        return gpu_id
    text = read_text(machine, f"{folder}/properties")
    if isinstance(text, Cause):
        return text
    place = _property(text, "location_id")
    if isinstance(place, Cause):
        return place
    # Above the bus and the device stands the number of a partition. Older kernels do not
    # tell the other two.
    domain, version = (
        0 if isinstance(told, Cause) else told
        for told in (_property(text, "domain"), _property(text, "gfx_target_version"))
    )
    address = f"{domain:04x}:{place >> 8 & 0xFF:02x}:{place >> 3 & 0x1F:02x}.{place & 7}"
    return Node(folder=folder, address=address, gpu_id=gpu_id, version=version)


def _property(text: str, name: str) -> int | Cause:
    found = re.search(rf"^{name} ([0-9]{{1,20}})$", text, re.MULTILINE)
    return Cause.GARBLED if found is None else count(found[1])
