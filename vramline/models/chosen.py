"""The GPUs that a ``ResourceMonitor`` was told to watch, and their figures as one."""

import math
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter

from vramline.readings import GpuReading, MemoryPool
from vramline.units import to_gib

ALL_GPUS = "all"

TOTAL, USED, FREE = (attrgetter(f"memory_{figure}_bytes") for figure in ("total", "used", "free"))


def checked_choice(gpu: str | int | None) -> str | int | None:
    """Return the choice, with a number as a number. Raises ``ValueError`` for what is none."""
    if isinstance(gpu, str) and gpu.isdecimal():
        return int(gpu)
    if isinstance(gpu, bool) or not isinstance(gpu, str | int | None):
        raise ValueError(f"gpu must be a uid, a number or 'all', not {gpu!r}")
    return gpu


def choose_gpus(gpus: Sequence[GpuReading], choice: str | int | None) -> list[GpuReading]:
    """Return the GPUs that *choice* means, as ``ResourceMonitor`` takes it: often one, or none.

    Each vendor numbers its own GPUs: of those with one number it is the likeliest
    to hold a model, as it is where nothing is chosen.
    """
    if choice == ALL_GPUS:
        return [gpu for gpu in gpus if gpu.parent_uid is None and _is_shown(gpu, gpus)]
    if isinstance(choice, str):
        return [gpu for gpu in gpus if gpu.uid == choice]
    if choice is None:
        chosen = [gpu for gpu in gpus if gpu.visible]
    else:
        chosen = [gpu for gpu in gpus if gpu.index == choice and gpu.parent_uid is None]
    return sorted(chosen, key=_likeliest)[:1]


def _is_shown(gpu: GpuReading, gpus: Sequence[GpuReading]) -> bool:
    """Tell whether the GPU, or an instance that is cut from it, is visible."""
    return gpu.visible or any(each.visible for each in gpus if each.parent_uid == gpu.uid)


def _likeliest(gpu: GpuReading) -> tuple[bool, bool, bool, float]:
    """Return what orders GPUs. Those with the same stay as the snapshot has them: by number."""
    return (
        gpu.is_silent,
        gpu.vendor != "nvidia",
        gpu.memory_pool is not MemoryPool.VRAM,
        math.inf if gpu.cuda_index is None else gpu.cuda_index,
    )


def gigabytes(gpus: Iterable[GpuReading], figure: Callable[[GpuReading], int | None]) -> float:
    """Return the sum of a figure, in GB, with a pool that is the host's own counted once."""
    own = [figure(gpu) or 0 for gpu in gpus if gpu.memory_pool is MemoryPool.VRAM]
    shared = [figure(gpu) or 0 for gpu in gpus if gpu.memory_pool is not MemoryPool.VRAM]
    return to_gib(sum(own) + max(shared, default=0))


def mean(values: Iterable[float | None]) -> float:
    """Return the mean of those that are known; 0.0 of none."""
    known = [value for value in values if value is not None]
    return float(sum(known) / len(known)) if known else 0.0


def highest(values: Iterable[float | None]) -> float:
    """Return the highest of those that are known; 0.0 of none."""
    return float(max((value for value in values if value is not None), default=0.0))
