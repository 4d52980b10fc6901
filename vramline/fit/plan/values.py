"""What a plan is: what to run, what else there is, and why not more."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from vramline.fit.amounts import Amount
from vramline.fit.need import MemoryNeed
from vramline.fit.plan.candidates import Candidate
from vramline.fit.plan.loaded import LoadedModel
from vramline.fit.plan.rooms import Room, Unused
from vramline.fit.plan.speed import Speed
from vramline.fit.plan.wish import Placement, Wish
from vramline.fit.settings import Settings
from vramline.fit.tensor_types import TensorType


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomUse:
    """What a model takes of one room."""

    room: Room
    needed: Amount

    @property
    def left_bytes(self) -> int | None:
        """What is expected to be free with the model loaded, with what was to be kept.

        Below zero where it does not fit, ``None`` where nobody tells what is free.
        """
        return None if self.room.free_bytes is None else self.room.free_bytes - self.needed.bytes

    @property
    def missing_bytes(self) -> int:
        """By how much it misses; zero if it fits, or nobody can tell.

        What is expected must leave what was to be kept, and the most must be there at all.
        """
        if self.room.free_bytes is None:
            return 0
        expected = self.needed.bytes + self.room.keep_bytes - self.room.free_bytes
        return max(expected, self.needed.high_bytes - self.room.free_bytes, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One way to run one model.

    Attributes:
        context_tokens: Of each slot.
        need: By part and place.
        exact: The runner's allocator was replayed; else the need has bounds in its place.
        uses: Every room that it takes from.
        unchecked: Places whose free memory nobody tells: it is not known to fit there.
        speed: ``None`` where no bandwidth is known that would tell.
        disk_bytes: Of the weights on the host, what has no room in memory beside the rest and
            would be read from the disk. Only where the wish allows it.
    """

    candidate: Candidate
    placement: Placement
    settings: Settings
    context_tokens: int
    cache_type: TensorType
    need: MemoryNeed
    exact: bool
    uses: tuple[RoomUse, ...]
    unchecked: tuple[str, ...] = ()
    speed: Speed | None = None
    disk_bytes: int = 0


class Standing(StrEnum):
    """What is known of a candidate."""

    FITS = "fits"
    """As it is wished for: in the best placement, with the wanted context and the best cache."""
    LESS = "less"
    """Not so: with less, as its placement and context say, if at all."""
    OPEN = "open"
    """Its exact parts would fit so. The rest was not worked out, as nothing depended on it."""
    NOT = "not"
    """In no way that the wish allows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """One candidate's place among all.

    Attributes:
        sure: It was worked out. Else the rest is the best that it could be, by its exact parts.
        placement: ``None``: it does not fit.
    """

    candidate: Candidate
    standing: Standing
    sure: bool
    placement: Placement | None
    context_tokens: int


class HolderKind(StrEnum):
    """Who holds memory."""

    LOADED_MODEL = "loaded_model"
    PROCESS = "process"


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Somebody who holds memory in a place where it is missing.

    Attributes:
        held_bytes: In that place. ``None``: the driver does not tell.
        can_be_unloaded: A model whose runner gives it back when it is asked.
    """

    kind: HolderKind
    name: str | None
    pid: int | None
    place: str
    held_bytes: int | None
    can_be_unloaded: bool = False


class ChangeKind(StrEnum):
    """What would make a model fit, the cheapest first."""

    SHORTER_CONTEXT = "shorter_context"
    CACHE_TYPE = "cache_type"
    FEWER_SLOTS = "fewer_slots"
    ON_HOST = "on_host"
    """Layers, or experts, on the host."""
    SMALLER = "smaller"
    """Another candidate of the same family."""
    UNLOAD = "unload"
    """A model that is loaded."""
    CLOSE = "close"
    """A process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change, and what could be run with it.

    Attributes:
        holder: Who has to give memory back, where that is the change.
    """

    kind: ChangeKind
    choice: Choice
    holder: Holder | None = None


class Why(StrEnum):
    """Why a model is refused."""

    NO_ROOM = "no_room"
    NO_DEVICE = "no_device"
    """The wish allows devices only, and there is none that the runner can use."""
    HOST_UNKNOWN = "host_unknown"
    """It would need the host's memory, and nobody tells how much of it is free."""
    OTHER_FORMAT = "other_format"
    """The runner does not load models of this format."""
    RUNNER = "runner"
    """The runner does not load it so, whatever memory there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why one model is not run.

    Attributes:
        placement: The way that came nearest, of those that the wish allows, with
            *settings*. ``None``: there was none to try.
        text: What the runner would say, where it is the runner that refuses.
        uses: Every room that it would take from; those with ``missing_bytes`` are too small.
        holders: Who holds memory in those, who holds most first.
        change: The cheapest that makes it fit, checked like any other choice. ``None``: no
            single one of those that are tried does.
    """

    candidate: Candidate
    why: Why
    placement: Placement | None = None
    settings: Settings | None = None
    text: str | None = None
    uses: tuple[RoomUse, ...] = ()
    holders: tuple[Holder, ...] = ()
    change: Change | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to run here now.

    Attributes:
        choices: The best first. The first one is the plan; none if nothing fits.
        ranking: Every candidate, the best first.
        refusals: Of the candidates that are better than the chosen one, but cannot be run as
            it is, the best few; of all, where nothing can be run.
        rooms: What there is, before anything is loaded.
        unused: The devices that were left out.
        loaded: What is loaded now: memory that could be had back, of which nothing is
            planned with.
    """

    wish: Wish
    choices: tuple[Choice, ...]
    ranking: tuple[Ranked, ...]
    refusals: tuple[Refusal, ...]
    rooms: tuple[Room, ...]
    unused: tuple[Unused, ...]
    loaded: Sequence[LoadedModel]

    @property
    def choice(self) -> Choice | None:
        """What to run."""
        return self.choices[0] if self.choices else None
