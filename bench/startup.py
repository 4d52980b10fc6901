"""What a whole process costs, from its start to its end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench import programs
from bench.drivers import script
from bench.programs import Life, live, not_installed
from bench.result import Goal, Report, Result, Table, beyond, find, per_round
from tests.standin import ABSENT, environment, write_script
from vramline.sampler import SETTLE_SECONDS

PROGRAMS = (
    programs.NOTHING,
    programs.IMPORT,
    programs.VRAMLINE,
    programs.VRAMLINE_AT_ONCE,
    programs.GPUSTAT,
    programs.NVITOP,
)
NO_GPU = "no GPU"
TWO_GPUS = "2 GPUs"
CASES = {NO_GPU: ABSENT, TWO_GPUS: script(2)}
IMPORT_MS = 25.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much is measured."""

    rounds: int = 15


QUICK = Sizes(rounds=1)


def run(library: Path, sizes: Sizes) -> Report:
    """Run every program without a GPU and with two, by turns."""
    results: list[Result] = []
    for name, text in CASES.items():
        lives = by_turns(library, text, sizes.rounds)
        if name == TWO_GPUS:
            refuse_failures(lives)
        for program, each in lives.items():
            figures = {
                "wall": tuple(life.wall_ms for life in each),
                "processor": tuple(life.cpu_ms for life in each),
            }
            results += [
                Result(case=f"{name}: {what}", subject=program, unit="ms", values=values)
                for what, values in figures.items()
            ]
    table = Table(
        title=f"Whole processes, {sizes.rounds} rounds",
        results=tuple(results),
        not_installed=not_installed(PROGRAMS),
    )
    return Report(tables=(table,), goals=goals(results))


def by_turns(library: Path, text: str, rounds: int) -> Mapping[str, Sequence[Life]]:
    """Run the programs, one after the other, so many times, and once more before."""
    path = write_script(library.with_name("startup.txt"), text)
    environ = environment(library, path)
    present = [program for program in PROGRAMS if program.is_installed]
    lives: dict[str, list[Life]] = {program.name: [] for program in present}
    for program in present:
        live(program, environ)  # reads files that then are in memory, and writes bytecode
    for _ in range(rounds):
        for program in present:
            lives[program.name].append(live(program, environ))
    return lives


def refuse_failures(lives: Mapping[str, Sequence[Life]]) -> None:
    """Raise ``RuntimeError`` where a program failed: it did not do what was measured."""
    for name, each in lives.items():
        if any(life.status for life in each):
            raise RuntimeError(f"{name} ended with status {max(life.status for life in each)}")


def goals(results: Sequence[Result]) -> tuple[Goal, ...]:
    """Compare with what was aimed at, as far as it was measured."""
    wall = {
        program: find(results, case=f"{NO_GPU}: wall", subject=program.name) for program in PROGRAMS
    }
    bare, imported = wall[programs.NOTHING], wall[programs.IMPORT]
    reached = []
    if bare and imported:
        text = "import vramline, over a bare interpreter"
        value = beyond(imported, bare).median
        reached.append(Goal(text=text, value=value, limit=IMPORT_MS, unit="ms"))
    for ours in (_beyond_pause(wall[programs.VRAMLINE]), wall[programs.VRAMLINE_AT_ONCE]):
        for program in (programs.GPUSTAT, programs.NVITOP):
            theirs = wall[program]
            if ours and theirs:
                text = f"{ours.subject}, to {program.name}, {NO_GPU}"
                value = per_round(ours, theirs).median
                reached.append(Goal(text=text, value=value, limit=1.0, unit="x"))
    return tuple(reached)


def _beyond_pause(result: Result | None) -> Result | None:
    """Return how much longer than its pause the command took: what its start adds to that."""
    if result is None:
        return None
    values = tuple(value - SETTLE_SECONDS * 1e3 for value in result.values)
    return replace(result, subject=f"{result.subject}, beyond its pause", values=values)
