"""How a runner is started with settings: as a command to copy, and what else it has to be told."""

import os
import shlex
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from vramline.cli.fit.subject import Subject
from vramline.fit.library import Source
from vramline.fit.plan.flags import Flags, flags_of
from vramline.fit.settings import Runner, Settings

PROGRAMS = {
    Runner.LLAMA_SERVER: "llama-server",
    Runner.LLAMA_LIBRARY: "llama-cli",
    Runner.LLAMA_BENCH: "llama-bench",
}


WINDOWS = os.name == "nt"


def spelt(words: Sequence[str], *, windows: bool = WINDOWS) -> str:
    """Return a command as the system's shell takes it, on one line that can be copied.

    What does not print is spelt as POSIX has it since 2024, and bash and zsh had it before:
    https://pubs.opengroup.org/onlinepubs/9799919799/utilities/V3_chap02.html
    """
    if windows:
        return subprocess.list2cmdline(words)
    return " ".join(
        shlex.quote(word) if word.isprintable() else f"$'{''.join(map(_escaped, word))}'"
        for word in words
    )


def _escaped(letter: str) -> str:
    if letter.isprintable() and letter not in "'\\":
        return letter
    return "".join(f"\\{byte:03o}" for byte in letter.encode("utf-8", "surrogateescape"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """How to run a model.

    Attributes:
        lines: What is to be typed, in its order.
        is_python: It is typed into Python.
        before: What has to be told to the runner's server, or set in its application, first.
        flags: What the settings come to, apart from the program and the model.
    """

    lines: tuple[str, ...]
    flags: Flags
    is_python: bool = False
    before: tuple[str, ...] = ()


def start_of(
    subject: Subject,
    settings: Settings,
    *,
    names: Mapping[str, str],
    blocks: int,
    projector: str | None,
) -> Start:
    """Return how to run *subject* with *settings*."""
    flags = flags_of(settings, names=names, blocks=blocks)
    return STARTS[settings.runner](subject, settings.runner, flags, projector)


def _llama(subject: Subject, runner: Runner, flags: Flags, projector: str | None) -> Start:
    words = [PROGRAMS[runner], "--model", subject.path]
    words += ["--mmproj", projector] if projector else []
    return _started([*words, *flags.arguments], flags)


def _vllm(subject: Subject, runner: Runner, flags: Flags, projector: str | None) -> Start:
    del runner, projector
    return _started(["vllm", "serve", subject.path, *flags.arguments], flags)


def _started(words: Sequence[str], flags: Flags) -> Start:
    """Return a command with its environment: a shell of Windows takes none on the same line."""
    if WINDOWS:
        return Start(lines=(spelt(words),), flags=flags, before=_needing("It", flags))
    told = [f"{name}={spelt([value])}" for name, value in flags.environment.items()]
    return Start(lines=(" ".join([*told, spelt(words)]),), flags=flags)


def _needing(who: str, flags: Flags) -> tuple[str, ...]:
    """Return what environment something has to be started with, as a sentence."""
    words = " ".join(f"{name}={value}" for name, value in flags.environment.items())
    return (f"{who} has to be started with {words}",) if words else ()


def _python(subject: Subject, runner: Runner, flags: Flags, projector: str | None) -> Start:
    del runner, projector
    told = [f"model_path={subject.path!r}"]
    told += [f"{name}={value}" for name, value in flags.parameters.items()]
    return _called(f"llama_cpp.Llama({', '.join(told)})", flags)


def _transformers(subject: Subject, runner: Runner, flags: Flags, projector: str | None) -> Start:
    del runner, projector
    told = [repr(subject.path), *(f"{name}={value!r}" for name, value in flags.parameters.items())]
    return _called(f"transformers.AutoModelForCausalLM.from_pretrained({', '.join(told)})", flags)


def _called(line: str, flags: Flags) -> Start:
    return Start(lines=(line,), flags=flags, is_python=True, before=_needing("Python", flags))


def _ollama(subject: Subject, runner: Runner, flags: Flags, projector: str | None) -> Start:
    del runner, projector
    name, lines = subject.name, []
    if subject.source is not Source.OLLAMA:
        name = subject.family.split("/")[1] or "model"
        source = f"FROM {subject.path}"
        told = f"echo {source}" if WINDOWS else f"printf '%s\\n' {spelt([source])}"
        lines += [f"{told} > Modelfile", spelt(["ollama", "create", name])]
    lines.append(spelt(["ollama", "run", name]))
    lines += [f"/set parameter {key} {value}" for key, value in flags.parameters.items()]
    before = _needing("Ollama's server", flags)
    if flags.parameters:
        before += ("What begins with /set is typed at Ollama's own prompt",)
    return Start(lines=tuple(lines), flags=flags, before=before)


def _lm_studio(subject: Subject, runner: Runner, flags: Flags, projector: str | None) -> Start:
    del runner, projector
    lines = []
    if subject.source is not Source.LM_STUDIO:
        lines.append(spelt(["lms", "import", subject.path]))
    lines.append(spelt(["lms", "load", subject.name, *flags.arguments]))
    before = tuple(
        f"In LM Studio's settings of the model, {name} has to be {value}"
        for name, value in flags.parameters.items()
    )
    return Start(lines=tuple(lines), flags=flags, before=before)


STARTS: Mapping[Runner, Callable[[Subject, Runner, Flags, str | None], Start]] = {
    Runner.LLAMA_SERVER: _llama,
    Runner.LLAMA_LIBRARY: _llama,
    Runner.LLAMA_BENCH: _llama,
    Runner.LLAMA_CPP_PYTHON: _python,
    Runner.OLLAMA: _ollama,
    Runner.LM_STUDIO: _lm_studio,
    Runner.VLLM: _vllm,
    Runner.TRANSFORMERS: _transformers,
}
"""How each runner is started, as ``flags_of`` tells what to say to it."""
