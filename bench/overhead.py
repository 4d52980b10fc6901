"""What one look at the machine costs, over a driver that answers at once and one that works.

A process holds memory on each GPU, as where a model runs on several; the idle case is there too.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench import subjects
from bench.child import Child, Setting
from bench.drivers import AT_ONCE, DRIVERS_TIME, case, holders, script
from bench.result import Goal, Report, Result, Table, find, per_round

SUBJECTS = (
    subjects.NVML_ALONE,
    subjects.BARE,
    subjects.SNAPSHOT,
    subjects.MONITOR,
    subjects.NVITOP,
    subjects.NVITOP_ONE_BY_ONE,
    subjects.NVITOP_DEVICES,
    subjects.NVITOP_SNAPSHOT,
    subjects.GPUSTAT,
    subjects.GLANCES,
)
PACED = (subjects.NVML_ALONE, subjects.BARE, subjects.SNAPSHOT)
EIGHT_AT_ONCE = case(8, AT_ONCE)
EIGHT_WORKING = case(8, DRIVERS_TIME)
ONCE_A_SECOND = "8 GPUs, once a second"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much is measured.

    Attributes:
        seconds: For each subject in each round.
        paced_seconds: How long the run goes in which subjects are asked once a second.
    """

    rounds: int = 11
    seconds: float = 0.3
    paced_seconds: int = 30
    gpus: tuple[int, ...] = (1, 8)


QUICK = Sizes(rounds=2, seconds=0.02, paced_seconds=1)


def run(library: Path, sizes: Sizes) -> Report:
    """Measure every subject in every case."""
    with holders(8) as pids:
        return measured(library, sizes, pids)


def measured(library: Path, sizes: Sizes, pids: Sequence[int]) -> Report:
    """Measure every subject in every case, with those processes on the GPUs."""
    results: list[Result] = []
    counts: dict[str, Mapping[str, Any]] = {}
    for gpus in sizes.gpus:
        for timing in (AT_ONCE, DRIVERS_TIME):
            busy = script(gpus, timing, pids=pids)
            setting = with_files(Setting(library=str(library), script=busy))
            counts[case(gpus, timing)] = equal_counts(setting)
            results += interleaved(SUBJECTS, setting, case(gpus, timing), sizes)
    most = max(sizes.gpus)
    setting = with_files(Setting(library=str(library), script=script(most)))
    results += interleaved(SUBJECTS, setting, case(most, AT_ONCE, idle=True), sizes)
    busy = script(8, DRIVERS_TIME, pids=pids)
    setting = with_files(Setting(library=str(library), script=busy))
    paced = once_a_second(setting, sizes.paced_seconds)
    bares = {each.case: each for each in results if each.subject == subjects.BARE}
    ratios = tuple(per_round(each, bares[each.case]) for each in results)
    return Report(
        tables=(
            Table(title="Processor time of one look", results=tuple(results)),
            Table(title="The same, as a multiple of the bare loop's", results=ratios),
            Table(title="Processor time of each further GPU", results=tuple(_marginal(results))),
            Table(title="Processor time of one look, when asked once a second", results=paced),
        ),
        goals=goals(results, paced),
        notes=tuple(_counted(name, each) for name, each in counts.items() if AT_ONCE in name),
    )


def with_files(setting: Setting, subject: str = subjects.SNAPSHOT) -> Setting:
    """Return the setting with the files that a subject opens, for the bare loop to read."""
    with Child(subject, setting) as child:
        return replace(setting, files=tuple(child.ask("count")["files"]))


def equal_counts(setting: Setting) -> Mapping[str, Any]:
    """Return what both a snapshot and the bare loop ask. Raises ``ValueError`` if they differ."""
    with Child(subjects.SNAPSHOT, setting) as ours, Child(subjects.BARE, setting) as bare:
        snapshot, loop = ours.ask("count"), bare.ask("count")
    if sorted(snapshot["files"]) != sorted(loop["files"]) or snapshot["calls"] != loop["calls"]:
        raise ValueError(f"bench/bare.py asks {loop}, where a snapshot asks {snapshot}")
    counted: Mapping[str, Any] = snapshot
    return counted


def _counted(name: str, counts: Mapping[str, Any]) -> str:
    calls = sum(counts["calls"].values())
    return (
        f"{name}: a snapshot and the bare loop both make {calls} calls into NVML "
        f"and open {len(counts['files'])} files."
    )


def interleaved(
    names: Sequence[str], setting: Setting, case_name: str, sizes: Sizes
) -> list[Result]:
    """Have the subjects take turns, and return the processor time of one look of each."""
    values: dict[str, list[float]] = {}
    with ExitStack() as stack:
        children = [
            stack.enter_context(Child(name, setting))
            for name in names
            if subjects.is_installed(name)
        ]
        for child in children:
            child.ask("measure", seconds=sizes.seconds)  # what is learnt at first
        for _ in range(sizes.rounds):
            for child in children:
                answer = child.ask("measure", seconds=sizes.seconds)
                values.setdefault(child.subject, []).append(answer["cpu_ms"])
    return [
        Result(case=case_name, subject=name, unit="ms", values=tuple(each))
        for name, each in values.items()
    ]


def once_a_second(setting: Setting, seconds: int) -> tuple[Result, ...]:
    """Have all asked once a second, by turns within the second."""
    with ExitStack() as stack:
        children = [stack.enter_context(Child(name, setting)) for name in PACED]
        for child in children:
            child.send("pace", times=seconds, interval=1.0)
            time.sleep(1.0 / len(children))
        return tuple(
            Result(case=ONCE_A_SECOND, subject=each.subject, unit="ms", values=(each.receive(),))
            for each in children
        )


def _marginal(results: Sequence[Result]) -> Iterator[Result]:
    """Yield what the GPUs after the first add, each, without the host and what is spent once."""
    for timing in (AT_ONCE, DRIVERS_TIME):
        for each in results:
            one = find(results, case=case(1, timing), subject=each.subject)
            if each.case == case(8, timing) and one is not None:
                pairs = zip(each.values, one.values, strict=True)
                values = tuple((eight - first) / 7 for eight, first in pairs)
                yield Result(case=timing, subject=each.subject, unit="ms", values=values)


def goals(results: Sequence[Result], paced: Sequence[Result]) -> tuple[Goal, ...]:
    """Compare with what was aimed at, as far as it was measured."""
    wanted = (
        ("a snapshot to the bare loop, driver answers at once", EIGHT_AT_ONCE, subjects.BARE, 4.0),
        ("a snapshot to the bare loop, driver takes its time", EIGHT_WORKING, subjects.BARE, 1.2),
        ("a snapshot to nvitop, the same fields", EIGHT_AT_ONCE, subjects.NVITOP, 0.5),
        ("a snapshot to nvitop's of all", EIGHT_AT_ONCE, subjects.NVITOP_SNAPSHOT, 0.25),
    )
    ratios = []
    for text, case_name, other, limit in wanted:
        ours = find(results, case=case_name, subject=subjects.SNAPSHOT)
        theirs = find(results, case=case_name, subject=other)
        if ours and theirs:
            value = per_round(ours, theirs).median
            ratios.append(Goal(text=text, value=value, limit=limit, unit="x"))
    return (*ratios, *_shares(results, paced))


def _shares(results: Sequence[Result], paced: Sequence[Result]) -> list[Goal]:
    """Return how much of one core a snapshot a second takes beyond the driver's own calls."""
    goals = []
    for how, each, case_name in (
        ("by the cost of one look", results, EIGHT_WORKING),
        ("measured", paced, ONCE_A_SECOND),
    ):
        ours = find(each, case=case_name, subject=subjects.SNAPSHOT)
        driver = find(each, case=case_name, subject=subjects.NVML_ALONE)
        if ours and driver:
            percent = (ours.median - driver.median) / 1e3 * 100
            text = f"of one core for 8 GPUs and the host once a second, {how}"
            goals.append(Goal(text=text, value=percent, limit=0.1, unit="%"))
    ours = find(paced, case=ONCE_A_SECOND, subject=subjects.SNAPSHOT)
    if ours:
        text = "of one core for the same, the driver's own time with it"
        goals.append(Goal(text=text, value=ours.median / 1e3 * 100, limit=1.0, unit="%"))
    return goals
