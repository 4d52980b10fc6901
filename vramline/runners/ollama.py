"""Ollama: where it is installed, and what it has loaded.

https://docs.ollama.com/api/ps
https://github.com/ollama/ollama/blob/main/envconfig/config.go (``OLLAMA_HOST``)
https://github.com/ollama/ollama/blob/main/ml/path.go (where its libraries lie)

It gives a model's memory back when it is asked for nothing with ``keep_alive: 0``, which is not
done here: https://docs.ollama.com/faq
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from vramline.fit.plan.loaded import LoadedModel
from vramline.fit.settings import HOST, Backend, Runner
from vramline.machine import Machine
from vramline.machine.files import names_in
from vramline.readings import FrozenDict
from vramline.runners.asking import (
    MODELS_MOST,
    NoAnswer,
    ask,
    bytes_in,
    endpoint,
    inner,
    name_in,
    objects,
    port_in,
    tokens_in,
)
from vramline.runners.folders import found_programs, is_there, joined, parent, real_path
from vramline.runners.ggml import backends_in
from vramline.runners.installed import InstalledRunner, in_order
from vramline.runners.loaded import LoadedModels
from vramline.runners.processes import Process, is_ollamas, is_ollamas_server

NAME = "Ollama"
PORT = 11434
HOST_VARIABLE = "OLLAMA_HOST"

_FOLDERS: Mapping[str, Backend] = {
    "cuda": Backend.CUDA,
    "rocm": Backend.ROCM,
    "vulkan": Backend.VULKAN,
}
_FOLDER = re.compile(r"(cuda|rocm|vulkan)(?:_\w+)?")
_HTTP_PORT = 80


def find_ollama(machine: Machine) -> Iterator[InstalledRunner]:
    """Return Ollama, where its program is."""
    for path in found_programs(machine, "ollama", _usual_places(machine)):
        backends, note = _backends(machine, path)
        yield InstalledRunner(
            runner=Runner.OLLAMA,
            path=path,
            version=_version(machine),
            backends=backends,
            note=note,
        )
        return


def _usual_places(machine: Machine) -> tuple[str, ...]:
    if machine.platform == "win32":
        local = machine.environ.get("LOCALAPPDATA", "")
        return (joined(machine, local, "Programs", "Ollama", "ollama.exe"),) if local else ()
    if machine.platform == "darwin":
        return ("/Applications/Ollama.app/Contents/Resources/ollama",)
    return ("/usr/local/bin/ollama", "/usr/bin/ollama", "/bin/ollama")


def _backends(machine: Machine, path: str) -> tuple[tuple[Backend, ...] | None, str]:
    if machine.platform == "darwin":
        return (Backend.METAL,), ""  # its only build there has it within the program
    own = parent(machine, real_path(machine, path))
    for folder in (
        joined(machine, own, "..", "lib", "ollama"),
        joined(machine, own, "lib", "ollama"),
    ):
        if is_there(machine, folder):
            names = names_in(machine, folder)
            found = [_FOLDERS[match[1]] for name in names if (match := _FOLDER.fullmatch(name))]
            return in_order([*found, *(backends_in(names) or ())]), ""
    return None, "its folder lib/ollama was not found"


def _version(machine: Machine) -> str | None:
    """Return what the running server tells; the program itself would ask wherever it is told to."""
    place, _ = _place(machine)
    answer = ask(machine, f"{place}/api/version")
    return None if isinstance(answer, NoAnswer) else name_in(answer.get("version"))


def _place(machine: Machine) -> tuple[str, str]:
    """Return where an Ollama on this machine is asked, and why this user's may be another.

    What the variable names may be this machine by its name or its address in a network: its
    server is asked on loopback, where it most often listens as well.
    """
    said = machine.environ.get(HOST_VARIABLE, "").strip().strip("\"'").strip()
    scheme, separator, rest = said.rpartition("://")
    if scheme not in ("", "http"):
        why = f"{HOST_VARIABLE} wants {ascii(scheme)[1:-1][:20]}, and only http is spoken here"
        return f"http://127.0.0.1:{PORT}", why
    host, port = _split(rest.partition("/")[0], _HTTP_PORT if separator else PORT)
    found = endpoint(host, port)
    if found is None:
        why = f"{HOST_VARIABLE} names an address that is not loopback's, and no other is asked"
        return f"http://127.0.0.1:{port}", why
    return found, ""


def _split(text: str, port: int) -> tuple[str, int]:
    """Return the host and the port, *port* where none is said or what is said makes no sense."""
    if found := re.fullmatch(r"(\[[^\]]*\]|[^:]*):([^:]*)", text):
        return found[1], port_in(found[2]) or port
    return text, port


def loaded_by_ollama(machine: Machine, processes: tuple[Process, ...]) -> LoadedModels:
    """Return what Ollama holds in memory now."""
    place, other = _place(machine)
    answer = ask(machine, f"{place}/api/ps")
    if not isinstance(answer, NoAnswer) and not isinstance(answer.get("models"), list):
        answer = NoAnswer(why="what answers there is not Ollama")
    if isinstance(answer, NoAnswer):
        if other:
            return LoadedModels.failed(NAME, other)
        if answer.is_silent and any(map(is_ollamas_server, processes)):
            return LoadedModels.failed(
                NAME, f"it runs, but not at {place}: set {HOST_VARIABLE} to where it does"
            )
        return LoadedModels.without(f"{NAME} at {place}", answer)
    found = [each for each in objects(answer["models"]) if name_in(each.get("name"))]
    found = found[:MODELS_MOST]
    children = [each.pid for each in processes if is_ollamas(each, processes)]
    # Which process holds which model is told nowhere: with one of each there is no doubt.
    pid = children[0] if len(children) == len(found) == 1 else None
    return LoadedModels(models=tuple(_loaded(each, place, pid) for each in found))


def _loaded(found: Mapping[str, Any], place: str, pid: int | None) -> LoadedModel:
    total, on_gpus = bytes_in(found.get("size")), bytes_in(found.get("size_vram"))
    if total is None or on_gpus is None or on_gpus > total:
        total = on_gpus = None
    return LoadedModel(
        runner=Runner.OLLAMA,
        name=name_in(found.get("name")) or "",
        bytes_at=FrozenDict() if total is None else FrozenDict({HOST: total - (on_gpus or 0)}),
        total_bytes=total,
        gpu_bytes=on_gpus,
        pid=pid,
        can_be_unloaded=True,
        endpoint=place,
        context_tokens=tokens_in(inner(found, "context_length")),
        expires_at=_moment(found.get("expires_at")),
    )


def _moment(text: Any) -> float | None:
    """Return a time in seconds since the epoch, ``None`` for one long gone, which says never."""
    try:
        seconds = datetime.fromisoformat(text).timestamp()
    except (TypeError, ValueError, OverflowError, OSError):
        return None
    return seconds if seconds > 0 else None
