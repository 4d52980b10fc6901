"""Why a model is not run, and the cheapest change that would let it be."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from vramline.fit.plan.candidates import Candidate
from vramline.fit.plan.holders import can_be_closed, held_by, holders_in
from vramline.fit.plan.judge import Certainty, Judge, most
from vramline.fit.plan.loaded import LoadedModel
from vramline.fit.plan.ranking import Ranking
from vramline.fit.plan.rooms import survey
from vramline.fit.plan.search import Drafts, Point, Search, context_range
from vramline.fit.plan.values import (
    Change,
    ChangeKind,
    Choice,
    Holder,
    HolderKind,
    Refusal,
    RoomUse,
    Why,
)
from vramline.fit.plan.ways import SPLIT, best_ways, could_fit, ways_of
from vramline.fit.plan.wish import CAN_PLACE, FAST_FIRST, Placement, Wish
from vramline.fit.settings import CELLS_PADDING, MOST_SEQUENCES, Settings
from vramline.fit.tensor_types import TensorType
from vramline.readings import Snapshot

SMALLER_TYPES = (TensorType.F16, TensorType.Q8_0, TensorType.Q5_1, TensorType.Q4_0)
"""What a cache may be kept in, best first: a change goes down from the wish's last one.
https://github.com/ggml-org/llama.cpp/blob/master/common/arg.cpp (``kv_cache_types``)"""

NOTHING_FREED: Mapping[str, int] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One question: what could one candidate be run with, on this machine, as it is wished.

    Attributes:
        judge: Of the machine as it is, with what was estimated before.
        others: All candidates.
    """

    snapshot: Snapshot
    wish: Wish
    judge: Judge
    loaded: Sequence[LoadedModel]
    others: Sequence[Candidate]

    def refuse(self, candidate: Candidate) -> Refusal | None:
        """Return why *candidate* is not run as it is wished, and what would help.

        ``None``: it could be.
        """
        if not candidate.is_for(self.wish.settings.runner):
            return Refusal(candidate=candidate, why=Why.OTHER_FORMAT)
        found = self._nearest(candidate)
        if found is None:
            change = next(self._changes_of_settings(candidate), None)
            return Refusal(candidate=candidate, why=self._why_no_way(), change=change)
        placement, settings, text, uses = found
        missing = any(use.missing_bytes for use in uses)
        if text is not None and not (missing and self._is_cut(settings)):
            change = next(self._changes_of_settings(candidate), None)
            return Refusal(
                candidate=candidate,
                why=Why.RUNNER,
                placement=placement,
                settings=settings,
                text=text,
                uses=uses,
                change=change,
            )
        if not missing:
            return None
        short = tuple(place for use in uses if use.missing_bytes for place in use.room.places)
        holders = holders_in(short, self.snapshot, self.loaded)
        return Refusal(
            candidate=candidate,
            why=Why.NO_ROOM,
            placement=placement,
            settings=settings,
            uses=uses,
            holders=holders,
            change=next(self._changes(candidate, holders), None),
        )

    def _is_cut(self, settings: Settings) -> bool:
        """Whether what vLLM may take is less for want of room, and so no reason of its own."""
        return settings.memory_share < self.wish.settings.memory_share

    def _why_no_way(self) -> Why:
        allowed = CAN_PLACE[self.wish.settings.runner] & set(self.wish.placements)
        unknown = self.judge.ground.host.free_bytes is None
        return Why.HOST_UNKNOWN if unknown and Placement.HOST in allowed else Why.NO_DEVICE

    def _nearest(
        self, candidate: Candidate
    ) -> tuple[Placement, Settings, str | None, tuple[RoomUse, ...]] | None:
        """Return the attempt that misses by least: of each placement the roomiest way."""
        found, drafts = [], Drafts(self.wish)
        for way in best_ways(ways_of(self.judge.ground, self.wish)):
            if way.placement is Placement.EXPERTS_ON_HOST and not candidate.has_experts:
                continue
            search = Search(judge=self.judge, drafts=drafts, candidate=candidate, way=way)
            point = Point(context_tokens=context_range(candidate, way, self.wish)[0])
            if way.placement in SPLIT:
                point = replace(point, kept=search.most_kept(point.context_tokens) or 0)
            settings = search.settings_at(point, Certainty.POSSIBLE)
            if settings is None:
                continue
            need = self.judge.need(candidate.layout, settings, quick=not self.wish.replay)
            uses = self.judge.uses(need)
            missing = sum(use.missing_bytes for use in uses)
            order = (need.refusal is not None, missing, self.wish.placements.index(way.placement))
            found.append((order, way.placement, settings, need.refusal, uses))
        return min(found, key=lambda each: each[0])[1:] if found else None

    def _changes(self, candidate: Candidate, holders: Sequence[Holder]) -> Iterator[Change]:
        yield from self._changes_of_settings(candidate)
        yield from self._smaller(candidate)
        yield from self._unloading(candidate)
        yield from self._closing(candidate, holders)

    def _changes_of_settings(self, candidate: Candidate) -> Iterator[Change]:
        """Give the changes of settings that help, the cheapest first."""
        changed: tuple[tuple[ChangeKind, Callable[[Wish], Iterator[Wish]]], ...] = (
            (ChangeKind.SHORTER_CONTEXT, shorter_contexts),
            (ChangeKind.CACHE_TYPE, smaller_types),
            (ChangeKind.FEWER_SLOTS, partial(self._fewer_slots, candidate)),
            (ChangeKind.ON_HOST, on_host),
        )
        for kind, wishes in changed:
            for wish in wishes(self.wish):
                choice = self._best(candidate, wish)
                if choice is not None:
                    yield Change(kind=kind, choice=choice)

    def _fewer_slots(self, candidate: Candidate, wish: Wish) -> Iterator[Wish]:
        """Give the wish for the most slots, of those that are fewer, for which there is room."""

        def holds(slots: int, _: Certainty) -> bool:
            return self._best(candidate, replace(wish, slots=slots)) is not None

        slots = most(1, min(wish.slots - 1, MOST_SEQUENCES), holds, Certainty.SURE)
        if slots is not None:
            yield replace(wish, slots=slots)

    def _smaller(self, candidate: Candidate) -> Iterator[Change]:
        """Give the same model with fewer bits, the most bits first."""
        if candidate.family is None:
            return
        smaller = [
            other
            for other in self.others
            if other.family == candidate.family and other.weight_bytes < candidate.weight_bytes
        ]
        for other in sorted(smaller, key=lambda each: (-each.weight_bytes, each.name)):
            choice = self._best(other, self.wish)
            if choice is not None:
                yield Change(kind=ChangeKind.SMALLER, choice=choice)

    def _unloading(self, candidate: Candidate) -> Iterator[Change]:
        """Give the loaded models whose memory would do, the smallest first."""
        freeable = []
        for model in self.loaded:
            held = held_by(model, self.snapshot)
            if model.can_be_unloaded and held:
                freeable.append((sum(held.values()), model.name, model, held))
        for _, _, model, held in sorted(freeable, key=lambda each: each[:2]):
            choice = self._best(candidate, self.wish, held)
            if choice is not None:
                place, size = max(held.items(), key=lambda each: (each[1], each[0]))
                holder = Holder(
                    kind=HolderKind.LOADED_MODEL,
                    name=model.name,
                    pid=model.pid,
                    place=place,
                    held_bytes=size,
                    can_be_unloaded=True,
                )
                yield Change(kind=ChangeKind.UNLOAD, choice=choice, holder=holder)

    def _closing(self, candidate: Candidate, holders: Sequence[Holder]) -> Iterator[Change]:
        """Give the processes whose memory would do, the smallest first."""
        for holder in reversed(holders):
            if not holder.held_bytes or not can_be_closed(holder):
                continue
            choice = self._best(candidate, self.wish, {holder.place: holder.held_bytes})
            if choice is not None:
                yield Change(kind=ChangeKind.CLOSE, choice=choice, holder=holder)

    def _best(
        self, candidate: Candidate, wish: Wish, freed: Mapping[str, int] = NOTHING_FREED
    ) -> Choice | None:
        """Return the best that *candidate* would get."""
        judge = replace(self.judge, ground=survey(self.snapshot, wish, freed), wish=wish)
        ways = ways_of(judge.ground, wish)
        if not any(could_fit(way, candidate, judge.ground, wish) for way in ways):
            return None
        choices, _ = Ranking(judge=judge, ways=ways).rank((candidate,), 1)
        return choices[0] if choices else None


def shorter_contexts(wish: Wish) -> Iterator[Wish]:
    """Give the wish for any context at all."""
    if wish.least_context_tokens > CELLS_PADDING:
        yield replace(wish, least_context_tokens=CELLS_PADDING)


def smaller_types(wish: Wish) -> Iterator[Wish]:
    """Give the wish for caches of fewer bits, one after the other."""
    for at, smaller in enumerate(SMALLER_TYPES):
        if at and smaller not in wish.cache_types:
            yield replace(wish, cache_types=(*wish.cache_types, *SMALLER_TYPES[1 : at + 1]))


def on_host(wish: Wish) -> Iterator[Wish]:
    """Give the wish for layers on the host too, where that was not allowed."""
    can = CAN_PLACE[wish.settings.runner]
    for placement in FAST_FIRST:
        if placement in can and placement not in wish.placements:
            yield replace(wish, placements=(*wish.placements, placement))
