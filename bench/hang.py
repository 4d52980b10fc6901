"""How soon a process is gone while a call into the driver hangs in it."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from bench import programs
from bench.programs import ROOT, Program, not_installed
from bench.result import Goal, Report, Result, Table, find
from tests.standin import environment, write_script

HEALTHY = "gpus 2\nwatch\n"
CALL = "nvmlDeviceGetUtilizationRates"
PATIENCE_SECONDS = 30.0


class Ending(StrEnum):
    """What is to end the process: a column."""

    INTERRUPT = "after Ctrl-C"
    BY_ITSELF = "by itself, since the call hangs"
    MAIN_ENDS = "after the end of main, asked in a daemon thread"


# Looks once, and again when told to: the driver may come to hang between the two.
_LOOK_TWICE = """
import sys, threading
{opening}
look()
print("looked", flush=True)
sys.stdin.readline()
if sys.argv[1:]:
    threading.Thread(target=look, daemon=True).start()
    sys.stdin.readline()
else:
    look()
"""


def _library(name: str, opening: str, needs: str) -> Program:
    code = _LOOK_TWICE.format(opening=opening)
    return Program(name=name, arguments=("-c", code), needs=needs)


SAMPLER = _library(
    "vramline Sampler.snapshot()",
    "from vramline import Sampler; look = Sampler().snapshot",
    "vramline",
)
LIBRARIES = (
    SAMPLER,
    _library("gpustat.new_query()", "from gpustat import new_query as look", "gpustat"),
    _library(
        "nvitop Device.as_snapshot()",
        "from nvitop import Device; look = Device(0).as_snapshot",
        "nvitop",
    ),
)
COMMANDS = (programs.VRAMLINE, programs.GPUSTAT, programs.NVITOP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much is measured.

    Attributes:
        limit_seconds: How long the end is waited for. A program that takes longer is
            not asked again.
    """

    rounds: int = 3
    limit_seconds: float = 20.0
    endings: tuple[Ending, ...] = tuple(Ending)


QUICK = Sizes(rounds=1, limit_seconds=3.0, endings=(Ending.INTERRUPT, Ending.MAIN_ENDS))


def run(library: Path, sizes: Sizes) -> Report:
    """End every program in every way that it has."""
    # The children would ignore Ctrl-C too where this was started in a shell's background.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        results = [
            Result(
                case=ending,
                subject=program.name,
                unit="s",
                values=tuple(_times(program, ending, library, sizes)),
                limit=sizes.limit_seconds,
            )
            for program in (*LIBRARIES, *COMMANDS)
            for ending in sizes.endings
            if program.is_installed and (program in LIBRARIES or ending != Ending.MAIN_ENDS)
        ]
    finally:
        signal.signal(signal.SIGINT, before)
    table = Table(
        title="Until the process is gone, while a call into the driver hangs",
        results=tuple(results),
        not_installed=not_installed((*LIBRARIES, *COMMANDS)),
    )
    return Report(tables=(table,), goals=goals(results))


def _times(program: Program, ending: Ending, library: Path, sizes: Sizes) -> Iterator[float]:
    for _ in range(sizes.rounds):
        with hung(program, ending, library) as process:
            seconds = time_to_end(process, ending, sizes.limit_seconds)
        yield seconds
        if seconds >= sizes.limit_seconds:
            return


@contextmanager
def hung(program: Program, ending: Ending, library: Path) -> Iterator["subprocess.Popen[str]"]:
    """Start a program, and give it once a call into its driver hangs. Kill it at the end."""
    log = library.with_name("calls.txt")
    log.unlink(missing_ok=True)
    hanging = f"gpus 2\nlog {log}\non {CALL} hang\n"
    looks_twice = program in LIBRARIES
    script = write_script(library.with_name("hang.txt"), HEALTHY if looks_twice else hanging)
    arguments = ["thread"] if ending == Ending.MAIN_ENDS else []
    with _started([*program.command, *arguments], environment(library, script)) as process:
        if looks_twice:
            _await_line(process)
            write_script(script, hanging)
            _tell(process)
        _await_call(log, process)
        yield process


@contextmanager
def _started(
    command: Sequence[str], environ: Mapping[str, str]
) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _await_line(process: "subprocess.Popen[str]") -> None:
    assert process.stdout is not None
    if not process.stdout.readline():
        raise RuntimeError(f"{process.args!r} ended with status {process.wait()} before it looked")


def _tell(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def _await_call(log: Path, process: "subprocess.Popen[str]") -> None:
    """Return once the call that hangs was made."""
    until = time.monotonic() + PATIENCE_SECONDS
    while not (log.exists() and CALL in log.read_text()):
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"{process.args!r} made no call of {CALL}")
        time.sleep(0.001)


def time_to_end(process: "subprocess.Popen[str]", ending: Ending, limit_seconds: float) -> float:
    """Have the process end in that way; return the seconds that it takes, up to the limit."""
    if sys.platform != "linux":
        raise OSError("only Linux tells at once that a process is gone")
    process_descriptor = os.pidfd_open(process.pid)
    try:
        begun = time.perf_counter()
        if ending == Ending.INTERRUPT:
            process.send_signal(signal.SIGINT)
        elif ending == Ending.MAIN_ENDS:
            _tell(process)
        gone, _, _ = select.select([process_descriptor], [], [], limit_seconds)
        return time.perf_counter() - begun if gone else limit_seconds
    finally:
        os.close(process_descriptor)


def goals(results: Sequence[Result]) -> tuple[Goal, ...]:
    """Compare with what was aimed at, as far as it was measured."""
    wanted = (
        (SAMPLER, Ending.INTERRUPT, 1.0),
        (programs.VRAMLINE, Ending.INTERRUPT, 1.0),
        (SAMPLER, Ending.MAIN_ENDS, 1.0),
        # Half a second for the answer, and as long for the driver to be let go.
        (SAMPLER, Ending.BY_ITSELF, 1.5),
        # Ten seconds for the first answer, and one for the rest.
        (programs.VRAMLINE, Ending.BY_ITSELF, 11.0),
    )
    return tuple(
        Goal(text=f"{program.name}, {ending}", value=max(found.values), limit=limit, unit="s")
        for program, ending, limit in wanted
        if (found := find(results, case=ending, subject=program.name))
    )
