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


class Visibility:
    """Sets ``visible`` and ``cuda_index`` as the environment has them, and remembers how."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._asked: object = None
        self._places: Mapping[str, int | None] = {}

    def arrange(
        self, gpus: Sequence[GpuReading], aliases: Mapping[str, str]
    ) -> tuple[GpuReading, ...]:
        """Return *gpus* with both fields set.

        *aliases* gives the uid of a MIG instance by its older name.
        """
        named = [(gpu.uid, gpu.name, gpu.parent_uid) for gpu in gpus]
        asked = (named, self._environ.get(VARIABLE), self._environ.get(ORDER), aliases)
        if asked != self._asked:
            self._places = cuda_places(gpus, self._environ, aliases)
            self._asked = asked
        return tuple(self._settle(gpu) for gpu in gpus)

    def of(self, uid: str) -> tuple[bool, int | None]:
        """Return both fields as they were when all were last arranged.

        A reading that is made with them need not be made again then.
        """
        return uid in self._places, self._places.get(uid)

    def _settle(self, gpu: GpuReading) -> GpuReading:
        visible, cuda_index = self.of(gpu.uid)
        if gpu.visible is visible and gpu.cuda_index == cuda_index:
            return gpu
        return replace(gpu, visible=visible, cuda_index=cuda_index)


def cuda_places(
    gpus: Sequence[GpuReading], environ: Mapping[str, str], aliases: Mapping[str, str]
) -> dict[str, int | None]:
    """Return the number that CUDA gives each device it shows, by uid; ``None`` if not known."""
    shown = shown_uids(gpus, environ, aliases)
    by_name = environ.get(VARIABLE, "").startswith(("GPU-", "MIG-"))
    if by_name or order_is_known(gpus, environ):
        return {uid: place for place, uid in enumerate(shown)}
    return dict.fromkeys(shown)


def order_is_known(gpus: Sequence[GpuReading], environ: Mapping[str, str]) -> bool:
    """Tell whether CUDA numbers the GPUs as NVML does.

    By default CUDA puts the fastest first, by a measure of its own. Where GPUs are
    cut into instances, it shows no more than one of these unless they are named.
    """
    if any(gpu.parent_uid is not None for gpu in gpus):
        return False
    names = {gpu.name for gpu in gpus if gpu.name is not None}
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
