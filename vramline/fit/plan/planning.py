"""What to run here now."""

from collections.abc import Sequence
from dataclasses import replace

from vramline.fit.estimate import estimate as estimate_need
from vramline.fit.learned import Learned
from vramline.fit.plan.candidates import Candidate
from vramline.fit.plan.judge import Estimate, Judge
from vramline.fit.plan.loaded import LoadedModel
from vramline.fit.plan.ranking import Ranking, quality_cost
from vramline.fit.plan.refusals import Case
from vramline.fit.plan.rooms import survey
from vramline.fit.plan.values import Choice, Plan, Refusal
from vramline.fit.plan.ways import ways_of
from vramline.fit.plan.wish import Wish
from vramline.readings import Snapshot

USUAL = Wish()


def plan(
    snapshot: Snapshot,
    candidates: Sequence[Candidate],
    wish: Wish = USUAL,
    *,
    loaded: Sequence[LoadedModel] = (),
    learned: Sequence[Learned] = (),
    estimate: Estimate = estimate_need,
) -> Plan:
    """Return what runs best on the machine of *snapshot*, of *candidates*, as it is wished.

    Nothing is planned into memory that others hold, *loaded* models among them. The answer does
    not depend on the order of *candidates*. *estimate* tells what a model needs.
    """
    ground = survey(snapshot, wish)
    judge = Judge(ground=ground, wish=wish, estimate=estimate, learned=tuple(learned))
    ranking = Ranking(judge=judge, ways=ways_of(ground, wish))
    choices, ranked = ranking.rank(candidates, max(wish.choices, 1))
    case = Case(
        snapshot=snapshot, wish=wish, judge=judge, loaded=tuple(loaded), others=tuple(candidates)
    )
    return Plan(
        wish=wish,
        choices=tuple(choices),
        ranking=tuple(ranked),
        refusals=refusals(case, candidates, choices[0] if choices else None),
        rooms=ground.rooms,
        unused=ground.unused,
        loaded=tuple(loaded),
    )


def refusals(
    case: Case, candidates: Sequence[Candidate], choice: Choice | None
) -> tuple[Refusal, ...]:
    """Return why the better candidates are not run as the chosen one is."""
    wish = case.wish
    better = sorted(
        (each for each in candidates if is_better(each, choice)),
        key=lambda each: (quality_cost(each), each.name, each.path or ""),
    )
    if choice is not None:
        # The nearest ones are the ones that were nearly chosen: what they lack is worth telling.
        better.reverse()
        at = wish.placements.index(choice.placement)
        least = wish.least_context_tokens
        if wish.context_tokens is not None:
            least = choice.context_tokens
        wish = replace(
            wish,
            placements=wish.placements[: at + 1],
            least_context_tokens=least,
            replay=False,
        )
        case = replace(case, wish=wish, judge=replace(case.judge, wish=wish))
    found: list[Refusal] = []
    for each in better:
        if len(found) >= wish.reasons:
            break
        refusal = case.refuse(each)
        if refusal is not None:
            found.append(refusal)
    return tuple(found)


def is_better(candidate: Candidate, choice: Choice | None) -> bool:
    """Whether *candidate* would have been chosen if there were room for it."""
    if choice is None:
        return True
    return quality_cost(candidate) < quality_cost(choice.candidate)
