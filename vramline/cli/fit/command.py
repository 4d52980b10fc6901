"""How a runner is started with settings: as a command to copy, and what else it has to be told."""

import shlex
from collections.abc import Callable, Mapping
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
    return Start(lines=(shlex.join([*words, *flags.arguments]),), flags=flags)


def _python(subject: Subject, runner: Runner, flags: Flags, projector: str | None) -> Start:
    del runner, projector
    told = [f"model_path={subject.path!r}"]
    told += [f"{name}={value}" for name, value in flags.parameters.items()]
    return Start(lines=(f"llama_cpp.Llama({', '.join(told)})",), flags=flags, is_python=True)


def _ollama(subject: Subject, runner: Runner, flags: Flags, projector: str | None) -> Start:
    del runner, projector
    name, lines = subject.name, []
    if subject.source is not Source.OLLAMA:
        name = subject.family.split("/")[1] or "model"
        source = shlex.quote(f"FROM {subject.path}")
        lines.append(f"printf '%s\\n' {source} > Modelfile && ollama create {shlex.quote(name)}")
    lines.append(f"ollama run {shlex.quote(name)}")
    lines += [f"/set parameter {key} {value}" for key, value in flags.parameters.items()]
    before: tuple[str, ...] = ()
    if flags.environment:
        words = " ".join(f"{key}={shlex.quote(value)}" for key, value in flags.environment.items())
        before = (f"Ollama's server has to be started with {words}",)
    return Start(lines=tuple(lines), flags=flags, before=before)


def _lm_studio(subject: Subject, runner: Runner, flags: Flags, projector: str | None) -> Start:
    del runner, projector
    lines = []
    if subject.source is not Source.LM_STUDIO:
        lines.append(shlex.join(["lms", "import", subject.path]))
    lines.append(shlex.join(["lms", "load", subject.name, *flags.arguments]))
    before = tuple(
        f"in LM Studio's settings of the model, {name} has to be {value}"
        for name, value in flags.parameters.items()
    )
    return Start(lines=tuple(lines), flags=flags, before=before)


def _vllm(subject: Subject, runner: Runner, flags: Flags, projector: str | None) -> Start:
    del runner, projector
    return Start(
        lines=(shlex.join(["vllm", "serve", subject.path, *flags.arguments]),), flags=flags
    )


def _transformers(subject: Subject, runner: Runner, flags: Flags, projector: str | None) -> Start:
    del runner, projector
    told = [repr(subject.path), *(f"{name}={value!r}" for name, value in flags.parameters.items())]
    line = f"transformers.AutoModelForCausalLM.from_pretrained({', '.join(told)})"
    return Start(lines=(line,), flags=flags, is_python=True)


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
