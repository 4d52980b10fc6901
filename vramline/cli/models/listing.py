"""Every model on this disk, with where it would run now, the best first."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from vramline.cli.fit.estimating import Estimator
from vramline.cli.fit.here import Here
from vramline.cli.fit.options import FitOptions
from vramline.cli.fit.question import estimator_for
from vramline.cli.fit.subject import Subject, subjects_of
from vramline.cli.fit.wanted import WrongUseError, runner_for, wish_for
from vramline.fit.library import FoundModel, Library
from vramline.fit.plan.judge import Judge
from vramline.fit.plan.planning import plan
from vramline.fit.plan.ranking import quality_cost
from vramline.fit.plan.refusals import Case
from vramline.fit.plan.rooms import Room, Unused, survey
from vramline.fit.plan.values import Choice, Plan, Refusal
from vramline.fit.plan.wish import Wish
from vramline.fit.settings import Runner

SHOWN = 25
"""Where nobody asks for every model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One model.

    Attributes:
        choice: How it would run; ``None``: not now.
        refusal: Why not, then, with what was wanted, not with the least that would do.
    """

    subject: Subject
    runner: Runner
    choice: Choice | None = None
    refusal: Refusal | None = None

    @property
    def missing_bytes(self) -> int | None:
        """By how much it misses, where that is known and is what it lacks."""
        uses = self.refusal.uses if self.refusal else ()
        return sum(use.missing_bytes for use in uses) or None


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A model that cannot be run as it lies there."""

    found: FoundModel
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What is on this disk, and what of it can be run.

    Attributes:
        lines: Those that are shown, the best first.
        more: How many others there are.
        better: Why models that are better than the first are not run as it is.
        left_out: How many the asked runner does not load at all, by why.
    """

    lines: tuple[Line, ...]
    more: int
    better: tuple[Refusal, ...]
    broken: tuple[Broken, ...]
    left_out: Mapping[str, int]
    rooms: tuple[Room, ...] = ()
    unused: tuple[Unused, ...] = ()

    @property
    def best(self) -> Line | None:
        """What to run."""
        return self.lines[0] if self.lines and self.lines[0].choice else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The models of one kind that one runner is to load, and the plan for them."""

    runner: Runner
    wish: Wish
    subjects: dict[int, Subject]
    plan: Plan
    case: Case

    def has(self, subject: Subject) -> bool:
        """Tell whether it is one of these."""
        return any(subject is each for each in self.subjects.values())


def listing_of(found: Library, here: Here, options: FitOptions) -> Listing:
    """Return every model in order."""
    subjects, broken = subjects_of(found.models)
    most = len(subjects) if options.everything else SHOWN
    kept, left_out = by_runner(subjects, here, options)
    groups = [group_of(runner, each, here, options, most) for (runner, _), each in kept.items()]
    fitting = [line for group in groups for line in fitting_lines(group)]
    fitting.sort(key=lambda line: order_of(line, groups))
    lines = fitting[:most]
    if len(lines) < most:
        lines += other_lines(groups, {id(line.subject) for line in fitting}, most - len(lines))
    first = lines[0].subject if lines else None
    chosen = next((group for group in groups if first and group.has(first)), None)
    return Listing(
        lines=tuple(lines),
        more=len(subjects) - sum(left_out.values()) - len(lines),
        better=chosen.plan.refusals if chosen and lines[0].choice else (),
        broken=tuple(Broken(found=model, why=why) for model, why in broken),
        left_out=left_out,
        rooms=chosen.plan.rooms if chosen else (),
        unused=chosen.plan.unused if chosen else (),
    )


def by_runner(
    subjects: Iterable[Subject], here: Here, options: FitOptions
) -> tuple[dict[tuple[Runner, bool], list[Subject]], Counter[str]]:
    """Return the models by what is to load them, and how many the asked runner does not load.

    Those that only read are a kind of their own: no size makes them better than one that writes.
    """
    kept: dict[tuple[Runner, bool], list[Subject]] = {}
    left_out: Counter[str] = Counter()
    for subject in subjects:
        try:
            kind = runner_for(subject, here, options), subject.makes_text
        except WrongUseError as error:
            left_out[str(error)] += 1
        else:
            kept.setdefault(kind, []).append(subject)
    return kept, left_out


def group_of(
    runner: Runner, subjects: Sequence[Subject], here: Here, options: FitOptions, most: int
) -> Group:
    """Plan for the models of one runner."""
    wish = replace(wish_for(options, here, runner, None), choices=max(most, 1))
    estimator = estimator_for(tuple(subjects), here, runner, options)
    candidates = tuple(subject.candidate() for subject in subjects)
    made = plan(
        here.snapshot,
        candidates,
        wish,
        loaded=here.loaded.models,
        learned=here.learned,
        estimate=estimator,
    )
    by_layout = zip(candidates, subjects, strict=True)
    return Group(
        runner=runner,
        wish=wish,
        subjects={id(candidate.layout): subject for candidate, subject in by_layout},
        plan=made,
        case=case_of(wish, here, estimator),
    )


def case_of(wish: Wish, here: Here, estimator: Estimator) -> Case:
    """Return what tells by how much models miss what was wanted, not the least that would do."""
    full = max(wish.least_context_tokens, wish.context_tokens or 0)
    wanted = replace(wish, least_context_tokens=full, replay=False)
    return Case(
        snapshot=here.snapshot,
        wish=wanted,
        judge=Judge(
            ground=survey(here.snapshot, wish),
            wish=wanted,
            estimate=estimator,
            learned=here.learned,
        ),
        loaded=here.loaded.models,
        others=(),
    )


def fitting_lines(group: Group) -> list[Line]:
    """Return what of a group can be run, as far as it was worked out."""
    return [
        Line(
            subject=group.subjects[id(choice.candidate.layout)], runner=group.runner, choice=choice
        )
        for choice in group.plan.choices
    ]


def other_lines(groups: Sequence[Group], known: set[int], most: int) -> list[Line]:
    """Return the models that cannot be run now, those that miss by least first."""
    lines: list[Line] = []
    for group in groups:
        for ranked in group.plan.ranking:
            subject = group.subjects[id(ranked.candidate.layout)]
            if id(subject) in known or len(lines) >= most:
                continue
            refusal = group.case.refuse(ranked.candidate)
            lines.append(Line(subject=subject, runner=group.runner, refusal=refusal))
    return sorted(lines, key=nearness)


def nearness(line: Line) -> tuple[object, ...]:
    """Return what puts the models that cannot be run into order: who misses by least is first."""
    missing = line.missing_bytes
    return not line.subject.makes_text, missing is None, missing or 0, line.subject.name


def order_of(line: Line, groups: Sequence[Group]) -> tuple[object, ...]:
    """Return what puts the models of several runners into one order: the usual preferences."""
    choice = line.choice
    wish = next(group.wish for group in groups if group.runner is line.runner)
    if choice is None:
        return ()
    wanted = wish.context_tokens or wish.least_context_tokens
    return (
        not line.subject.makes_text,
        wish.placements.index(choice.placement),
        -min(choice.context_tokens, wanted),
        quality_cost(choice.candidate),
        wish.cache_types.index(choice.cache_type) if choice.cache_type in wish.cache_types else 0,
        -choice.context_tokens,
        line.subject.name,
    )
