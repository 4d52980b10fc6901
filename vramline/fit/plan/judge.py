"""Whether a model fits under given settings: by the bounds, or by replay if they leave it open."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Protocol

from vramline.fit.amounts import Amount, Item, Part, add
from vramline.fit.learned import Learned
from vramline.fit.need import MemoryNeed
from vramline.fit.plan.candidates import AnyLayout
from vramline.fit.plan.rooms import Ground, Room
from vramline.fit.plan.values import RoomUse
from vramline.fit.plan.wish import Wish
from vramline.fit.settings import HOST, Settings

Bound = Callable[[Item], tuple[int, int]]
"""What is expected of an item, and the most that it can be."""


class Estimate(Protocol):
    """What a model needs; *quick* has bounds where the allocator would be replayed."""

    def __call__(
        self,
        layout: AnyLayout,
        settings: Settings,
        *,
        learned: Iterable[Learned],
        device_bytes: Mapping[str, int],
        quick: bool,
    ) -> MemoryNeed: ...


class Certainty(Enum):
    """What it takes to say that something fits."""

    SURE = auto()
    """It fits even with the most that is computed with, by the bounds."""
    POSSIBLE = auto()
    """It fits at least with the least."""
    DECIDED = auto()
    """It is sure; or it is possible, and a replay says so."""


@dataclass(frozen=True, slots=True)
class Told:
    """A need, with what it is of: as long as they are here, nothing else has their identity."""

    layout: AnyLayout
    settings: Settings
    need: MemoryNeed


@dataclass(slots=True)
class Judge:
    """Judges one ground under one wish, and remembers what was estimated."""

    ground: Ground
    wish: Wish
    estimate: Estimate
    learned: Sequence[Learned] = ()
    _needs: dict[tuple[int, int, bool], Told] = field(default_factory=dict, init=False)
    _device_bytes: Mapping[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self._device_bytes = self.ground.device_bytes

    def need(self, layout: AnyLayout, settings: Settings, *, quick: bool) -> MemoryNeed:
        """Return what is needed."""
        # By identity, as settings take longer to compare than a need to look up.
        key = (id(layout), id(settings), quick)
        found = self._needs.get(key)
        if found is None:
            need = self.estimate(
                layout,
                settings,
                learned=self.learned,
                device_bytes=self._device_bytes,
                quick=quick,
            )
            found = self._needs[key] = Told(layout, settings, need)
        return found.need

    def holds(
        self, layout: AnyLayout, settings: Settings, rooms: Iterable[Room], certainty: Certainty
    ) -> bool:
        """Whether what is put into *rooms* fits there.

        What is expected must leave free what is to be kept. What is needed at most may take of
        that, but must be there: that much is kept for.
        """
        rooms = tuple(rooms)
        need = self.need(layout, settings, quick=True)
        if need.refusal is not None:
            return False
        if certainty is Certainty.POSSIBLE:
            return self._within(need, rooms, least_computed)
        if self._within(need, rooms, most_computed):
            return True
        if certainty is Certainty.SURE or not self.wish.replay:
            return False
        if not self._within(need, rooms, least_computed):
            return False
        need = self.need(layout, settings, quick=False)
        return self._within(need, rooms, as_told)

    def uses(self, need: MemoryNeed) -> tuple[RoomUse, ...]:
        """Return what *need* takes of every room that it takes something of."""
        uses = []
        for room in self.ground.rooms:
            needed = taken(need, room, mapped=self.wish.mapped_counts)
            if needed.high_bytes:
                uses.append(RoomUse(room=room, needed=needed))
        return tuple(uses)

    def disk_bytes(self, need: MemoryNeed) -> int:
        """Return what of the mapped weights has no room beside the rest."""
        if self.wish.mapped_counts or self.ground.host.budget_bytes is None:
            return 0
        needed = taken(need, self.ground.host, mapped=True).high_bytes
        mapped = sum(item.amount.high_bytes for item in need.items if item.mapped)
        return min(max(needed - self.ground.host.budget_bytes, 0), mapped)

    def _within(self, need: MemoryNeed, rooms: Iterable[Room], bound: Bound) -> bool:
        """Whether *need* fits, with *bound* of each item: what is expected, and the most."""
        for room in rooms:
            if room.free_bytes is None:
                continue
            expected, worst = 0, 0
            for item in need.items:
                if item.place in room.places and (self.wish.mapped_counts or not item.mapped):
                    likely, high = bound(item)
                    expected += likely
                    worst += high
            # A room that is full already is no obstacle to what takes nothing of it.
            if worst and (expected + room.keep_bytes > room.free_bytes or worst > room.free_bytes):
                return False
            if any(size > room.free_bytes for size in claimed(need, room)):
                return False
        return True


def claimed(need: MemoryNeed, room: Room) -> list[int]:
    """Return what the runner wants to find free in *room*, whatever the model."""
    return [size for place, size in need.claims.items() if place in room.places]


def as_told(item: Item) -> tuple[int, int]:
    """Return what is expected of *item*, and the most that it can be."""
    return item.amount.bytes, item.amount.high_bytes


def most_computed(item: Item) -> tuple[int, int]:
    """Likewise, if a replay were to give the upper bound."""
    amount = item.amount
    computed = item.part is Part.COMPUTE
    return amount.high_bytes if computed else amount.bytes, amount.high_bytes


def least_computed(item: Item) -> tuple[int, int]:
    """Likewise, if it were to give the lower one."""
    amount = item.amount
    if item.part is Part.COMPUTE:
        return amount.low_bytes, amount.low_bytes
    return amount.bytes, amount.high_bytes


def taken(need: MemoryNeed, room: Room, *, mapped: bool) -> Amount:
    """Return what of *need* lies in *room*."""
    return add(
        item.amount
        for item in need.items
        if item.place in room.places and (mapped or not item.mapped)
    )


def most(
    least: int, limit: int, holds: Callable[[int, Certainty], bool], certainty: Certainty
) -> int | None:
    """Return the most, from *least* to *limit*, that holds, where less always holds too.

    Only between what surely holds and what possibly does is anything decided, and replayed.
    """
    if certainty is Certainty.DECIDED:
        if least > limit:
            return None
        sure = most(least, limit, holds, Certainty.SURE)
        if sure == limit:
            return sure
        possible = most(least if sure is None else sure, limit, holds, Certainty.POSSIBLE)
        if possible is None or possible == sure:
            return sure
        found = _bisect(least if sure is None else sure + 1, possible, holds, certainty)
        return sure if found is None else found
    return _bisect(least, limit, holds, certainty)


def _bisect(
    least: int, limit: int, holds: Callable[[int, Certainty], bool], certainty: Certainty
) -> int | None:
    if least > limit:
        return None
    if holds(limit, certainty):
        return limit
    if least == limit or not holds(least, certainty):
        return None
    found, low, high = least, least + 1, limit - 1
    while low <= high:
        middle = (low + high) // 2
        if holds(middle, certainty):
            found, low = middle, middle + 1
        else:
            high = middle - 1
    return found


def device_rooms(ground: Ground) -> tuple[Room, ...]:
    """Return the rooms of devices alone."""
    return tuple(room for room in ground.rooms if HOST not in room.places)
