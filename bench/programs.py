"""Whole programs: what is started, and how long a process lives and computes."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parent.parent

# The command itself, but for the time that it waits: both of its looks are still taken.
_WITHOUT_PAUSE = """
from vramline.__main__ import main
def look(machine):
    from vramline.sampler import take_snapshot
    return take_snapshot(machine, sleep=lambda seconds: None)
raise SystemExit(main(["--json"], look=look))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """Something that Python runs.

    Attributes:
        arguments: Python's own.
        needs: The module without which it is left out.
    """

    name: str
    arguments: tuple[str, ...]
    needs: str = "vramline"

    @property
    def is_installed(self) -> bool:
        """Whether it can be run here."""
        return find_spec(self.needs) is not None

    @property
    def command(self) -> list[str]:
        """What the system is to start."""
        return [sys.executable, *self.arguments]


NOTHING = Program(name="python -c pass", arguments=("-c", "pass"))
IMPORT = Program(name="python -c 'import vramline'", arguments=("-c", "import vramline"))
VRAMLINE = Program(name="vramline --json", arguments=("-m", "vramline", "--json"))
VRAMLINE_AT_ONCE = Program(
    name="vramline --json, without its pause", arguments=("-c", _WITHOUT_PAUSE)
)
GPUSTAT = Program(name="gpustat --json", arguments=("-m", "gpustat", "--json"), needs="gpustat")
NVITOP = Program(name="nvitop -1", arguments=("-m", "nvitop", "-1"), needs="nvitop")


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """A process from its start to its end."""

    wall_ms: float
    cpu_ms: float
    status: int


def live(program: Program, environ: Mapping[str, str]) -> Life:
    """Run a program to its end. What it prints is thrown away."""
    if sys.platform == "win32":
        raise OSError("Windows does not tell what a process that is gone has used")
    begun = time.perf_counter()
    process = subprocess.Popen(
        program.command,
        cwd=ROOT,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)  # or it is waited for once more
    cpu = usage.ru_utime + usage.ru_stime
    return Life(wall_ms=wall * 1e3, cpu_ms=cpu * 1e3, status=process.returncode)


def not_installed(programs: Sequence[Program]) -> tuple[str, ...]:
    """Return the names of those that cannot be run here."""
    return tuple(program.name for program in programs if not program.is_installed)
