"""What was measured, and what it should be."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One figure of one subject, as several rounds measured it.

    Attributes:
        case: What was asked of it: a column.
        subject: Who was measured: a row.
        values: One a round, in the order of the rounds.
        limit: Above this nothing was measured any more.
    """

    case: str
    subject: str
    unit: str
    values: tuple[float, ...]
    limit: float = math.inf

    @property
    def median(self) -> float:
        """Half of the rounds measured less, half more."""
        return median(self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Results with a heading: the subjects are its rows, the cases its columns.

    Attributes:
        not_installed: The subjects that were not measured for that reason.
    """

    title: str
    results: tuple[Result, ...]
    not_installed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """A bound, and what was measured. Met where it is not above."""

    text: str
    value: float
    limit: float
    unit: str

    @property
    def is_met(self) -> bool:
        """Whether the bound holds."""
        return self.value <= self.limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a part of the bench gives.

    Attributes:
        notes: Sentences that belong under its tables.
    """

    tables: tuple[Table, ...]
    goals: tuple[Goal, ...] = ()
    notes: tuple[str, ...] = ()


def per_round(
    over: Result, under: Result, *, subject: str | None = None, unit: str = "x"
) -> Result:
    """Return the ratio of the two, round by round."""
    pairs = zip(over.values, under.values, strict=True)
    return Result(
        case=over.case,
        subject=subject or over.subject,
        unit=unit,
        values=tuple(a / b for a, b in pairs),
    )


def beyond(over: Result, under: Result) -> Result:
    """Return by how much the one is more than the other, round by round."""
    pairs = zip(over.values, under.values, strict=True)
    return replace(over, values=tuple(a - b for a, b in pairs))


def find(results: Sequence[Result], *, case: str, subject: str) -> Result | None:
    """Return the subject's result in that case, if it was measured."""
    matching = (each for each in results if (each.case, each.subject) == (case, subject))
    return next(matching, None)
