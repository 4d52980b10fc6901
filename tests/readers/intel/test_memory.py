import errno
import struct
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.readers.breakage import absurdities
from tests.readers.intel.machines import (
    AVAILABLE,
    TOTAL,
    Ioctl,
    Stage,
    client,
    i915,
    machine,
    read,
    refusing,
    render_node,
    xe,
)
from vramline.readers.intel import open_reader
from vramline.readers.intel.regions import LONGEST_ANSWER_BYTES
from vramline.readings import Cause, GpuReading, MemoryBound, MemoryPool
from vramline.units import GIB, MIB

XE_NODE = render_node("0000:09:00.0")
I915_NODE = render_node("0000:0b:00.0")
INTEGRATED_NODE = render_node("0000:00:02.0")
DMEM = "/sys/fs/cgroup/dmem.capacity"

Told = tuple[int | Cause | None, int | Cause | None, int | Cause | None]


def memory(gpu: GpuReading) -> Told:
    names = ("memory_total_bytes", "memory_used_bytes", "memory_free_bytes")
    total, used, free = (
        gpu.unknown.get(name) if getattr(gpu, name) is None else getattr(gpu, name)
        for name in names
    )
    return total, used, free


def holding(mebibytes: int, region: str = "vram0", *, pdev: str = "0000:09:00.0") -> dict[str, Any]:
    told = f"drm-client-id: 1\ndrm-pdev: {pdev}\ndrm-resident-{region}: {mebibytes} MiB\n"
    return client(77, told)


def b580(ioctl: Ioctl, changes: Mapping[str, Any] | None = None) -> GpuReading:
    return read(machine("b580", {**XE_NODE, **(changes or {})}, ioctl=ioctl))


# Never a false zero.


def test_xe_used_of_zero_is_what_it_tells_the_unprivileged() -> None:
    gpu = b580(xe((0, TOTAL, 0), (1, 12 * GIB, 0)), holding(9000))

    assert memory(gpu) == (12 * GIB, Cause.NO_PERMISSION, Cause.NO_PERMISSION)


def test_what_visible_clients_hold_is_told_of_them_and_not_as_used() -> None:
    gpu = b580(xe((0, TOTAL, 0), (1, 12 * GIB, 0)), holding(9000))

    assert [each.memory_bytes for each in gpu.processes or ()] == [9000 * MIB]


def test_i915_tells_the_privileged_what_is_used() -> None:
    regions = i915((0, TOTAL, TOTAL), (1, 6 * GIB, 4 * GIB))

    gpu = read(machine("a380_i915", I915_NODE, ioctl=regions))

    assert memory(gpu) == (6 * GIB, 2 * GIB, 4 * GIB)


def test_a_tile_in_which_nothing_lies_is_a_true_zero_beside_one_that_is_used() -> None:
    regions = xe((0, TOTAL, 0), (1, 64 * GIB, 3 * GIB), (1, 64 * GIB, 0))

    gpu = read(machine("ponte_vecchio", ioctl=regions))

    assert memory(gpu) == (128 * GIB, 3 * GIB, 125 * GIB)


# Where the driver does not answer.


@pytest.mark.parametrize(
    ("number", "cause"),
    [
        (errno.EACCES, Cause.NO_PERMISSION),  # not in the group render
        (errno.EPERM, Cause.NO_PERMISSION),  # a container's device rules
        (errno.ENOENT, Cause.NO_PERMISSION),  # a container without the node
        (errno.ENOTTY, Cause.NOT_SUPPORTED),
        (errno.EINVAL, Cause.NOT_SUPPORTED),
        (errno.EOPNOTSUPP, Cause.NOT_SUPPORTED),
        (errno.EBUSY, Cause.DRIVER_ERROR),
        (errno.EIO, Cause.DRIVER_ERROR),
        (errno.ENODEV, Cause.DRIVER_ERROR),
    ],
)
def test_a_refused_query_is_told_by_its_cause(number: int, cause: Cause) -> None:
    assert memory(b580(refusing(number))) == (cause, cause, cause)


def test_a_card_without_a_render_node_cannot_be_asked() -> None:
    gpu = read(machine("b580", ioctl=xe((1, 12 * GIB, GIB))))

    assert memory(gpu) == (Cause.NOT_SUPPORTED,) * 3


def test_an_i915_that_does_not_know_the_query_says_so_inside_its_answer() -> None:
    def answer(path: str, request: int, memory: bytes) -> bytes:
        return memory[:24] + struct.pack("<i", -errno.EINVAL) + memory[28:]

    gpu = read(machine("a380_i915", I915_NODE, ioctl=answer))

    assert memory(gpu) == (Cause.NOT_SUPPORTED,) * 3


def test_without_an_answer_the_root_cgroup_tells_the_size() -> None:
    capacity = (
        "drm/0000:03:00.0/vram0 8514437120\n"
        "drm/0000:09:00.0/vram0 12784238592\n"
        "drm/0000:09:00.0/stolen 67108864\n"
    )

    gpu = b580(refusing(errno.EACCES), {DMEM: capacity})

    assert memory(gpu) == (12784238592, Cause.NO_PERMISSION, Cause.NO_PERMISSION)


def test_the_root_cgroup_has_a_size_for_each_tile() -> None:
    capacity = f"drm/0000:4d:00.0/vram0 {64 * GIB}\ndrm/0000:4d:00.0/vram1 {64 * GIB}\n"

    gpu = read(machine("ponte_vecchio", {DMEM: capacity}, ioctl=refusing(errno.EACCES)))

    assert gpu.memory_total_bytes == 128 * GIB


@pytest.mark.parametrize(
    "capacity",
    [
        "",
        "drm/0000:09:00.0/vram0",
        "drm/0000:09:00.0/vram0 -5\n",
        "drm/0000:09:00.0/vram0 0\n",
        "drm/0000:09:00.0/vram0 twelve\n",
        "drm/0000:09:00.0/vram0 12 13\n",
        f"drm/0000:09:00.0/vram0 {2**63}\n",
        {"errno": "EPERM"},
    ],
)
def test_a_list_of_sizes_that_makes_no_sense_changes_nothing(capacity: Any) -> None:
    gpu = b580(refusing(errno.EACCES), {DMEM: capacity})

    assert memory(gpu) == (Cause.NO_PERMISSION,) * 3


def test_an_absurd_sum_of_sizes_is_garbled() -> None:
    line = f"drm/0000:09:00.0/vram0 {2**63 - 1}\n"

    assert b580(refusing(errno.EACCES), {DMEM: line * 2}).unknown["memory_total_bytes"] == (
        Cause.GARBLED
    )


# Discrete or integrated.


def test_the_regions_decide_even_against_the_address() -> None:
    at_02 = {path.replace("0000:09:00.0", "0000:00:02.0"): entry for path, entry in XE_NODE.items()}
    uevent = "DRIVER=xe\nPCI_ID=8086:E20B\nPCI_SLOT_NAME=0000:00:02.0\n"
    files = {**at_02, "/sys/class/drm/card1/device/uevent": uevent, **INTEGRATED_NODE}

    gpu = read(machine("b580", files, ioctl=xe((0, TOTAL, 0), (1, 12 * GIB, GIB))))

    assert (gpu.memory_pool, gpu.memory_total_bytes) == (MemoryPool.VRAM, 12 * GIB)


def test_regions_without_one_of_its_own_make_it_integrated() -> None:
    gpu = b580(xe((0, TOTAL, 0)))

    assert (gpu.memory_pool, gpu.memory_total_bytes) == (MemoryPool.UNIFIED, TOTAL)


def at_02(changes: Mapping[str, Any]) -> GpuReading:
    return read(machine("uhd620", changes, ioctl=refusing(errno.EACCES)))


def test_unasked_a_card_where_integrated_ones_are_is_integrated() -> None:
    assert at_02(INTEGRATED_NODE).memory_pool == MemoryPool.UNIFIED


def test_unasked_a_card_with_sensors_is_discrete_wherever_it_is() -> None:
    sensors = "/sys/class/drm/card1/device/hwmon/hwmon1"

    gpu = at_02({f"{sensors}/name": "i915\n", f"{sensors}/energy1_input": "5\n", **INTEGRATED_NODE})

    assert (gpu.memory_pool, gpu.unknown["memory_total_bytes"]) == (
        MemoryPool.VRAM,
        Cause.NO_PERMISSION,
    )


def test_unasked_a_card_in_the_list_of_memories_is_discrete_wherever_it_is() -> None:
    gpu = at_02({DMEM: f"drm/0000:00:02.0/vram0 {8 * GIB}\n", **INTEGRATED_NODE})

    assert (gpu.memory_pool, gpu.memory_total_bytes) == (MemoryPool.VRAM, 8 * GIB)


def test_unasked_a_card_elsewhere_is_discrete_without_any_other_sign() -> None:
    uevent = "DRIVER=i915\nPCI_ID=8086:56A5\nPCI_SLOT_NAME=0000:0b:00.0\n"
    link = {"symlink": "../../../0000:0b:00.0"}

    gpu = at_02(
        {
            "/sys/class/drm/card1/device/uevent": uevent,
            "/sys/class/drm/renderD128/device": link,
        }
    )

    assert gpu.memory_pool == MemoryPool.VRAM


# What xe maps of the host's memory.


def tigerlake(ioctl: Ioctl, changes: Mapping[str, Any] | None = None) -> GpuReading:
    return read(machine("tigerlake", {**INTEGRATED_NODE, **(changes or {})}, ioctl=ioctl))


def test_where_xe_maps_no_more_than_half_of_the_hosts_memory_that_is_the_limit() -> None:
    gpu = tigerlake(xe((0, TOTAL // 2, 2 * GIB)))

    assert memory(gpu) == (TOTAL, TOTAL - AVAILABLE, 30 * GIB)
    assert gpu.memory_free_bound_by == MemoryBound.GTT


def test_what_visible_clients_have_mapped_counts_where_the_driver_does_not_tell() -> None:
    gpu = tigerlake(xe((0, TOTAL // 2, 0)), holding(4096, "gtt", pdev="0000:00:02.0"))

    assert (gpu.memory_free_bytes, gpu.memory_free_bound_by) == (28 * GIB, MemoryBound.GTT)


def test_where_xe_maps_all_of_it_the_host_is_the_limit() -> None:
    gpu = tigerlake(xe((0, TOTAL, 0)))

    assert (gpu.memory_free_bytes, gpu.memory_free_bound_by) == (AVAILABLE, MemoryBound.HOST)


def test_i915_maps_what_the_host_has() -> None:
    gpu = read(machine("uhd620", INTEGRATED_NODE, ioctl=i915((0, GIB, GIB))))

    assert (gpu.memory_free_bytes, gpu.memory_free_bound_by) == (AVAILABLE, MemoryBound.HOST)


# Hostile answers.


def xe_told(size: int, data: bytes, *, then: int | None = None) -> Ioctl:
    def answer(path: str, request: int, memory: bytes) -> bytes:
        asked = struct.unpack_from("<QIIQQQ", memory)[2]
        told = size if asked == 0 or then is None else then
        filled = data[:asked].ljust(asked, b"\0")
        return struct.pack("<QIIQQQ", 0, 1, told, 0, 0, 0) + filled

    return answer


def row(kind: int, instance: int, total: int, used: int) -> bytes:
    return struct.pack("<HHIQQ64x", kind, instance, 4096, total, used)


GOOD = struct.pack("<II", 1, 0) + row(1, 1, 12 * GIB, GIB)

LIES: dict[str, Ioctl] = {
    "no length": xe_told(0, b""),
    "a length beyond reason": xe_told(2**32 - 1, GOOD),
    "a length just beyond reason": xe_told(LONGEST_ANSWER_BYTES + 1, GOOD),
    "shorter than its head": xe_told(4, GOOD),
    "no region": xe_told(96, struct.pack("<II", 0, 0)),
    "a region more than there is room for": xe_told(96, struct.pack("<II", 2, 0) + GOOD[8:]),
    "four thousand million regions": xe_told(96, struct.pack("<II", 2**32 - 1, 0) + GOOD[8:]),
    "a region cut off": xe_told(95, GOOD),
    "another length at the second call": xe_told(96, GOOD, then=95),
    "no size": xe_told(96, struct.pack("<II", 1, 0) + row(1, 1, 0, 0)),
    "more used than there is": xe_told(96, struct.pack("<II", 1, 0) + row(1, 1, GIB, GIB + 1)),
    "a size past 63 bits": xe_told(96, struct.pack("<II", 1, 0) + row(1, 1, 2**64 - 1, 1)),
    "a region twice": xe_told(184, struct.pack("<II", 2, 0) + GOOD[8:] * 2),
    "memory cut off": lambda path, request, memory: memory[:-1],
    "memory grown": lambda path, request, memory: memory + b"\0",
    "no memory": lambda path, request, memory: b"",
}


def test_the_answer_that_the_lies_are_made_from_is_good() -> None:
    assert memory(b580(xe_told(96, GOOD))) == (12 * GIB, GIB, 11 * GIB)


@pytest.mark.parametrize("lie", LIES)
def test_an_answer_that_lies_is_garbled(lie: str) -> None:
    assert memory(b580(LIES[lie])) == (Cause.GARBLED,) * 3


def test_regions_whose_sum_is_absurd_are_garbled() -> None:
    huge = struct.pack("<II", 2, 0) + row(1, 1, 2**63 - 1, 1) + row(1, 2, 2**63 - 1, 1)

    assert b580(xe_told(184, huge)).unknown["memory_total_bytes"] == Cause.GARBLED


def test_no_more_than_a_mebibyte_is_ever_reserved() -> None:
    sizes: list[int] = []

    def answer(path: str, request: int, memory: bytes) -> bytes:
        sizes.append(len(memory))
        return struct.pack("<QIIQQQ", 0, 1, LONGEST_ANSWER_BYTES, 0, 0, 0) + bytes(len(memory) - 40)

    b580(answer)

    assert max(sizes) == LONGEST_ANSWER_BYTES + 40


@pytest.mark.parametrize("length", [0, 2**31 - 1, LONGEST_ANSWER_BYTES + 1, 15])
def test_an_i915_length_that_lies_is_garbled(length: int) -> None:
    def answer(path: str, request: int, memory: bytes) -> bytes:
        return memory[:24] + struct.pack("<i", length) + memory[28:]

    gpu = read(machine("a380_i915", I915_NODE, ioctl=answer))

    assert memory(gpu) == (Cause.GARBLED,) * 3


def test_an_i915_length_that_changes_at_the_second_call_is_garbled() -> None:
    def answer(path: str, request: int, memory: bytes) -> bytes:
        told = i915((1, GIB, 0))(path, request, memory)
        return told[:24] + struct.pack("<i", 104 if len(memory) == 40 else 103) + told[28:]

    gpu = read(machine("a380_i915", I915_NODE, ioctl=answer))

    assert memory(gpu) == (Cause.GARBLED,) * 3


def test_more_unallocated_than_there_is_is_garbled() -> None:
    gpu = read(machine("a380_i915", I915_NODE, ioctl=i915((1, GIB, GIB + 1))))

    assert memory(gpu) == (Cause.GARBLED,) * 3


def noise(pieces: list[bytes]) -> Ioctl:
    """Answer with the head that the size asks for and *pieces*, or with these alone."""
    left = list(pieces)

    def answer(path: str, request: int, memory: bytes) -> bytes:
        piece = left.pop(0) if left else b""
        return (piece + memory[len(piece) :])[: len(memory)]

    return answer


HEADS: Mapping[str, Callable[[int], bytes]] = {
    "b580": lambda size: struct.pack("<QIIQQQ", 0, 1, size % 2**32, 0, 0, 0),
    "a380_i915": lambda size: struct.pack("<IIQQiIQ", 1, 0, 16, 4, size, 0, 40),
}


@given(
    name=st.sampled_from(sorted(HEADS)),
    sizes=st.tuples(st.integers(-9, 400), st.integers(-9, 400)),
    body=st.binary(max_size=400),
)
def test_no_answer_makes_an_absurd_reading(name: str, sizes: tuple[int, int], body: bytes) -> None:
    first, second = (HEADS[name](size) for size in sizes)
    node = XE_NODE if name == "b580" else I915_NODE

    gpu = read(machine(name, node, ioctl=noise([first, second + body])))

    assert absurdities(gpu) == []


def test_the_pool_is_remembered_of_a_card_that_falls_asleep() -> None:
    stage = Stage("b580", XE_NODE, ioctl=xe((0, TOTAL, 0)))
    reader = open_reader(stage.machine)
    reader.read("0000:09:00.0")
    stage.change({"/sys/class/drm/card1/device/power/runtime_status": "suspended\n"})

    (gpu,) = reader.read("0000:09:00.0")

    assert gpu.memory_pool == MemoryPool.UNIFIED
