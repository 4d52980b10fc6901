"""What llama-server has loaded, each that runs here.

https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md

Only ``/props`` and ``/models`` are asked, which wake no server that sleeps and let it go on
sleeping ("Sleeping on Idle" there). It does not tell how much memory it takes, but its process is
known, and so a GPU's driver tells.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from vramline.fit.plan.loaded import LoadedModel
from vramline.fit.settings import Runner
from vramline.machine import Machine
from vramline.runners.asking import (
    MODELS_MOST,
    NoAnswer,
    ask,
    endpoint,
    inner,
    name_in,
    objects,
    port_in,
    tokens_in,
)
from vramline.runners.folders import base_name
from vramline.runners.loaded import LoadedModels
from vramline.runners.processes import (
    SERVER,
    Process,
    is_lm_studios,
    is_ollamas,
    is_routers,
    model_name,
)

PORT = 8080
MOST_SERVERS = 64
"""So many are asked. One a device is usual."""

LOADING = 503
STILL_LOADS = "it still loads its model"
_IN_MEMORY = ("loaded", "loading")


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A llama-server that may be running.

    Attributes:
        place: Where it is asked, ``None`` where it cannot be reached on loopback.
        processes: Of several, in containers of their own, nobody knows which one
            answers. None was seen: this is where one would listen.
    """

    place: str | None
    processes: tuple[Process, ...] = ()

    @property
    def name(self) -> str:
        """What a person knows it by."""
        if self.place:
            return f"{SERVER} at {self.place}"
        return f"{SERVER} (process {', '.join(str(each.pid) for each in self.processes)})"

    @property
    def process(self) -> Process | None:
        """The one that answers, where there is no doubt."""
        return self.processes[0] if len(self.processes) == 1 else None


def servers(processes: tuple[Process, ...]) -> tuple[Server, ...]:
    """Return those that hold models of their own, or where one would listen."""
    there: dict[str | None, list[Process]] = {}
    for each in _own(processes):
        there.setdefault(_place(each), []).append(each)
    hidden = [Server(place=None, processes=(each,)) for each in there.pop(None, ())]
    found = [Server(place=place, processes=tuple(those)) for place, those in there.items()]
    # One at [::] answers at 127.0.0.1 too, and would be told of twice.
    is_taken = any(f":{PORT}/" in f"{each.place}/" for each in found)
    if not is_taken and len(found) < MOST_SERVERS:
        found.append(Server(place=endpoint("127.0.0.1", PORT)))  # it may run in a container
    too_many = [replace(each, place=None) for each in found[MOST_SERVERS:]]
    return (*found[:MOST_SERVERS], *too_many, *hidden)


def _own(processes: tuple[Process, ...]) -> Iterator[Process]:
    belongs = (is_ollamas, is_lm_studios, is_routers)
    for each in processes:
        if each.name == SERVER and not any(to(each, processes) for to in belongs):
            yield each


def _place(process: Process) -> str | None:
    said = process.option("--port")
    port = PORT if said is None else port_in(said)
    if port is None:
        return None
    hosts = (process.option("--host") or "127.0.0.1").split(",")
    found = next(filter(None, (endpoint(host, port) for host in hosts)), None)
    prefix = (process.option("--api-prefix") or "").strip("/")
    return f"{found}/{prefix}" if found and prefix else found


def loaded_by_server(
    machine: Machine, server: Server, processes: tuple[Process, ...]
) -> LoadedModels:
    """Return what one llama-server holds in memory now."""
    if server.place is None:
        return _by_process(server, "it cannot be asked from here")
    answer = ask(machine, f"{server.place}/props")
    if isinstance(answer, NoAnswer):
        return _without(server, answer)
    if answer.get("role") == "router":
        return _by_router(machine, server, processes)
    return _by_itself(server, answer)


def _by_itself(server: Server, answer: Mapping[str, Any]) -> LoadedModels:
    """Return what a server of one model says."""
    settings = answer.get("default_generation_settings")
    if not isinstance(settings, Mapping):
        return _without(server, NoAnswer(why="what answers there is no llama-server"))
    if answer.get("is_sleeping") is True:
        return LoadedModels()  # its model is not in memory
    path = name_in(answer.get("model_path"))
    name = name_in(answer.get("model_alias")) or (base_name(path) if path else None)
    model = _loaded(server, name, server.process, tokens_in(settings.get("n_ctx")))
    if len(server.processes) > 1:
        return LoadedModels.failed(server.name, "several would listen there, and one did", model)
    return LoadedModels(models=(model,))


def _loaded(
    server: Server, name: str | None, process: Process | None, context: int | None = None
) -> LoadedModel:
    return LoadedModel(
        runner=Runner.LLAMA_SERVER,
        name=base_name(name) if name else "unnamed",
        pid=process.pid if process else None,
        endpoint=server.place,
        context_tokens=context,
    )


def _without(server: Server, answer: NoAnswer) -> LoadedModels:
    """Return what is known of a server that told nothing."""
    if server.processes:
        what = STILL_LOADS if answer.status == LOADING else answer.why
        return _by_process(server, what)
    # What listens at that port, and is no llama-server that was seen, is anybody's.
    if answer.status == LOADING:
        return LoadedModels.failed(server.name, STILL_LOADS)
    return LoadedModels()


def _by_process(server: Server, what: str) -> LoadedModels:
    """Return what its command tells: a router's command names no model."""
    names = [(name_in(model_name(each)), each) for each in server.processes]
    models = [_loaded(server, name, each) for name, each in names if name]
    return LoadedModels.failed(server.name, what, *models)


def _by_router(machine: Machine, server: Server, processes: tuple[Process, ...]) -> LoadedModels:
    answer = ask(machine, f"{server.place}/models")
    if isinstance(answer, NoAnswer):
        return LoadedModels.failed(server.name, answer.why)
    found = [
        each
        for each in objects(answer.get("data"))
        if inner(each, "status", "value") in _IN_MEMORY and name_in(each.get("id"))
    ][:MODELS_MOST]
    parent = server.process.pid if server.process else None
    children = [each for each in processes if each.parent == parent and each.name == SERVER]
    return LoadedModels(models=tuple(_routed(each, server, children, len(found)) for each in found))


def _routed(
    found: Mapping[str, Any], server: Server, children: list[Process], models: int
) -> LoadedModel:
    name = name_in(found.get("id")) or ""
    mine = [each for each in children if name in each.words]
    if not mine and models == 1:
        mine = children
    return LoadedModel(
        runner=Runner.LLAMA_SERVER,
        name=name,
        pid=mine[0].pid if len(mine) == 1 else None,
        can_be_unloaded=True,
        endpoint=server.place,
        context_tokens=tokens_in(inner(found, "meta", "n_ctx")),
    )
