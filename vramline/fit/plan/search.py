"""The best that one model gets in one way: how much context, which layers where.

Two things can be traded for memory: context, and, where a way has layers or experts on the host,
how many of them. Both are found by halving, as more of either never needs less.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from vramline.fit.plan.candidates import Candidate
from vramline.fit.plan.judge import Certainty, Judge, device_rooms, most
from vramline.fit.plan.rooms import Room
from vramline.fit.plan.values import Choice
from vramline.fit.plan.ways import SPLIT, Way
from vramline.fit.plan.wish import USUAL_CONTEXT, Criterion, Placement, Wish
from vramline.fit.settings import (
    ALL_LAYERS,
    CELLS_PADDING,
    RUNNERS,
    FlashAttention,
    Runner,
    Settings,
)
from vramline.fit.tensor_types import TensorType

LEAST_SHARE = 0.01
"""vLLM takes nothing less for a share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One setting of what can be traded.

    Attributes:
        context_tokens: Of each slot.
        kept: In a way with layers or experts on the host: how many layers, with their experts,
            are on devices.
    """

    context_tokens: int
    kept: int = 0


def context_range(candidate: Candidate, way: Way, wish: Wish) -> tuple[int, int]:
    """Return the shortest context that will do for *candidate*, and the longest that is wanted.

    As much as fits is asked for only where layers need not be given up for it.
    """
    trained = candidate.trained_tokens
    longest = wish.context_tokens
    if longest is None:
        longest = USUAL_CONTEXT if way.placement in SPLIT else trained
        longest = max(longest, wish.least_context_tokens)
    if trained:
        longest = min(longest, trained)
    return max(min(wish.least_context_tokens, longest), 1), max(longest, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Looks for one model's best in one way."""

    judge: Judge
    drafts: "Drafts"
    candidate: Candidate
    way: Way

    def best(self) -> Choice | None:
        """Return the best, or ``None`` if nothing fits."""
        point = self._best_point()
        if point is None:
            return None
        settings = self.settings_at(point, Certainty.DECIDED)
        found = None if settings is None else self.choice(point, settings)
        # Layers are split anew for what was decided: that must hold as well.
        if found is None or any(use.missing_bytes for use in found.uses):
            return None
        return found

    def may_take_wanted(self) -> bool:
        """Whether the longest context that is wanted is not out of the question.

        A way with layers on the host, or with several devices, has to be searched to tell.
        """
        if self.way.placement in SPLIT or len(self.way.devices) > 1:
            return True
        longest = context_range(self.candidate, self.way, self.judge.wish)[1]
        return self._fits(longest, 0, Certainty.POSSIBLE)

    def most_kept(self, context: int) -> int | None:
        """Return how many layers the devices may take at most, by the bounds."""
        return self._most_kept(context, Certainty.POSSIBLE)

    def choice(self, point: Point, settings: Settings) -> Choice:
        """Return *point* as a choice: its need has bounds, if they suffice to say that it fits."""
        judge, layout = self.judge, self.candidate.layout
        need, exact = judge.need(layout, settings, quick=True), False
        uses = judge.uses(need)
        if judge.wish.replay and any(use.missing_bytes for use in uses):
            need, exact = judge.need(layout, settings, quick=False), True
            uses = judge.uses(need)
        return Choice(
            candidate=self.candidate,
            placement=self.way.placement,
            settings=settings,
            context_tokens=point.context_tokens,
            cache_type=self.way.cache_type,
            need=need,
            exact=exact,
            uses=uses,
            unchecked=tuple(
                place for use in uses if use.room.free_bytes is None for place in use.room.places
            ),
            disk_bytes=self.judge.disk_bytes(need),
        )

    def _best_point(self) -> Point | None:
        least, longest = context_range(self.candidate, self.way, self.judge.wish)
        if self.way.placement not in SPLIT:
            context = self._most_context(least, longest, 0)
            return None if context is None else Point(context_tokens=context)
        if speed_counts_first(self.judge.wish):
            kept = self._most_kept(least, Certainty.DECIDED)
            if kept is None or not self._fits(least, kept, Certainty.DECIDED):
                return None
            context = self._most_context(least, longest, kept)
        else:
            context = self._most_context(least, longest, None)
            kept = None if context is None else self._most_kept(context, Certainty.DECIDED)
        if context is None or kept is None:
            return None
        return Point(context_tokens=context, kept=kept)

    def _most_context(self, least: int, longest: int, kept: int | None) -> int | None:
        """Return the longest that fits, in steps; ``None`` for *kept* is as many as fit."""

        def holds(steps: int, certainty: Certainty) -> bool:
            return self._fits(min(least + steps * CELLS_PADDING, longest), kept, certainty)

        steps = most(0, -(-(longest - least) // CELLS_PADDING), holds, Certainty.DECIDED)
        return None if steps is None else min(least + steps * CELLS_PADDING, longest)

    def _most_kept(self, context: int, certainty: Certainty) -> int | None:
        """Return how many layers the devices can take at most."""
        rooms = device_rooms(self.judge.ground)

        def holds(kept: int, certainty: Certainty) -> bool:
            point = Point(context_tokens=context, kept=kept)
            settings = self.settings_at(point, certainty)
            return settings is not None and self._hold(settings, rooms, certainty)

        blocks = self.candidate.blocks
        if self.way.placement is Placement.PARTLY:
            return most(1, blocks, holds, certainty)
        return most(0, blocks - 1, holds, certainty)

    def _fits(self, context: int, kept: int | None, certainty: Certainty) -> bool:
        if kept is None:
            kept = self._most_kept(context, certainty)
            if kept is None:
                return False
        settings = self.settings_at(Point(context_tokens=context, kept=kept), certainty)
        return settings is not None and self._all_hold(settings, certainty)

    def settings_at(self, point: Point, certainty: Certainty) -> Settings | None:
        """Return *point* as settings, with layers split so that they fit, if they do."""
        settings = self.drafts.settings_of(self.candidate, self.way, point)
        if len(self.way.devices) < 2 or not self.candidate.blocks:
            return settings
        return self._split(settings, certainty)

    def _split(self, settings: Settings, certainty: Certainty) -> Settings | None:
        """Fill each device before the next. That finds a split wherever there is one."""
        rest = min(settings.device_layers, self.candidate.blocks + 1)
        devices = self.way.devices
        shares: list[int] = []
        for at, device in enumerate(devices[:-1]):
            rooms = self._rooms_of(device.uid)

            def holds(
                count: int,
                certainty: Certainty,
                taken: int = rest,
                rooms: tuple[Room, ...] = rooms,
                behind: int = len(devices) - at - 2,
            ) -> bool:
                tried = (*shares, count, taken - count, *[0] * behind)
                return self._hold(self._shared(settings, tried), rooms, certainty)

            count = most(0, rest, holds, certainty)
            if count is None:
                return None
            shares.append(count)
            rest -= count
        return self._shared(settings, (*shares, rest))

    def _shared(self, settings: Settings, shares: tuple[int, ...]) -> Settings:
        return self.drafts.split(settings, self.way, shares)

    def _rooms_of(self, place: str) -> tuple[Room, ...]:
        return tuple(room for room in self.judge.ground.rooms if place in room.places)

    def _all_hold(self, settings: Settings, certainty: Certainty) -> bool:
        return self._hold(settings, self.judge.ground.rooms, certainty)

    def _hold(self, settings: Settings, rooms: Iterable[Room], certainty: Certainty) -> bool:
        return self.judge.holds(self.candidate.layout, settings, rooms, certainty)


def speed_counts_first(wish: Wish) -> bool:
    """Whether layers on devices are preferred to context."""
    order = wish.preferences
    if Criterion.SPEED not in order:
        return False
    context = order.index(Criterion.CONTEXT) if Criterion.CONTEXT in order else len(order)
    return order.index(Criterion.SPEED) < context


@dataclass(frozen=True, slots=True)
class Drafts:
    """Settings that were made under one wish: most candidates have the same."""

    wish: Wish
    _made: dict[tuple[int, int, int, int], tuple[Way, Settings]] = field(default_factory=dict)
    _split: dict[tuple[int, tuple[int, ...]], tuple[Settings, Settings]] = field(
        default_factory=dict
    )

    def settings_of(self, candidate: Candidate, way: Way, point: Point) -> Settings:
        """Return the settings to run *candidate* with."""
        layers, experts = ALL_LAYERS, 0
        if way.placement is Placement.HOST:
            layers = 0
        elif way.placement is Placement.PARTLY:
            layers = point.kept
        elif way.placement is Placement.EXPERTS_ON_HOST:
            experts = candidate.blocks - point.kept
        # What is looked up by identity is kept beside it, so that nothing else can have it.
        key = (id(way), point.context_tokens, layers, experts)
        found = self._made.get(key)
        if found is None:
            settings = drafted(self.wish, way, point.context_tokens, layers, experts)
            found = self._made[key] = (way, settings)
        return found[1]

    def split(self, settings: Settings, way: Way, shares: tuple[int, ...]) -> Settings:
        """Return *settings* with so many layers on each device."""
        key = (id(settings), shares)
        found = self._split.get(key)
        if found is None:
            shared = replace(settings, devices=way.as_devices(shares))
            found = self._split[key] = (settings, shared)
        return found[1]


def drafted(wish: Wish, way: Way, context: int, layers: int, experts: int) -> Settings:
    """Return the wish's settings with all that a plan chooses."""
    base = wish.settings
    return replace(
        base,
        context_tokens=context * wish.slots,
        sequences=wish.slots,
        cache_type_k=way.cache_type,
        cache_type_v=way.cache_type,
        flash_attention=attention_for(base.flash_attention, way.cache_type),
        devices=way.as_devices(),
        device_layers=layers,
        host_expert_layers=experts,
        memory_share=share_for(base, way),
    )


def share_for(base: Settings, way: Way) -> float:
    """Return what vLLM takes of each device: its default, or less where that is not to be had.

    What was said is left as it is: vLLM would not start with less free.
    """
    share = base.memory_share
    if base.runner is not Runner.VLLM or share != RUNNERS[Runner.VLLM].memory_share:
        return share
    shares = (
        device.budget_bytes * 100 // device.total_bytes / 100
        for device in way.devices
        if device.total_bytes
    )
    return max(min((share, *shares)), LEAST_SHARE)


def attention_for(wanted: FlashAttention, cache_type: TensorType) -> FlashAttention:
    """Return how attention is computed: values are quantised with flash attention only."""
    if wanted is FlashAttention.OFF and cache_type.elements_per_block > 1:
        return FlashAttention.ON
    return wanted
