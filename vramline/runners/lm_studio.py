"""LM Studio: where it is installed, and what it has loaded.

https://lmstudio.ai/docs/developer/rest (``/api/v1/models``, from 0.4.0)
https://lmstudio.ai/docs/developer/rest/endpoints (``/api/v0/models``, from 0.3.6)

It tells what it has loaded, but not how much memory that takes.
"""

import json
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from vramline.fit.plan.loaded import LoadedModel
from vramline.fit.settings import Backend, Runner
from vramline.machine import Machine
from vramline.machine.files import names_in, read
from vramline.runners.asking import (
    MODELS_MOST,
    NoAnswer,
    ask,
    inner,
    name_in,
    objects,
    port_in,
    tokens_in,
)
from vramline.runners.folders import home, is_there, joined
from vramline.runners.installed import InstalledRunner, in_order
from vramline.runners.loaded import LoadedModels
from vramline.runners.processes import LM_STUDIO, Process, is_lm_studios

NAME = "LM Studio"
PORT = 1234
POINTER = ".lmstudio-home-pointer"
"""Names the folder where LM Studio keeps everything, where that is not the usual one."""

SERVER_IS_OFF = "it runs, and its server does not: `lms server start` starts it"
"""https://lmstudio.ai/docs/cli/serve/server-start"""

Instance = tuple[str, int | None]
"""A model's name, and the context that it was loaded with."""

_ENGINE = re.compile(r"(llama\.cpp-[\w-]+?)[-@](\d{1,6}(?:\.\d{1,6}){1,3})")
_ACCELERATORS: Mapping[str, Backend] = {
    "nvidia-cuda": Backend.CUDA,
    "amd-rocm": Backend.ROCM,
    "vulkan": Backend.VULKAN,
    "apple-metal": Backend.METAL,
}


def find_lm_studio(machine: Machine) -> Iterator[InstalledRunner]:
    """Return LM Studio, where its folder is."""
    folder = lm_studio_folder(machine)
    if not folder:
        return
    engines = joined(machine, folder, "extensions", "backends")
    found = [match for name in names_in(machine, engines) if (match := _ENGINE.fullmatch(name))]
    if not found:
        note = "no engine of its own was found"
        yield InstalledRunner(runner=Runner.LM_STUDIO, path=folder, note=note)
        return
    chosen = [each for each in found if each[1] == _preferred(machine, folder)]
    newest = max(chosen or found, key=lambda each: tuple(map(int, each[2].split("."))))
    others = _backends(match[1] for match in found)
    backends = _backends([newest[1]]) if chosen else others
    unused = [each for each in others if each not in backends]
    yield InstalledRunner(
        runner=Runner.LM_STUDIO,
        path=joined(machine, engines, newest[0]) if chosen else engines,
        version=newest[2],
        backends=backends,
        note=f"also installed, and not chosen in it: {', '.join(unused)}" if unused else "",
    )


def lm_studio_folder(machine: Machine) -> str:
    """Return the folder where LM Studio keeps everything, empty where it is not installed."""
    own = home(machine)
    if not own:
        return ""
    pointed = read(machine, joined(machine, own, POINTER))
    usual = (joined(machine, own, ".lmstudio"), joined(machine, own, ".cache", "lm-studio"))
    places = (pointed, *usual) if pointed else usual
    return next((each for each in places if is_there(machine, each)), "")


def _preferred(machine: Machine, folder: str) -> str | None:
    """Return which engine runs GGUF files."""
    path = joined(machine, folder, ".internal", "backend-preferences-v1.json")
    for each in objects(_json(machine, path)):
        if each.get("model_format") == "gguf":
            return name_in(each.get("name"))
    return None


def _backends(names: Iterator[str] | list[str]) -> tuple[Backend, ...]:
    return in_order(
        backend for name in names for word, backend in _ACCELERATORS.items() if f"-{word}" in name
    )


def _json(machine: Machine, path: str) -> Any:
    try:
        return json.loads(read(machine, path) or "null")
    except (ValueError, RecursionError):
        return None


def _place(machine: Machine, folder: str) -> str:
    path = joined(machine, folder, ".internal", "http-server-config.json")
    said = _json(machine, path) if folder else None
    port = port_in(str(said.get("port"))) if isinstance(said, Mapping) else None
    return f"http://127.0.0.1:{port or PORT}"


def loaded_by_lm_studio(machine: Machine, processes: tuple[Process, ...]) -> LoadedModels:
    """Return what LM Studio holds in memory now."""
    folder = lm_studio_folder(machine)
    place = _place(machine, folder)
    found = _instances(machine, place)
    if not isinstance(found, NoAnswer):
        return _loaded(found, place, processes)
    if found.is_silent and any(each.name in LM_STUDIO for each in processes):
        return LoadedModels.failed(NAME, SERVER_IS_OFF)
    # Others use that port too: where there is no LM Studio, what answers is nobody's business.
    return LoadedModels.without(f"{NAME} at {place}", found) if folder else LoadedModels()


def _instances(machine: Machine, place: str) -> list[Instance] | NoAnswer:
    """Return what it says that it has loaded."""
    answer = ask(machine, f"{place}/api/v1/models")
    key, reader = "models", _newer
    # It answers what it does not know with status 200 and an "error".
    if (isinstance(answer, NoAnswer) and answer.status == 404) or _is_error(answer):
        answer = ask(machine, f"{place}/api/v0/models")
        key, reader = "data", _older
    if isinstance(answer, NoAnswer):
        return answer
    if not isinstance(answer.get(key), list):
        return NoAnswer(why="what answers there is not LM Studio")
    return list(islice(reader(answer), MODELS_MOST))


def _loaded(found: list[Instance], place: str, processes: tuple[Process, ...]) -> LoadedModels:
    children = [each.pid for each in processes if is_lm_studios(each, processes)]
    pid = children[0] if len(children) == len(found) == 1 else None
    return LoadedModels(
        models=tuple(
            LoadedModel(
                runner=Runner.LM_STUDIO,
                name=name,
                pid=pid,
                can_be_unloaded=True,
                endpoint=place,
                context_tokens=context,
            )
            for name, context in found
        )
    )


def _is_error(answer: Mapping[str, Any] | NoAnswer) -> bool:
    return not isinstance(answer, NoAnswer) and "error" in answer and "models" not in answer


def _newer(answer: Mapping[str, Any]) -> Iterator[Instance]:
    for model in objects(answer["models"]):
        for instance in objects(model.get("loaded_instances")):
            if name := name_in(instance.get("id"), model.get("key")):
                yield name, tokens_in(inner(instance, "config", "context_length"))


def _older(answer: Mapping[str, Any]) -> Iterator[Instance]:
    for model in objects(answer["data"]):
        name = name_in(model.get("id"))
        if name and model.get("state") == "loaded":
            yield name, tokens_in(model.get("loaded_context_length"))
