"""``vramline doctor``: what is wrong, and what mends it. Plain text, which needs nothing."""

import json
import shutil
import textwrap
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from vramline.cli.look import Look, as_recorded, machine_of, told_of
from vramline.cli.options import Options
from vramline.cli.output import emit
from vramline.cli.words import printable
from vramline.doctor import Finding, Status, examine, installed_version

FORMAT = 1
"""The version of the layout that ``--json`` prints."""

PROBLEM_FOUND = 1
INDENT = " " * 9


def run(options: Options, look: Look) -> int:
    """Print the findings; return the exit status, 1 where there is a problem."""
    machine = machine_of(options)
    started = time.monotonic()
    snapshot = look(machine)
    took_seconds, version_of = time.monotonic() - started, installed_version
    if recorded := as_recorded(machine):
        took_seconds, version_of = recorded.took_seconds, recorded.version_of
    findings = examine(machine, snapshot, version_of=version_of, took_seconds=took_seconds)
    told = told_of(machine)
    text = as_json(findings, told) if options.json else as_text(findings, _width(), told)
    problems = any(finding.status is Status.PROBLEM for finding in findings)
    return emit(text) or (PROBLEM_FOUND if problems else 0)


def as_json(findings: Sequence[Finding], told: str = "") -> str:
    """Return the findings for a program; *told* of the machine, where it is not this one."""
    machine = {"machine": told} if told else {}
    listed = [asdict(each) for each in findings]
    return json.dumps({"format": FORMAT, **machine, "findings": listed}, indent=2) + "\n"


def as_text(findings: Sequence[Finding], width: int, told: str = "") -> str:
    """Return the findings for a person, on a page that is *width* characters wide."""
    blocks = ["\n".join(_lines(finding, width)) for finding in findings]
    counts = Counter(finding.status for finding in findings)
    summary = ", ".join(_count(counts[status], status) for status in (Status.PROBLEM, Status.NOTE))
    above = [told, ""] if told else []
    return "\n".join([*above, *blocks, "", summary, ""])


def _lines(finding: Finding, width: int) -> Iterator[str]:
    first = f"{finding.status:<{len(INDENT)}}{finding.check}: {printable(finding.found)}"
    yield from _wrap(first, width)
    if finding.meaning:
        yield from _wrap(INDENT + printable(finding.meaning), width)
    if finding.mend:  # in one piece, to be copied
        yield f"{INDENT}-> {printable(finding.mend)}"


def _wrap(text: str, width: int) -> list[str]:
    return textwrap.wrap(
        text, width, subsequent_indent=INDENT, break_on_hyphens=False, break_long_words=False
    )


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"


def _width() -> int:
    return max(40, shutil.get_terminal_size().columns)
