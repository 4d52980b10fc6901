"""One subject in a process of its own, which measures it when told to.

A command comes as a line of JSON, ``[name, {arguments}]``, and so does its answer.
"""

import json
import mmap
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from bench.bare import Ask
from bench.subjects import open_subject
from tests.standin import SOURCES, StandIn
from vramline import Snapshot

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a subject is measured over.

    Attributes:
        library: The stand-in, as it was built.
        script: What the stand-in answers. ``None``: this machine as it is.
        files: What the bare loop reads.
        root: The folder that has the machine's ``/proc`` and ``/sys``, where it is not this one.
    """

    library: str
    script: str | None
    files: tuple[str, ...] = ()
    root: str = ""


class Child:
    """The parent's end. Ends the process when it is left."""

    def __init__(self, subject: str, setting: Setting) -> None:
        self.subject = subject
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.child", subject, json.dumps(asdict(setting))],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def ask(self, command: str, **arguments: object) -> Any:
        """Return the answer to one of ``COMMANDS``."""
        self.send(command, **arguments)
        return self.receive()

    def send(self, command: str, **arguments: object) -> None:
        """Have the child begin."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([command, arguments]) + "\n")
        self._process.stdin.flush()

    def receive(self) -> Any:
        """Wait for the answer. Raises ``RuntimeError`` where the child ended without one."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.subject} ended with status {self._process.wait()}")
        return json.loads(line)


def measure(ask: Ask, *, seconds: float) -> dict[str, float]:
    """Ask again and again for that long; return the cost of one time, in ms."""
    count = 0
    begun, begun_cpu = time.perf_counter(), time.process_time()
    while (passed := time.perf_counter() - begun) < seconds:
        ask()
        count += 1
    return {
        "cpu_ms": (time.process_time() - begun_cpu) / count * 1e3,
        "wall_ms": passed / count * 1e3,
    }


def pace(ask: Ask, *, times: int, interval: float) -> float:
    """Ask once an interval; return the processor time that one time took, in ms."""
    begun = time.monotonic()
    begun_cpu = time.process_time()
    for turn in range(1, times + 1):
        ask()
        time.sleep(max(0.0, begun + turn * interval - time.monotonic()))
    return (time.process_time() - begun_cpu) / times * 1e3


def beside(ask: Ask, *, threads: int, times: int) -> dict[str, Any]:
    """Ask that often while so many threads compute; return how long each took, and what was whole.

    A snapshot is whole where every GPU is in it as of now.
    """
    stop = threading.Event()
    busy = [threading.Thread(target=_compute, args=(stop,), daemon=True) for _ in range(threads)]
    for thread in busy:
        thread.start()
    milliseconds, whole = [], 0
    for _ in range(times):
        begun = time.perf_counter()
        answer = ask()
        milliseconds.append((time.perf_counter() - begun) * 1e3)
        whole += _is_whole(answer)
    stop.set()
    for thread in busy:
        thread.join()
    return {"wall_ms": milliseconds, "whole": whole}


def _compute(stop: threading.Event) -> None:
    while not stop.is_set():
        for _ in range(10_000):
            pass


def _is_whole(answer: object) -> bool:
    if not isinstance(answer, Snapshot):
        return True
    fresh = all(gpu.age_seconds == 0 and not gpu.unknown for gpu in answer.gpus)
    return fresh and bool(answer.gpus) and not answer.failures


def count(ask: Ask, *, standin: StandIn | None) -> dict[str, Any]:
    """Ask once; return the calls into the stand-in, by function, and the files, in their order."""
    opened: list[str] = []

    def note(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str):
            opened.append(arguments[0])

    before = _calls(standin)
    sys.addaudithook(note)
    ask()
    files = list(opened)
    after = _calls(standin)
    calls = {name: after[name] - before[name] for name in after if after[name] > before[name]}
    return {"calls": calls, "files": files}


def _calls(standin: StandIn | None) -> dict[str, int]:
    if standin is None:
        return {}
    names = re.findall(r"\bX\((nvml\w+)\)", (SOURCES / "standin.h").read_text())
    return {name: standin.calls(name) for name in names}


def repeat(ask: Ask, *, times: int) -> None:
    """Ask that often."""
    for _ in range(times):
        ask()


def resources() -> dict[str, float]:
    """Return the process's resident memory in KiB, and how many open files and threads it has."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "memory": pages * mmap.PAGESIZE / 1024,
        "files": float(len(os.listdir("/proc/self/fd")) - 1),  # less the one that lists them
        "threads": float(len(os.listdir("/proc/self/task"))),  # Python's, and all others
    }


def main(subject: str, setting: Mapping[str, Any]) -> None:
    """Open the subject, and carry out commands until the parent has no more."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a subject prints is no answer
    standin = None
    if setting["script"] is not None:
        library = Path(setting["library"])
        standin = StandIn(library, library.with_name(f"{os.getpid()}.txt"))
        standin.load(setting["script"])
    ask = open_subject(subject, setting["files"], setting["root"])
    ask()
    time.sleep(0.15)  # vramline's first two looks at the processors are that far apart
    commands: Mapping[str, Callable[..., object]] = {
        "measure": lambda **given: measure(ask, **given),
        "pace": lambda **given: pace(ask, **given),
        "beside": lambda **given: beside(ask, **given),
        "repeat": lambda **given: repeat(ask, **given),
        "count": lambda: count(ask, standin=standin),
        "resources": resources,
    }
    for line in sys.stdin:
        name, arguments = json.loads(line)
        answers.write(json.dumps(commands[name](**arguments)) + "\n")
        answers.flush()


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
