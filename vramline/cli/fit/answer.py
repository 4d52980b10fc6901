"""The answer to whether one model fits: as it was said, or as a plan has it."""

from dataclasses import dataclass, replace

from vramline.cli.fit.question import Question, exact_need, judge_of
from vramline.cli.fit.subject import Subject
from vramline.cli.fit.wanted import exact_settings
from vramline.fit.items import Layout
from vramline.fit.need import MemoryNeed
from vramline.fit.plan.candidates import Candidate
from vramline.fit.plan.holders import holders_in
from vramline.fit.plan.judge import claimed
from vramline.fit.plan.planning import plan
from vramline.fit.plan.refusals import Case
from vramline.fit.plan.rooms import Ground, Room, Unused
from vramline.fit.plan.speed import Speed
from vramline.fit.plan.values import Change, Choice, Holder, Refusal, RoomUse, Why
from vramline.fit.plan.wish import Placement, Wish
from vramline.fit.settings import HOST, Effect, Runner, Settings, take_effect
from vramline.units import format_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What comes of one model.

    Attributes:
        fits: ``None``: nobody asked.
        planned: The settings were chosen; else they are as they were said.
        settings: What was judged: where nothing fits, the attempt that came nearest.
        exact: The allocator was replayed for it.
        placement: ``None``: it was said.
        context_tokens: Of each slot.
        uses: What it takes of each room.
        unchecked: Places of which nobody tells what is free, and *undecided* those on which it
            depends whether it fits.
        why: Why it does not fit.
        text: What the runner would say.
        holders: Who holds memory where it is missing.
        change: The cheapest that would make it fit.
        instead: What fits, where what was said does not.
    """

    subject: Subject
    candidate: Candidate
    runner: Runner
    wish: Wish
    fits: bool | None
    planned: bool
    settings: Settings | None = None
    need: MemoryNeed | None = None
    exact: bool = False
    placement: Placement | None = None
    context_tokens: int = 0
    uses: tuple[RoomUse, ...] = ()
    unchecked: tuple[str, ...] = ()
    undecided: tuple[str, ...] = ()
    speed: Speed | None = None
    disk_bytes: int = 0
    rooms: tuple[Room, ...] = ()
    unused: tuple[Unused, ...] = ()
    why: Why | None = None
    text: str | None = None
    holders: tuple[Holder, ...] = ()
    change: Change | None = None
    instead: Choice | None = None

    def left_bytes(self, use: RoomUse) -> int | None:
        """Return what will be free: less, where the runner takes a share of a device as a whole."""
        left, claims = use.left_bytes, claimed(self.need, use.room) if self.need else []
        if left is None or not claims:
            return left
        return min(left, left + use.needed.bytes - max(claims))

    @property
    def effect(self) -> Effect | None:
        """What comes of the settings, where the runner is built on llama.cpp."""
        layout = self.subject.layout
        if self.settings is None or not isinstance(layout, Layout):
            return None
        return take_effect(
            self.settings, trained_tokens=layout.shape.context_length, causal=layout.shape.causal
        )


def answer(question: Question) -> Answer:
    """Answer it. Raises ``WrongUseError``."""
    if question.options.need_only or question.options.imagined is not None:
        return needed(question)
    return as_said(question) if question.options.is_exact else as_planned(question)


def needed(question: Question) -> Answer:
    """Say what exactly the settings take, and no more."""
    settings = exact_settings(question.options, question.here, question.runner, question.wish)
    return bare(question, settings, exact_need(question, settings))


def bare(question: Question, settings: Settings, need: MemoryNeed) -> Answer:
    """Return the answer to how much it takes."""
    found = Answer(
        subject=question.subject,
        candidate=question.subject.candidate(),
        runner=question.runner,
        wish=question.wish,
        fits=None,
        planned=False,
        settings=settings,
        need=need,
        exact=True,
    )
    effect = found.effect
    tokens = effect.cells if effect else settings.context_tokens or found.candidate.trained_tokens
    return replace(found, context_tokens=tokens, text=need.refusal)


def as_said(question: Question) -> Answer:
    """Judge exactly what was said, and say what would fit where that does not."""
    found = judged(question)
    return found if found.fits else with_reasons(found, question)


def judged(question: Question) -> Answer:
    """Judge exactly what was said."""
    settings = exact_settings(question.options, question.here, question.runner, question.wish)
    need = exact_need(question, settings)
    judge = judge_of(question)
    ground, uses = judge.ground, judge.uses(need)
    known = {place for room in ground.rooms if room.free_bytes is not None for place in room.places}
    unchecked = tuple(sorted({item.place for item in need.items} - known))
    missing = any(use.missing_bytes for use in uses)
    claim = claim_text(need, ground)
    found = bare(question, settings, need)
    open_ = () if missing else undecided(settings, found.candidate, unchecked)
    return replace(
        found,
        fits=not (need.refusal or claim or missing or open_),
        text=need.refusal or claim,
        uses=uses,
        unchecked=unchecked,
        undecided=open_,
        rooms=ground.rooms,
        unused=ground.unused,
        disk_bytes=judge.disk_bytes(need),
    )


def undecided(
    settings: Settings, candidate: Candidate, unchecked: tuple[str, ...]
) -> tuple[str, ...]:
    """Return the places without which nobody can say whether it fits.

    As in a plan, the host's is none of them where only what always lies there does.
    """
    blocks = candidate.blocks
    all_on_devices = (
        bool(settings.devices)
        and settings.device_layers > blocks
        and not settings.host_expert_layers
        and settings.cache_on_devices
    )
    return tuple(place for place in unchecked if place != HOST or not all_on_devices)


def claim_text(need: MemoryNeed, ground: Ground) -> str | None:
    """Return what the runner lacks that takes a share of a device as a whole, in words."""
    for room in ground.rooms:
        for wanted in claimed(need, room):
            total = ground.device_bytes.get(room.places[0], 0)
            if room.free_bytes is None or wanted <= room.free_bytes or not total:
                continue
            share = room.free_bytes * 100 // total / 100
            return (
                f"it wants to find {format_bytes(wanted)} free on the device, of which "
                f"{format_bytes(room.free_bytes)} are (--gpu-memory-utilization {share:g})"
            )
    return None


def with_reasons(found: Answer, question: Question) -> Answer:
    """Return an answer to what was said with why it does not fit, and what does."""
    missing = [use for use in found.uses if use.missing_bytes]
    short = tuple(place for use in missing for place in use.room.places)
    planned = as_planned(question)
    return replace(
        found,
        why=Why.RUNNER if found.text else Why.NO_ROOM if missing else None,
        holders=holders_in(short, question.here.snapshot, question.here.loaded.models),
        instead=choice_of(planned) if planned.fits else None,
    )


def choice_of(found: Answer) -> Choice | None:
    """Return what was planned as a choice."""
    if found.settings is None or found.need is None or found.placement is None:
        return None
    return Choice(
        candidate=found.candidate,
        placement=found.placement,
        settings=found.settings,
        context_tokens=found.context_tokens,
        cache_type=found.settings.cache_type_k,
        need=found.need,
        exact=found.exact,
        uses=found.uses,
        unchecked=found.unchecked,
        speed=found.speed,
        disk_bytes=found.disk_bytes,
    )


def as_planned(question: Question) -> Answer:
    """Choose what was not said."""
    here, wish = question.here, question.wish
    candidate = question.subject.candidate()
    made = plan(
        here.snapshot,
        (candidate,),
        replace(wish, choices=1, reasons=0),
        loaded=here.loaded.models,
        learned=here.learned,
        estimate=question.estimator,
    )
    found = Answer(
        subject=question.subject,
        candidate=candidate,
        runner=question.runner,
        wish=wish,
        fits=made.choice is not None,
        planned=True,
        rooms=made.rooms,
        unused=made.unused,
    )
    if made.choice:
        return with_choice(found, made.choice)
    return with_refusal(found, refusal_of(question, candidate), question)


def refusal_of(question: Question, candidate: Candidate) -> Refusal | None:
    """Return why nothing can be chosen, and what would help."""
    case = Case(
        snapshot=question.here.snapshot,
        wish=question.wish,
        judge=judge_of(question),
        loaded=question.here.loaded.models,
        others=(candidate, *(each.candidate() for each in question.others)),
    )
    return case.refuse(candidate)


def with_choice(found: Answer, choice: Choice) -> Answer:
    """Return the answer with what was chosen."""
    return replace(
        found,
        settings=choice.settings,
        need=choice.need,
        exact=choice.exact,
        placement=choice.placement,
        context_tokens=choice.context_tokens,
        uses=choice.uses,
        unchecked=choice.unchecked,
        speed=choice.speed,
        disk_bytes=choice.disk_bytes,
    )


def with_refusal(found: Answer, refusal: Refusal | None, question: Question) -> Answer:
    """Return the answer with why nothing could be chosen."""
    if refusal is None:  # it is no room that is short, but what the runner claims of it
        said = judged(question)
        why = Why.RUNNER if said.text else Why.NO_ROOM
        return replace(found if said.fits else said, why=why)
    if refusal.settings is None:
        return replace(found, why=refusal.why, change=refusal.change)
    settings = refusal.settings
    need = exact_need(question, settings)
    return replace(
        found,
        settings=settings,
        need=need,
        exact=True,
        placement=refusal.placement,
        context_tokens=settings.context_tokens // (settings.sequences or 1),
        uses=refusal.uses,
        why=refusal.why,
        text=refusal.text,
        holders=refusal.holders,
        change=refusal.change,
    )
