"""A model that a runner holds in memory at this moment."""

from collections.abc import Mapping
from dataclasses import dataclass

from vramline.fit.settings import Runner
from vramline.readings import FrozenDict

NOTHING_TOLD: Mapping[str, int] = FrozenDict()


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """A model that a runner has loaded, whose memory could perhaps be had back.

    Attributes:
        name: As its runner calls it.
        bytes_at: What it holds, by place (``HOST`` or a GPU's uid), where the
            runner tells, or its process can be found. A place that is not
            known is left out. Empty: loaded, but nobody tells where.
        total_bytes: Of all places together, where only the sum is told.
        gpu_bytes: On all GPUs together, where only that sum is told (Ollama's
            ``size_vram``).
        pid: Of the process that holds it, where that can be told.
        can_be_unloaded: Whether its runner has a way to give the memory back
            and go on running (Ollama and LM Studio have; a ``llama-server``
            that was started for one model must be ended).
        endpoint: Where the runner was asked, such as ``http://127.0.0.1:11434``.
        context_tokens: What it was loaded with.
        expires_at: In seconds since the epoch: when its runner lets go of it
            by itself, where it will.
    """

    runner: Runner
    name: str
    bytes_at: Mapping[str, int] = NOTHING_TOLD
    total_bytes: int | None = None
    gpu_bytes: int | None = None
    pid: int | None = None
    can_be_unloaded: bool = False
    endpoint: str | None = None
    context_tokens: int | None = None
    expires_at: float | None = None
