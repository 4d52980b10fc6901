"""The runners' processes, and how each was started.

Of a process that is no runner's only its name is looked at.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from vramline.machine import Machine
from vramline.machine.files import names_in, read
from vramline.runners.folders import base_name

SERVER = "llama-server"
OLLAMA = "ollama"
LM_STUDIO = frozenset({"lm studio", "lm-studio", "lmstudio", "llmster", "lms"})
LLAMA = "llama"
"""All of llama.cpp's programs in one: ``llama serve`` is its llama-server.
https://github.com/ggml-org/llama.cpp/blob/master/app/llama.cpp"""
SERVES = (("serve",), ("server",))
NAMES = frozenset({SERVER, LLAMA, OLLAMA, *LM_STUDIO})

MOST_WORDS = 10_000
"""Of one command. Linux takes up to 6 MB of them."""

_STAT = re.compile(r"\d+ \((.{0,64})\) . (\d{1,10}) ", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A runner's process.

    Attributes:
        parent: The pid of the process that started it, 0 where that is not known.
        name: In lower case, without ``.exe``; ``llama-server`` for ``llama serve``.
        words: Its command, the program first; empty where this user may not see it.
    """

    pid: int
    parent: int = 0
    name: str
    words: tuple[str, ...] = ()

    def option(self, *names: str) -> str | None:
        """Return the word behind the last of an option's names, as llama.cpp takes it."""
        found = None
        for word, behind in zip(self.words, self.words[1:], strict=False):
            if (word.replace("_", "-") if word.startswith("--") else word) in names:
                found = behind
        return found


def runners_processes(machine: Machine) -> tuple[Process, ...]:
    """Return the processes of runners, none where processes cannot be listed."""
    listed = _by_proc if machine.platform == "linux" else _by_psutil
    named = (
        replace(each, name=SERVER) if each.name == LLAMA and each.words[1:2] in SERVES else each
        for each in listed(machine)
    )
    return tuple(each for each in named if each.name != LLAMA)


def _by_proc(machine: Machine) -> Iterator[Process]:
    for name in names_in(machine, "/proc"):
        if not (name.isascii() and name.isdigit() and len(name) <= 10):
            continue
        found = _STAT.match(read(machine, f"/proc/{name}/stat"))
        if found is None or found[1].lower() not in NAMES:
            continue
        words = read(machine, f"/proc/{name}/cmdline").removesuffix("\0").split("\0", MOST_WORDS)
        yield Process(
            pid=int(name),
            parent=int(found[2]),
            name=found[1].lower(),
            words=tuple(words) if any(words) else (),
        )


def _by_psutil(machine: Machine) -> Iterator[Process]:
    try:
        psutil = machine.library("psutil")
        pids = psutil.pids()
    except (ImportError, OSError, AttributeError):  # a recording may lack the question
        return
    for pid in pids:
        try:
            process = psutil.Process(pid)
            name = process.name().lower().removesuffix(".exe")
            if name in NAMES:
                yield _look_at(psutil, process, pid, name)
        except (psutil.Error, OSError, AttributeError):
            continue


def _look_at(psutil: Any, process: Any, pid: int, name: str) -> Process:
    try:
        words = tuple(process.cmdline()[:MOST_WORDS])
    except psutil.AccessDenied:  # another user's
        words = ()
    return Process(pid=pid, parent=process.ppid() or 0, name=name, words=words)


def is_ollamas_server(process: Process) -> bool:
    """Tell whether it is the one that all of Ollama's other programs ask."""
    return process.name == OLLAMA and process.words[1:2] == ("serve",)


def is_ollamas(process: Process, everything: tuple[Process, ...]) -> bool:
    """Tell whether Ollama started it to hold a model.

    That is ``ollama runner``, or the ``llama-server`` that lies among its libraries.
    """
    if process.name == OLLAMA:
        return process.words[1:2] == ("runner",)
    return "/lib/ollama/" in _program(process) or _started_by(process, everything, {OLLAMA})


def is_lm_studios(process: Process, everything: tuple[Process, ...]) -> bool:
    """Tell whether it is a ``llama-server`` that LM Studio started to hold a model."""
    if process.name != SERVER:
        return False
    own = ("/.lmstudio/", "/.cache/lm-studio/")
    return any(each in _program(process) for each in own) or _started_by(
        process, everything, LM_STUDIO
    )


def is_routers(process: Process, everything: tuple[Process, ...]) -> bool:
    """Tell whether it is a ``llama-server`` that another one started to hold a model."""
    return process.name == SERVER and _started_by(process, everything, {SERVER})


def _program(process: Process) -> str:
    return process.words[0].replace("\\", "/") if process.words else ""


def _started_by(
    process: Process, everything: tuple[Process, ...], names: frozenset[str] | set[str]
) -> bool:
    return any(
        each.pid == process.parent and each.name in names and each.pid != process.pid
        for each in everything
    )


def model_name(process: Process) -> str | None:
    """Return what a ``llama-server`` was told to load, by the last part of its name."""
    alias = (process.option("-a", "--alias") or "").partition(",")[0].strip()
    if alias:
        return alias
    repository = process.option("-hf", "-hfr", "--hf-repo")
    path = process.option("-m", "--model")
    return base_name(path) if path else repository
