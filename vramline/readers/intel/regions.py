"""The regions of memory that a card can use, asked of its driver by an ioctl.

Both drivers tell first how long the answer is, and fill it in at a second call.
https://docs.kernel.org/gpu/driver-uapi.html, and in the kernel's source
``include/uapi/drm/xe_drm.h`` (``drm_xe_query_mem_regions``) and
``include/uapi/drm/i915_drm.h`` (``drm_i915_query_memory_regions``). The call
takes the render node, as programs that compute do, and wakes the card.
"""

import errno
import struct
from collections.abc import Callable
from dataclasses import dataclass

from vramline.machine import Machine
from vramline.readers.causes import LARGEST_COUNT
from vramline.readers.drm import Card
from vramline.readings import Cause

LONGEST_ANSWER_BYTES = 2**20
"""What a driver asks for beyond this is not reserved: a region takes 88 bytes."""

XE_DEVICE_QUERY = 0xC0286440
XE_MEM_REGIONS = 1
I915_QUERY = 0xC0106479
I915_MEMORY_REGIONS = 4

# A query of xe: extensions, query, size, pointer to the data, two reserved.
_XE = struct.Struct("<QIIQQQ")
_XE_DATA_POINTER = 16
# A query of i915: number of items, flags, pointer to the items. Then the one item:
# query, length, flags, pointer to the data.
_I915 = struct.Struct("<IIQQiIQ")
_I915_ITEMS_POINTER, _I915_ITEM, _I915_DATA_POINTER = 8, 16, 32
# A region: class, instance, smallest page (i915: reserved), total, used (i915: not used).
_REGION = struct.Struct("<HHIQQ64x")
_ON_DEVICE = 1
_XE_FIRST_REGION, _I915_FIRST_REGION = 8, 16

_UNKNOWN_QUERY = frozenset({errno.EINVAL, errno.ENOTTY, errno.EOPNOTSUPP})


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A region of memory.

    Attributes:
        on_device: Whether it is the card's own memory, and not the host's.
        used_bytes: Zero as well where the driver does not tell this user.
    """

    on_device: bool
    total_bytes: int
    used_bytes: int


def read_regions(
    machine: Machine, card: Card, explain: Callable[[OSError], Cause]
) -> tuple[Region, ...] | Cause:
    """Return the regions that the card's driver has, or why they are not known."""
    if card.render_node is None:
        return Cause.NOT_SUPPORTED
    ask = _ask_xe if card.driver == "xe" else _ask_i915
    try:
        return ask(machine, card.render_node)
    except OSError as error:
        return _cause(error, explain)
    except ValueError:
        return Cause.GARBLED


def _cause(error: OSError, explain: Callable[[OSError], Cause]) -> Cause:
    if error.errno in _UNKNOWN_QUERY:
        return Cause.NOT_SUPPORTED
    # The system has the node, and this container was not given it.
    return Cause.NO_PERMISSION if error.errno == errno.ENOENT else explain(error)


def _ask_xe(machine: Machine, node: str) -> tuple[Region, ...]:
    def call(size: int, *, pointers: dict[int, int]) -> tuple[int, bytes]:
        query = _XE.pack(0, XE_MEM_REGIONS, size, 0, 0, 0)
        answer = _call(machine, node, XE_DEVICE_QUERY, query + bytes(size), pointers)
        return int(_XE.unpack_from(answer)[2]), answer[_XE.size :]

    size, _ = call(0, pointers={})
    _check_length(size)
    filled, data = call(size, pointers={_XE_DATA_POINTER: _XE.size})
    if filled != size:
        raise ValueError("the answer is of another length than was announced")
    return tuple(
        _region(kind, total, used) for kind, total, used in _rows(data, first=_XE_FIRST_REGION)
    )


def _ask_i915(machine: Machine, node: str) -> tuple[Region, ...]:
    def call(size: int, pointers: dict[int, int]) -> tuple[int, bytes]:
        query = _I915.pack(1, 0, 0, I915_MEMORY_REGIONS, size, 0, 0)
        pointers = {_I915_ITEMS_POINTER: _I915_ITEM, **pointers}
        answer = _call(machine, node, I915_QUERY, query + bytes(size), pointers)
        length = int(_I915.unpack_from(answer)[4])
        if length < 0:
            raise OSError(-length, "the driver refuses the query")
        return length, answer[_I915.size :]

    size, _ = call(0, {})
    _check_length(size)
    filled, data = call(size, {_I915_DATA_POINTER: _I915.size})
    if filled != size:
        raise ValueError("the answer is of another length than was announced")
    return tuple(
        _region(kind, total, total - unallocated)
        for kind, total, unallocated in _rows(data, first=_I915_FIRST_REGION)
    )


def _call(
    machine: Machine, node: str, request: int, memory: bytes, pointers: dict[int, int]
) -> bytes:
    answer = machine.ioctl(node, request, memory, pointers)
    if len(answer) != len(memory):
        raise ValueError("the memory came back in another length")
    return answer


def _check_length(size: int) -> None:
    if not 0 < size <= LONGEST_ANSWER_BYTES:
        raise ValueError(f"an answer of {size} bytes")


def _rows(data: bytes, *, first: int) -> list[tuple[int, int, int]]:
    """Return the class, the total and the last figure of each region."""
    places = range(first, len(data) - _REGION.size + 1, _REGION.size)
    number = int.from_bytes(data[:4], "little") if len(data) >= first else 0
    if not 0 < number <= len(places):
        raise ValueError(f"{number} regions in {len(data)} bytes")
    rows = [_REGION.unpack_from(data, place) for place in places[:number]]
    if len({(kind, instance) for kind, instance, *_ in rows}) < number:
        raise ValueError("a region comes twice")
    return [(kind, total, last) for kind, _, _, total, last in rows]


def _region(kind: int, total: int, used: int) -> Region:
    if not 0 <= used <= total <= LARGEST_COUNT or total == 0:
        raise ValueError(f"{used} bytes of {total} used")
    return Region(on_device=kind == _ON_DEVICE, total_bytes=total, used_bytes=used)
