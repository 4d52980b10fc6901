"""What one look at the host costs, on this machine as it is, without a GPU."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench import overhead, subjects
from bench.child import Child, Setting
from bench.result import Goal, Report, Result, Table, find, per_round
from tests.standin import ABSENT

SUBJECTS = (subjects.HOST_FILES, subjects.HOST_READER, subjects.SNAPSHOT, subjects.PSUTIL)
CASE = "processor time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much is measured.

    Attributes:
        seconds: For each subject in each round.
    """

    rounds: int = 11
    seconds: float = 0.3


QUICK = Sizes(rounds=2, seconds=0.02)


def run(library: Path, sizes: Sizes) -> Report:
    """Measure every subject over the real files, where no NVIDIA driver is found."""
    setting = overhead.with_files(
        Setting(library=str(library), script=ABSENT), subjects.HOST_READER
    )
    turns = overhead.Sizes(rounds=sizes.rounds, seconds=sizes.seconds)
    results = overhead.interleaved(SUBJECTS, setting, CASE, turns)
    bare = next(each for each in results if each.subject == subjects.HOST_FILES)
    ratios = [replace(per_round(each, bare), case="to the bare loop") for each in results]
    opened = [
        Result(case="files opened", subject=name, unit="", values=(files_opened(name, setting),))
        for name in SUBJECTS
    ]
    table = Table(title="One look at the host", results=(*results, *ratios, *opened))
    return Report(tables=(table,), goals=goals(results))


def files_opened(subject: str, setting: Setting) -> float:
    """Return how many files one look of the subject opens."""
    with Child(subject, setting) as child:
        return float(len(child.ask("count")["files"]))


def goals(results: Sequence[Result]) -> tuple[Goal, ...]:
    """Compare with what was aimed at."""
    ours = find(results, case=CASE, subject=subjects.HOST_READER)
    wanted = (("the bare loop", subjects.HOST_FILES, 4.0), ("psutil", subjects.PSUTIL, 2.0))
    return tuple(
        Goal(
            text=f"HostReader.read() to {name}",
            value=per_round(ours, theirs).median,
            limit=limit,
            unit="x",
        )
        for name, subject, limit in wanted
        if ours and (theirs := find(results, case=CASE, subject=subject))
    )
