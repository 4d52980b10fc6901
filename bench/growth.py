"""Whether memory, open files and threads stay as they are over very many samples."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench import subjects
from bench.child import Child, Setting
from bench.drivers import AT_ONCE, case, script
from bench.result import Goal, Report, Result, Table

COLUMNS = {
    "memory": ("resident memory", "KiB"),
    "files": ("open files", ""),
    "threads": ("threads", ""),
}
STEPS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much is measured.

    Attributes:
        warm_up: Samples before the first figure, in which caches fill.
    """

    samples: int = 1_000_000
    warm_up: int = 10_000


QUICK = Sizes(samples=100, warm_up=10)


def run(library: Path, sizes: Sizes) -> Report:
    """Ask the monitor again and again, and look ten times what its process holds."""
    held: dict[str, Mapping[str, float]] = {}
    busy = script(1, AT_ONCE, pids=[os.getpid()])  # so that a process is looked up each time
    setting = Setting(library=str(library), script=busy)
    with Child(subjects.MONITOR, setting) as child:
        child.ask("repeat", times=sizes.warm_up)
        held["at the start"] = child.ask("resources")
        for step in range(1, STEPS + 1):
            done, before = (sizes.samples * each // STEPS for each in (step, step - 1))
            child.ask("repeat", times=done - before)
            held[f"after {done:,} samples"] = child.ask("resources")
    title = f"ResourceMonitor.get_current_resources(), {case(1, AT_ONCE)}, a process on it"
    results = tuple(
        Result(case=text, subject=moment, unit=unit, values=(figures[name],))
        for moment, figures in held.items()
        for name, (text, unit) in COLUMNS.items()
    )
    return Report(tables=(Table(title=title, results=results),), goals=goals(held, sizes))


def goals(held: Mapping[str, Mapping[str, float]], sizes: Sizes) -> tuple[Goal, ...]:
    """Compare the last look with the first."""
    first, *_, last = held.values()
    return tuple(
        Goal(
            text=f"more {text} after {sizes.samples:,} samples",
            value=last[name] - first[name],
            limit=1024 if name == "memory" else 0,
            unit=unit,
        )
        for name, (text, unit) in COLUMNS.items()
    )
