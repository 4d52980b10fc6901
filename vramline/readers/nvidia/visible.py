"""Which GPUs CUDA would show a program started with this environment, and in which order.

https://docs.nvidia.com/cuda/cuda-programming-guide/05-appendices/environment-variables.html
The rules for what is not well formed are the ones that PyTorch found CUDA to follow:
https://github.com/pytorch/pytorch/blob/main/torch/cuda/__init__.py
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from vramline.readings import GpuReading

VARIABLE = "CUDA_VISIBLE_DEVICES"
ORDER = "CUDA_DEVICE_ORDER"


def set_visible(
    gpus: Sequence[GpuReading], environ: Mapping[str, str], aliases: Mapping[str, str]
) -> tuple[GpuReading, ...]:
    """Return *gpus* with ``visible`` and ``cuda_index`` as the environment has them.

    *aliases* gives the uid of a MIG instance by its older name.
    """
    shown = shown_uids(gpus, environ, aliases)
    numbered = environ.get(VARIABLE, "").startswith(("GPU-", "MIG-")) or order_is_known(
        gpus, environ
    )
    places = {uid: place if numbered else None for place, uid in enumerate(shown)}
    return tuple(_settle(gpu, gpu.uid in places, places.get(gpu.uid)) for gpu in gpus)


def order_is_known(gpus: Sequence[GpuReading], environ: Mapping[str, str]) -> bool:
    """Tell whether CUDA numbers the GPUs as NVML does.

    By default CUDA puts the fastest first, by a measure of its own. Where GPUs are
    cut into instances, it shows no more than one of these unless they are named.
    """
    if any(gpu.parent_uid is not None for gpu in gpus):
        return False
    names = {gpu.name for gpu in gpus}
    return environ.get(ORDER) == "PCI_BUS_ID" or len(names) <= 1


def shown_uids(
    gpus: Sequence[GpuReading], environ: Mapping[str, str], aliases: Mapping[str, str]
) -> list[str]:
    """Return the uids of what CUDA would show, in its order as far as that is known."""
    value = environ.get(VARIABLE)
    parents = {gpu.parent_uid for gpu in gpus}
    if value is None:
        # A GPU that is cut into instances cannot be used as a whole.
        return [gpu.uid for gpu in gpus if gpu.uid not in parents]
    wholes = [gpu.uid for gpu in gpus if gpu.parent_uid is None]
    names = {uid: uid for uid in (gpu.uid for gpu in gpus)} | dict(aliases)
    chosen = _chosen([entry.strip() for entry in value.split(",")], wholes, names)
    # CUDA takes the first instance of a GPU that is named as a whole.
    first = {gpu.parent_uid: gpu.uid for gpu in reversed(gpus) if gpu.parent_uid is not None}
    return [first.get(uid, uid) for uid in chosen]


def _chosen(entries: list[str], wholes: list[str], names: Mapping[str, str]) -> list[str]:
    """Return the uids that the entries name, up to the first that is not valid."""
    prefix = next((kind for kind in ("GPU-", "MIG-") if entries[0].startswith(kind)), "")
    chosen: list[str] = []
    for entry in entries:
        uid = _named(entry, prefix, names) if prefix else _numbered(entry, wholes)
        if uid is None:
            break
        if uid in chosen:
            return []  # CUDA shows nothing at all when a device is named twice
        chosen.append(uid)
    return chosen


def _named(entry: str, prefix: str, names: Mapping[str, str]) -> str | None:
    """Return the uid that *entry* begins, if it is the only one."""
    if not entry.startswith(prefix):
        return None
    found = {uid for name, uid in names.items() if name.startswith(entry)}
    return found.pop() if len(found) == 1 else None


def _numbered(entry: str, wholes: list[str]) -> str | None:
    number = re.match(r"[+-]?\d+", entry)  # as C's strtol reads: what follows does not matter
    if number is None or not 0 <= int(number[0]) < len(wholes):
        return None
    return wholes[int(number[0])]


def _settle(gpu: GpuReading, visible: bool, cuda_index: int | None) -> GpuReading:
    if (gpu.visible, gpu.cuda_index) == (visible, cuda_index):
        return gpu
    return replace(gpu, visible=visible, cuda_index=cuda_index)
