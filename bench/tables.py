"""Reports as Markdown, and into a document between its markers."""

import re
from collections.abc import Sequence
from pathlib import Path

from bench.result import Goal, Report, Result, Table, find


def markdown(report: Report) -> str:
    """Return the tables, then the goals, then the notes."""
    parts = [_table(table) for table in report.tables]
    if report.goals:
        parts.append("\n".join(["Goals:", "", *(f"- {_goal(goal)}" for goal in report.goals)]))
    parts += report.notes
    return "\n\n".join(parts)


def number(value: float, unit: str) -> str:
    """Return three digits that count, and all of those before the point.

    What has no unit is counted, and whole.
    """
    if value == 0 or abs(value) >= 100 or not unit:
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"


def _table(table: Table) -> str:
    cases = list(dict.fromkeys(each.case for each in table.results))
    subjects = list(dict.fromkeys(each.subject for each in table.results))
    rows = [
        [subject, *(_cell(find(table.results, case=case, subject=subject)) for case in cases)]
        for subject in subjects
    ]
    rows += [[name, "not installed", *("" for _ in cases[1:])] for name in table.not_installed]
    lines = [_row(["", *cases]), _row(["---", *("---:" for _ in cases)]), *map(_row, rows)]
    return "\n".join([f"**{table.title}**", "", *lines])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(result: Result | None) -> str:
    """Return the median with its unit, and the lowest and highest where there are several."""
    if result is None:
        return "-"
    if max(result.values) >= result.limit:
        return f"> {result.limit:g} {result.unit}"
    middle, least, most = (
        number(value, result.unit)
        for value in (result.median, min(result.values), max(result.values))
    )
    spread = f" ({least}-{most})" if len(result.values) > 1 else ""
    return f"{middle} {result.unit}".rstrip() + spread


def _goal(goal: Goal) -> str:
    verdict = "met" if goal.is_met else "**missed**"
    value, limit = (
        f"{number(each, goal.unit)} {goal.unit}".rstrip() for each in (goal.value, goal.limit)
    )
    return f"{verdict}: {goal.text}: {value}, at most {limit}"


def write(document: Path, name: str, text: str) -> None:
    """Put *text* between the document's markers of that name. Raises ``ValueError`` without them.

    The markers are ``<!-- bench:NAME -->`` and ``<!-- /bench:NAME -->``, each a line.
    """
    old = document.read_text()
    begin, end = f"<!-- bench:{name} -->\n", f"<!-- /bench:{name} -->\n"
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    new, found = pattern.subn(lambda _: f"{begin}\n{text}\n\n{end}", old)
    if found != 1:
        raise ValueError(f"{document} has not one pair of markers for {name}")
    document.write_text(new)
