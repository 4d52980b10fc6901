"""What one load teaches of its runner, from what was read before and after it.

Nothing is learned where others moved meanwhile, where what was said before was loose, or where
the outcome does not look like a runner's own part.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from vramline.fit.amounts import Part, add
from vramline.fit.learned import MOST_BYTES, Learned, Sample
from vramline.fit.need import MemoryNeed
from vramline.fit.settings import HOST, Settings
from vramline.readings import FrozenDict, GpuReading, MemoryPool, Snapshot
from vramline.units import MIB, format_bytes

MOVED_BYTES = 16 * MIB
"""What other programs may move meanwhile: desktops take and give back so much all the time."""

LOOSE_BYTES = 256 * MIB
"""Where what was said is less certain, the difference teaches nothing of the runner."""

SLACK_BYTES = 32 * MIB
"""So much less than was said is rounding; still less is an error in what was said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loading:
    """One model's loading, as it was watched.

    Attributes:
        need: What was said before.
        pids: The processes that loaded it.
        host_bytes: What they hold of the host's memory after it that is no file's: private and
            shared pages. ``None`` where that is not known.
    """

    settings: Settings
    need: MemoryNeed
    before: Snapshot
    after: Snapshot
    pids: frozenset[int]
    host_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lessons:
    """What is learned from one load, and of each other place why nothing is."""

    learned: tuple[Learned, ...]
    refused: Mapping[str, str]


class NotLearnedError(Exception):
    """Why a place teaches nothing. It does not leave this module."""


def lessons_of(load: Loading) -> Lessons:
    """Work out what the runner took beside the model, in each place."""
    found: list[Learned] = []
    refused: dict[str, str] = {}
    backend = load.settings.devices[0].backend if load.settings.devices else None
    places = {HOST: backend} | {device.uid: device.backend for device in load.settings.devices}
    for place, reached in places.items():
        try:
            size = extra_bytes(load, place)
        except NotLearnedError as refusal:
            refused[place] = str(refusal)
            continue
        found.append(
            Learned(
                runner=load.settings.runner,
                backend=reached,
                place=place,
                driver_version=driver_of(load.after, place),
                samples=(Sample(bytes=size, at=load.after.taken_at),),
                times=1,
            )
        )
    return Lessons(learned=tuple(found), refused=FrozenDict(refused))


def extra_bytes(load: Loading, place: str) -> int:
    """Return what was taken in *place* beside what was said. Raises ``NotLearnedError``."""
    told = add(
        item.amount
        for item in load.need.items
        if item.place == place and item.part is not Part.RUNTIME and not item.mapped
    )
    if place in load.need.claims:
        raise NotLearnedError("the runner takes a share of this place, whatever the model")
    if told.high_bytes - told.low_bytes > LOOSE_BYTES:
        raise NotLearnedError("what was said before is too loose to learn from")
    taken = host_bytes(load) if place == HOST else device_bytes(load, place)
    extra = taken - told.bytes
    if extra < -SLACK_BYTES:
        raise NotLearnedError(f"it took {format_bytes(-extra)} less than was said before")
    if extra > MOST_BYTES:
        raise NotLearnedError(f"it took {format_bytes(extra)} more than was said before")
    return max(extra, 0)


def host_bytes(load: Loading) -> int:
    """Return what the processes hold on the host."""
    if load.host_bytes is None or load.host_bytes < 0:
        raise NotLearnedError("what the process holds on the host is not known")
    return load.host_bytes


def device_bytes(load: Loading, place: str) -> int:
    """Return what the load took on one device: by process, else by how much is used."""
    before, after = gpu_in(load.before, place), gpu_in(load.after, place)
    if after.memory_pool is MemoryPool.UNIFIED:
        raise NotLearnedError("this device shares the host's memory, where it is counted")
    own_before, own_after = own_bytes(before, load.pids), own_bytes(after, load.pids)
    if own_after is not None:
        return own_after - (own_before or 0)
    if others_moved(before, after, load.pids):
        raise NotLearnedError("other programs took or gave back memory meanwhile")
    if before.memory_used_bytes is None or after.memory_used_bytes is None:
        raise NotLearnedError("how much of it is used is not known")
    return after.memory_used_bytes - before.memory_used_bytes


def gpu_in(snapshot: Snapshot, uid: str) -> GpuReading:
    """Return one device's reading."""
    for gpu in snapshot.gpus:
        if gpu.uid == uid:
            if gpu.age_seconds > 0:
                raise NotLearnedError("the driver did not answer in time")
            return gpu
    raise NotLearnedError("the device was not read")


def own_bytes(gpu: GpuReading, pids: frozenset[int]) -> int | None:
    """Return what the processes hold on the device, if the driver tells."""
    sizes = [each.memory_bytes for each in gpu.processes or () if each.pid in pids]
    known = [size for size in sizes if size is not None]
    return sum(known) if known and len(known) == len(sizes) else None


def others_moved(before: GpuReading, after: GpuReading, pids: frozenset[int]) -> bool:
    """Whether another process holds more or less than before, as far as is told."""
    if before.processes is None or after.processes is None:
        return False
    then = {(each.pid, each.start_time): each.memory_bytes for each in before.processes}
    now = {(each.pid, each.start_time): each.memory_bytes for each in after.processes}
    return any(
        abs((now.get(key, 0) or 0) - (then.get(key, 0) or 0)) > MOVED_BYTES
        for key in then.keys() | now.keys()
        if key[0] not in pids
    )


def driver_of(snapshot: Snapshot, place: str) -> str | None:
    """Return under which driver a device was seen."""
    versions = [gpu.driver_version for gpu in snapshot.gpus if gpu.uid == place]
    return versions[0] if versions else None
