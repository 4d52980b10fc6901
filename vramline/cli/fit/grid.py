"""Whether a model fits, by context and by the cache's type."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from vramline.cli.fit.answer import Answer
from vramline.cli.fit.question import Question, exact_need, judge_of
from vramline.fit.items import Layout
from vramline.fit.plan.planning import plan
from vramline.fit.plan.values import Choice, RoomUse
from vramline.fit.plan.wish import Placement
from vramline.fit.settings import HOST, FlashAttention, Settings
from vramline.fit.tensor_types import TensorType

CONTEXTS = tuple(2**bits for bits in range(12, 18))
TYPES = (TensorType.F16, TensorType.Q8_0, TensorType.Q4_0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One context with one type of cache.

    Attributes:
        context_tokens: Of each slot.
        placement: Of what fits; ``None`` where the places were said, or nothing fits.
        left_bytes: What is left on the devices, or else on the host, beyond what stays free.
            ``None``: it does not fit, or nobody tells what is free.
        missing_bytes: By how much it misses. 0: it fits, or it is not memory that is missing.
        refusal: Why the runner would not load it so.
    """

    context_tokens: int
    cache_type: TensorType
    fits: bool
    placement: Placement | None = None
    settings: Settings | None = None
    left_bytes: int | None = None
    missing_bytes: int = 0
    refusal: str | None = None


def grid_of(question: Question, found: Answer) -> tuple[Cell, ...]:
    """Return every cell, by context and then by type."""
    if not isinstance(question.subject.layout, Layout) or not found.settings:
        return ()
    judged = as_said if not found.planned else as_planned
    return tuple(
        judged(question, found, context, cache_type)
        for context in contexts(question, found)
        for cache_type in types(found.settings)
    )


def contexts(question: Question, found: Answer) -> Sequence[int]:
    """Return the contexts that are shown, the shortest first."""
    trained = question.subject.trained_tokens or 0
    shown = {each for each in CONTEXTS if not trained or each <= trained}
    return sorted(shown | {each for each in (trained, found.context_tokens) if each})


def types(settings: Settings) -> Sequence[TensorType]:
    """Return the cache's types that are shown."""
    if settings.flash_attention is FlashAttention.OFF:
        return TYPES[:1]
    said = settings.cache_type_k
    return TYPES if said in TYPES else (said, *TYPES)


def as_said(question: Question, found: Answer, context: int, cache_type: TensorType) -> Cell:
    """Judge one cell with the places that were said."""
    judge = judge_of(question)
    effect = found.effect
    slots = effect.streams if effect else 1
    settings = replace(
        found.settings or question.wish.settings,
        context_tokens=context * slots,
        cache_type_k=cache_type,
        cache_type_v=cache_type,
    )
    need = exact_need(question, settings)
    uses = judge.uses(need)
    missing = sum(use.missing_bytes for use in uses)
    return Cell(
        context_tokens=context,
        cache_type=cache_type,
        fits=not missing and need.refusal is None and not found.undecided,
        settings=settings,
        left_bytes=None if missing or need.refusal else left_of(uses),
        missing_bytes=missing,
        refusal=need.refusal,
    )


def as_planned(question: Question, found: Answer, context: int, cache_type: TensorType) -> Cell:
    """Plan one cell."""
    wish = replace(
        question.wish,
        context_tokens=context,
        least_context_tokens=context,
        cache_types=(cache_type,),
        choices=1,
        reasons=1,
    )
    made = plan(
        question.here.snapshot,
        (found.candidate,),
        wish,
        learned=question.here.learned,
        estimate=question.estimator,
    )
    if made.choice:
        return cell_of(made.choice, context)
    refusal = made.refusals[0] if made.refusals else None
    return Cell(
        context_tokens=context,
        cache_type=cache_type,
        fits=False,
        missing_bytes=sum(use.missing_bytes for use in refusal.uses) if refusal else 0,
        refusal=refusal.text if refusal else None,
    )


def cell_of(choice: Choice, context: int) -> Cell:
    """Return what fits as a cell."""
    return Cell(
        context_tokens=context,
        cache_type=choice.cache_type,
        fits=True,
        placement=choice.placement,
        settings=choice.settings,
        left_bytes=left_of(choice.uses),
    )


def left_of(uses: Iterable[RoomUse]) -> int | None:
    """Return what is left beyond what stays free: on the devices, or where there are none.

    Of several devices one is filled before the next, so that what is left of one says nothing.
    On one that shares the host's memory it is the less of both.
    """
    on_host: list[int] = []
    on_devices: list[int] = []
    shared = False
    for use in uses:
        if use.left_bytes is not None:
            left = max(use.left_bytes - use.room.keep_bytes, 0)
            (on_host if HOST in use.room.places else on_devices).append(left)
            shared = shared or len(use.room.places) > 1
    found = [sum(each) for each in (on_devices, on_host) if each]
    if not found:
        return None
    return min(found) if shared else found[0]
