"""Which model, by its file, can be loaded into what a ``ResourceMonitor`` watches."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace

from vramline.fit.estimate import estimate, lay_out_any
from vramline.fit.files import read_model
from vramline.fit.plan.candidates import Candidate, candidate_of
from vramline.fit.plan.planning import plan
from vramline.fit.plan.wish import FAST_FIRST, Placement, Wish
from vramline.fit.tensor_types import TensorType
from vramline.readings import GpuReading, Snapshot

Path = str | os.PathLike[str]

ON_A_GPU = (Placement.DEVICES, Placement.SHARED_DEVICE)
ON_THE_HOST = (Placement.HOST,)


def fits(path: Path, snapshot: Snapshot, gpus: Sequence[GpuReading], context_tokens: int) -> bool:
    """Tell whether all of the model fits on *gpus*, or on the host where their memory is not known.

    Raises ``ModelFormatError``.
    """
    known = any(gpu.memory_free_bytes is not None for gpu in gpus)
    wish = wish_for(context_tokens, ON_A_GPU if known else ON_THE_HOST)
    return bool(choose([path], snapshot, gpus, wish))


def best_of(
    paths: Iterable[Path], snapshot: Snapshot, gpus: Sequence[GpuReading], context_tokens: int
) -> str | None:
    """Return which of the models runs best on *gpus* and the host. Raises ``ModelFormatError``."""
    return choose(paths, snapshot, gpus, wish_for(context_tokens, FAST_FIRST))


def wish_for(context_tokens: int, placements: tuple[Placement, ...]) -> Wish:
    """Return a wish that keeps nothing free: whoever asks for a model's size keeps nothing."""
    return Wish(
        context_tokens=context_tokens,
        least_context_tokens=context_tokens,
        placements=placements,
        cache_types=(TensorType.F16,),
        device_keep_bytes=0,
        host_keep_bytes=0,
        choices=1,
        reasons=0,
    )


def choose(
    paths: Iterable[Path], snapshot: Snapshot, gpus: Sequence[GpuReading], wish: Wish
) -> str | None:
    """Return the path of the model that is to be run. A GPU that was named counts as visible."""
    shown = tuple(replace(gpu, visible=True) for gpu in gpus)
    candidates = [candidate_at(path) for path in paths]
    choice = plan(replace(snapshot, gpus=shown), candidates, wish, estimate=estimate).choice
    return choice.candidate.path if choice else None


def candidate_at(path: Path) -> Candidate:
    """Read a model's header."""
    text = os.fspath(path)
    return candidate_of(os.path.basename(text), lay_out_any(read_model(text)), path=text)
