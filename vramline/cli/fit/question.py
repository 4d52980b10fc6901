"""What is asked of one model, with all that it takes to answer."""

from dataclasses import dataclass, replace

from vramline.cli.fit.estimating import LOADS_PROJECTORS, Estimator
from vramline.cli.fit.here import Here
from vramline.cli.fit.options import FitOptions
from vramline.cli.fit.subject import Subject
from vramline.cli.fit.wanted import runner_for, wish_for
from vramline.fit.need import MemoryNeed
from vramline.fit.plan.judge import Judge
from vramline.fit.plan.rooms import survey
from vramline.fit.plan.wish import Wish
from vramline.fit.settings import Runner, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of one model, with all that it takes to answer.

    Attributes:
        others: The same model at other quantisations.
    """

    subject: Subject
    others: tuple[Subject, ...]
    here: Here
    options: FitOptions
    runner: Runner
    wish: Wish
    estimator: Estimator


def question_of(
    subject: Subject, others: tuple[Subject, ...], here: Here, options: FitOptions
) -> Question:
    """Put the question. Raises ``WrongUseError``."""
    runner = runner_for(subject, here, options)
    wish = wish_for(options, here, runner, subject.trained_tokens)
    if "context_tokens" not in options.said:
        wish = replace(wish, context_tokens=None)
    return Question(
        subject=subject,
        others=others,
        here=here,
        options=options,
        runner=runner,
        wish=wish,
        estimator=estimator_for((subject, *others), here, runner, options),
    )


def estimator_for(
    subjects: tuple[Subject, ...], here: Here, runner: Runner, options: FitOptions
) -> Estimator:
    """Return what the needs of *subjects* are told with."""
    loads = runner in LOADS_PROJECTORS or options.projector is not None
    return Estimator(
        projectors={
            id(each.layout): each.projector_bytes
            for each in subjects
            if loads and each.projector_bytes
        },
    )


def exact_need(question: Question, settings: Settings) -> MemoryNeed:
    """Return what *settings* take, with the allocator replayed."""
    return question.estimator(
        question.subject.layout,
        settings,
        learned=question.here.learned,
        device_bytes=survey(question.here.snapshot, question.wish).device_bytes,
    )


def judge_of(question: Question) -> Judge:
    """Return who judges what is asked."""
    return Judge(
        ground=survey(question.here.snapshot, question.wish),
        wish=question.wish,
        estimate=question.estimator,
        learned=question.here.learned,
    )
