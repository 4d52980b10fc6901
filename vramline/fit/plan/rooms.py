"""Where there is room for a model, and what keeps a device out.

Every limit is a room: a device with memory of its own is one, and the host's memory is one. A
device that takes the host's memory is in two: what is put on it must fit what the driver lets it
have, and, together with what is put on the host, what the host has. So it is counted once.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from vramline.fit.plan.telling import can_be_chosen
from vramline.fit.plan.wish import LLAMA_CPP_KEEPS_BYTES, Wish
from vramline.fit.settings import HOST, Backend
from vramline.readings import (
    Cause,
    FrozenDict,
    GpuReading,
    GpuState,
    HostReading,
    MemoryPool,
    Snapshot,
)

BACKENDS: Mapping[str, tuple[Backend, ...]] = MappingProxyType(
    {
        "nvidia": (Backend.CUDA, Backend.VULKAN),
        "amd": (Backend.ROCM, Backend.METAL, Backend.VULKAN),
        "intel": (Backend.SYCL, Backend.METAL, Backend.VULKAN),
        "apple": (Backend.METAL, Backend.VULKAN),
    }
)
"""What drives each vendor's devices, best first.
https://github.com/ggml-org/llama.cpp/blob/master/docs/build.md"""

OTHERS_BACKENDS = (Backend.VULKAN,)

NOTHING_TAKEN: Mapping[Backend, frozenset[str]] = FrozenDict()

SUM_OF_DEVICES = "gpu-tracker:"
"""A uid that begins so stands for all devices of a vendor together."""

SMALL_POOL_SHARE = 8
"""No more than this part of a pool is kept free where nothing else was asked for: of 4 GiB,
which has a small desktop on it, one GiB would be too much to give away."""


class WhyNot(StrEnum):
    """Why a device is in no plan."""

    OTHER_BACKEND = "other_backend"
    """The runner was not built for it."""
    NOT_VISIBLE = "not_visible"
    """This environment hides it from programs."""
    ASLEEP = "asleep"
    """It is suspended, and was not woken to ask."""
    LOST = "lost"
    SUM_OF_DEVICES = "sum_of_devices"
    """The reading is of several devices together."""
    HAS_INSTANCES = "has_instances"
    """It is cut into MIG instances, which are devices themselves."""
    UNKNOWN_FREE = "unknown_free"
    """Nobody tells what is free on it."""


HIDDEN = frozenset(
    (
        WhyNot.SUM_OF_DEVICES,
        WhyNot.HAS_INSTANCES,
        WhyNot.LOST,
        WhyNot.NOT_VISIBLE,
        WhyNot.OTHER_BACKEND,
    )
)
"""What a runner does not see either. One that sleeps it wakes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unused:
    """A device that is in no plan.

    Attributes:
        cause: Why its free memory is not known, where that is what keeps it out.
    """

    uid: str
    name: str | None
    why: WhyNot
    cause: Cause | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Usable:
    """A device that layers may be put on.

    Attributes:
        shared: It takes the host's memory.
        alone: It cannot be used together with another: a MIG instance.
            https://docs.nvidia.com/datacenter/tesla/mig-user-guide/
    """

    uid: str
    backends: tuple[Backend, ...]
    budget_bytes: int
    total_bytes: int | None = None
    bandwidth_bytes_per_second: int | None = None
    shared: bool = False
    alone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What lies in these places, all together, has so much room.

    Attributes:
        free_bytes: ``None``: not known, which is neither none nor all.
    """

    places: tuple[str, ...]
    free_bytes: int | None
    keep_bytes: int

    @property
    def budget_bytes(self) -> int | None:
        """What may be planned with."""
        return None if self.free_bytes is None else max(self.free_bytes - self.keep_bytes, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What a machine offers to a plan.

    Attributes:
        taken: What a runner takes through each backend where nobody tells it what to take,
            devices that are in no plan among them.
    """

    rooms: tuple[Room, ...]
    devices: tuple[Usable, ...]
    unused: tuple[Unused, ...]
    taken: Mapping[Backend, frozenset[str]] = NOTHING_TAKEN

    @property
    def device_bytes(self) -> Mapping[str, int]:
        """Each device's whole memory, where it is known: vLLM takes a share of that."""
        return FrozenDict({each.uid: each.total_bytes for each in self.devices if each.total_bytes})

    @property
    def host(self) -> Room:
        """The host's room, with all devices that share it."""
        return self.rooms[0]

    def can_be_told(self, devices: Iterable[Usable], backend: Backend) -> bool:
        """Whether a runner can be made to use just these devices, or does so by itself."""
        uids = frozenset(device.uid for device in devices)
        chosen = all(can_be_chosen(uid, backend) for uid in uids)
        return chosen or uids == self.taken.get(backend)


def survey(snapshot: Snapshot, wish: Wish, freed: Mapping[str, int] | None = None) -> Ground:
    """Return what *snapshot* offers, with *freed* bytes more in each place that has some."""
    freed = freed or {}
    parents = {gpu.parent_uid for gpu in snapshot.gpus if gpu.parent_uid}
    chosen, unused = [], []
    for gpu in snapshot.gpus:
        why = why_not(gpu, wish, parents)
        if why is None:
            chosen.append(gpu)
        else:
            cause = gpu.unknown.get("memory_free_bytes") if gpu.memory_free_bytes is None else None
            unused.append(Unused(uid=gpu.uid, name=gpu.name, why=why, cause=cause))
    rooms = [device_room(gpu, wish, freed) for gpu in chosen]
    devices = (usable(gpu, room, wish) for gpu, room in zip(chosen, rooms, strict=True))
    return Ground(
        rooms=(host_room(snapshot.host, chosen, wish, freed), *rooms),
        devices=tuple(devices),
        unused=tuple(unused),
        taken=taken_by_itself(
            [gpu for gpu in snapshot.gpus if why_not(gpu, wish, parents) not in HIDDEN], wish
        ),
    )


def taken_by_itself(gpus: Sequence[GpuReading], wish: Wish) -> Mapping[Backend, frozenset[str]]:
    """Return which of the devices that a runner sees it takes through each backend.

    Those that share the host's memory only where there is no other.
    https://github.com/ggml-org/llama.cpp/blob/master/src/llama.cpp
    """
    seen: dict[Backend, list[GpuReading]] = {}
    for gpu in sorted(gpus, key=is_shared):
        for backend in drivers(gpu, wish):
            seen.setdefault(backend, []).append(gpu)
    return FrozenDict(
        {
            backend: frozenset(gpu.uid for gpu in each if is_shared(gpu) is is_shared(each[0]))
            for backend, each in seen.items()
        }
    )


def why_not(gpu: GpuReading, wish: Wish, parents: set[str]) -> WhyNot | None:
    """Return what keeps *gpu* out, if anything does."""
    rules = (
        (gpu.uid.startswith(SUM_OF_DEVICES), WhyNot.SUM_OF_DEVICES),
        (gpu.uid in parents, WhyNot.HAS_INSTANCES),
        (gpu.state is GpuState.LOST, WhyNot.LOST),
        (not gpu.visible, WhyNot.NOT_VISIBLE),
        (not drivers(gpu, wish), WhyNot.OTHER_BACKEND),
        (gpu.state is GpuState.ASLEEP, WhyNot.ASLEEP),
        (gpu.memory_free_bytes is None, WhyNot.UNKNOWN_FREE),
    )
    return next((why for holds, why in rules if holds), None)


def drivers(gpu: GpuReading, wish: Wish) -> tuple[Backend, ...]:
    """Return the runner's backends that can use *gpu*, best first."""
    backends = BACKENDS.get(gpu.vendor, OTHERS_BACKENDS)
    if wish.backends is None:
        return backends
    return tuple(backend for backend in wish.backends if backend in backends)


def is_shared(gpu: GpuReading) -> bool:
    """Whether *gpu* takes the host's memory."""
    return gpu.memory_pool is not MemoryPool.VRAM


def usable(gpu: GpuReading, room: Room, wish: Wish) -> Usable:
    """Return *gpu* as a device to plan with."""
    return Usable(
        uid=gpu.uid,
        backends=drivers(gpu, wish),
        budget_bytes=room.budget_bytes or 0,
        total_bytes=gpu.memory_total_bytes,
        bandwidth_bytes_per_second=gpu.memory_bandwidth_bytes_per_second,
        shared=is_shared(gpu),
        alone=gpu.parent_uid is not None,
    )


def device_room(gpu: GpuReading, wish: Wish, freed: Mapping[str, int]) -> Room:
    """Return the room on one device."""
    return Room(
        places=(gpu.uid,),
        free_bytes=more(gpu.memory_free_bytes, freed.get(gpu.uid, 0), gpu.memory_total_bytes),
        keep_bytes=kept(wish.device_keep_bytes, gpu.memory_total_bytes, LLAMA_CPP_KEEPS_BYTES),
    )


def host_room(
    host: HostReading, gpus: list[GpuReading], wish: Wish, freed: Mapping[str, int]
) -> Room:
    """Return the room on the host, with the devices that share it."""
    shared = tuple(gpu.uid for gpu in gpus if is_shared(gpu))
    back = sum(freed.get(place, 0) for place in (HOST, *shared))
    total = host.memory_limit_bytes or host.memory_total_bytes
    return Room(
        places=(HOST, *shared),
        free_bytes=more(host.memory_available_bytes, back, total),
        keep_bytes=kept(wish.host_keep_bytes, total, 2 * LLAMA_CPP_KEEPS_BYTES),
    )


def more(free: int | None, back: int, total: int | None) -> int | None:
    """Return what is free once *back* bytes came back: never more than there is."""
    if free is None:
        return None
    return free + back if total is None else min(free + back, max(free, total))


def kept(wanted: int | None, total: int | None, usual: int) -> int:
    """Return what stays free: what was asked for, or the usual, within a part of the whole."""
    if wanted is not None:
        return max(wanted, 0)
    return usual if total is None else min(usual, total // SMALL_POOL_SHARE)
