"""Whether GPUs are read whole and in time while other threads of the program compute."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from bench import subjects
from bench.child import Child, Setting
from bench.drivers import AT_ONCE, script
from bench.overhead import with_files
from bench.result import Goal, Report, Result, Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much is measured.

    Attributes:
        rounds: New processes. Threads that fall onto the processors in another way may wait
            ten or a hundred times as long for the interpreter's lock, for a process's whole
            life: one process tells little.
        samples: Looks in each.
    """

    rounds: int = 7
    samples: int = 25
    threads: tuple[int, ...] = (0, 1, 2)
    gpus: int = 8


QUICK = Sizes(rounds=1, samples=2, threads=(1,), gpus=1)


def run(library: Path, sizes: Sizes) -> Report:
    """Take snapshots beside threads that only compute."""
    setting = with_files(Setting(library=str(library), script=script(sizes.gpus, AT_ONCE)))
    results: list[Result] = []
    goals: list[Goal] = []
    for threads in sizes.threads:
        beside = f"beside {threads} busy thread{'' if threads == 1 else 's'}"
        answers: dict[str, list[Any]] = {subjects.BARE: [], subjects.SNAPSHOT: []}
        for _ in range(sizes.rounds):
            for name, each in answers.items():
                with Child(name, setting) as child:
                    each.append(child.ask("beside", threads=threads, times=sizes.samples))
        for name, each in answers.items():
            results += _results(f"{name}, {beside}", each)
        partial = sum(sizes.samples - answer["whole"] for answer in answers[subjects.SNAPSHOT])
        text = f"snapshots {beside} in which a GPU was missing or old"
        goals.append(Goal(text=text, value=partial, limit=0, unit=""))
    title = f"{sizes.gpus} GPUs and the host, {sizes.samples} looks in each of {sizes.rounds} runs"
    return Report(tables=(Table(title=title, results=tuple(results)),), goals=tuple(goals))


def _results(row: str, answers: Sequence[Any]) -> list[Result]:
    figures = {
        "half of the looks within": [median(answer["wall_ms"]) for answer in answers],
        "99 of 100 within": [_within(answer["wall_ms"]) for answer in answers],
    }
    return [
        Result(case=case, subject=row, unit="ms", values=tuple(values))
        for case, values in figures.items()
    ]


def _within(milliseconds: Sequence[float]) -> float:
    return quantiles(milliseconds, n=100, method="inclusive")[98]
