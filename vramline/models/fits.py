"""Which model, by its file, can be loaded into what a ``ResourceMonitor`` watches."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace

from vramline.fit.estimate import estimate, lay_out_any
from vramline.fit.files import read_model
from vramline.fit.plan.candidates import Candidate, candidate_of
from vramline.fit.plan.planning import plan
from vramline.fit.plan.ranking import quality_cost
from vramline.fit.plan.values import Choice
from vramline.fit.plan.wish import FAST_FIRST, Placement, Wish
from vramline.fit.settings import RUNNERS, Runner
from vramline.fit.tensor_types import TensorType
from vramline.readings import GpuReading, Snapshot

Path = str | os.PathLike[str]

ON_A_GPU = (Placement.DEVICES, Placement.SHARED_DEVICE)
ON_THE_HOST = (Placement.HOST,)


RUNNERS_OF = (Runner.LLAMA_SERVER, Runner.TRANSFORMERS)
"""What loads GGUF, and what loads safetensors."""


def fits(
    path: Path,
    snapshot: Snapshot,
    gpus: Sequence[GpuReading],
    context_tokens: int,
    *,
    needs_gpu: bool,
) -> bool:
    """Tell whether all of the model fits on one or all of *gpus*.

    Where their memory is not known the host's counts, unless it *needs_gpu*. Raises
    ``ModelFormatError``.
    """
    known = needs_gpu or any(gpu.memory_free_bytes is not None for gpu in gpus)
    return (
        choose([path], snapshot, gpus, context_tokens, ON_A_GPU if known else ON_THE_HOST)
        is not None
    )


def best_of(
    paths: Iterable[Path], snapshot: Snapshot, gpus: Sequence[GpuReading], context_tokens: int
) -> str | None:
    """Return which of the models runs best on *gpus* and the host. Raises ``ModelFormatError``."""
    return choose(paths, snapshot, gpus, context_tokens, FAST_FIRST)


def choose(
    paths: Iterable[Path],
    snapshot: Snapshot,
    gpus: Sequence[GpuReading],
    context_tokens: int,
    placements: tuple[Placement, ...],
) -> str | None:
    """Return the path of the model that is to be run.

    A GPU that was named counts as visible; of one that is cut into instances they count.
    """
    each = [one for gpu in gpus for one in instances_of(gpu, snapshot) or (gpu,)]
    shown = replace(snapshot, gpus=tuple(replace(gpu, visible=True) for gpu in each))
    candidates = [candidate_at(path) for path in paths]
    choices = []
    for runner in RUNNERS_OF:
        wish = wish_for(runner, context_tokens, placements)
        loaded = [each for each in candidates if each.is_for(runner)]
        choice = plan(shown, loaded, wish, estimate=estimate).choice
        if choice is not None:
            choices.append(choice)
    best = min(choices, key=lambda choice: order_of(choice, placements), default=None)
    return best.candidate.path if best else None


def instances_of(gpu: GpuReading, snapshot: Snapshot) -> list[GpuReading]:
    """Return the MIG instances that *gpu* is cut into."""
    return [each for each in snapshot.gpus if each.parent_uid == gpu.uid]


def order_of(choice: Choice, placements: tuple[Placement, ...]) -> tuple[object, ...]:
    """Return what puts models of both formats in order, as a plan does those of one."""
    return (placements.index(choice.placement), quality_cost(choice.candidate))


def wish_for(runner: Runner, context_tokens: int, placements: tuple[Placement, ...]) -> Wish:
    """Return a wish that keeps nothing free: whoever asks for a model's size keeps nothing."""
    return Wish(
        settings=RUNNERS[runner],
        context_tokens=context_tokens,
        least_context_tokens=context_tokens,
        placements=placements,
        cache_types=(TensorType.F16,),
        device_keep_bytes=0,
        host_keep_bytes=0,
        choices=1,
        reasons=0,
    )


def candidate_at(path: Path) -> Candidate:
    """Read a model's header."""
    text = os.fspath(path)
    return candidate_of(os.path.basename(text), lay_out_any(read_model(text)), path=text)
