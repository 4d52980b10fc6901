"""Asks every runner on this machine what it has loaded now. No other machine is asked."""

import logging
import threading
import time
from collections.abc import Callable
from functools import partial

from vramline.machine import Machine
from vramline.readings import FrozenDict
from vramline.runners import lm_studio, ollama
from vramline.runners.llama_server import loaded_by_server, servers
from vramline.runners.loaded import LoadedModels
from vramline.runners.processes import runners_processes

PATIENCE_SECONDS = 3.0
"""For all together. Each question has a limit of its own, well below."""

_LOGGER = logging.getLogger(__name__)

Question = tuple[str, Callable[[], LoadedModels]]


def loaded_models(machine: Machine, *, patience_seconds: float = PATIENCE_SECONDS) -> LoadedModels:
    """Return what is loaded, and of whom that is not known. All are asked at once."""
    processes = runners_processes(machine)
    questions: list[Question] = [
        (ollama.NAME, partial(ollama.loaded_by_ollama, machine, processes)),
        (lm_studio.NAME, partial(lm_studio.loaded_by_lm_studio, machine, processes)),
    ]
    questions += [
        (each.name, partial(loaded_by_server, machine, each, processes))
        for each in servers(processes)
    ]
    answers = _ask_all(questions, time.monotonic() + patience_seconds)
    return LoadedModels(
        models=tuple(model for each in answers for model in each.models),
        failures=FrozenDict({who: why for each in answers for who, why in each.failures.items()}),
    )


def _ask_all(questions: list[Question], deadline: float) -> list[LoadedModels]:
    """Return the answers, in the order of the questions. Who hangs is left behind."""
    answers: dict[str, LoadedModels] = {}
    done = threading.Semaphore(0)

    def answer(who: str, ask: Callable[[], LoadedModels]) -> None:
        try:
            answers[who] = ask()
        except Exception as error:
            _LOGGER.exception("asking %s", who)
            answers[who] = LoadedModels.failed(who, f"asking it failed ({error!r})")
        finally:
            done.release()

    for who, ask in questions:
        name = f"vramline {who}"
        threading.Thread(target=answer, args=(who, ask), name=name, daemon=True).start()
    for _ in questions:
        done.acquire(timeout=max(0.0, deadline - time.monotonic()))
    late = {who: LoadedModels.failed(who, "it did not answer in time") for who, _ in questions}
    return [answers.get(who, late[who]) for who, _ in questions]
