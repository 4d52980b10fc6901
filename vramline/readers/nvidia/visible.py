"""Which GPUs CUDA would show a program started with this environment, and in which order.

https://docs.nvidia.com/cuda/cuda-programming-guide/05-appendices/environment-variables.html
The rules for what is not well formed are the ones that PyTorch found CUDA to follow:
https://github.com/pytorch/pytorch/blob/main/torch/cuda/__init__.py
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from vramline.readings import FrozenDict, GpuReading

VARIABLE = "CUDA_VISIBLE_DEVICES"
ORDER = "CUDA_DEVICE_ORDER"
PREFIXES = ("GPU-", "MIG-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mig:
    """What is known of the GPUs that are cut into instances, beside their readings.

    Attributes:
        cut: The uids of GPUs with MIG on, which cannot be used as a whole.
        aliases: The uid of each instance, by its older name.
    """

    cut: frozenset[str] = frozenset()
    aliases: Mapping[str, str] = FrozenDict()


class Visibility:
    """Sets ``visible`` and ``cuda_index`` as the environment has them, and remembers how."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._asked: object = None
        self._places: Mapping[str, int | None] = {}

    def arrange(self, gpus: Sequence[GpuReading], mig: Mig) -> tuple[GpuReading, ...]:
        """Return *gpus* with both fields set."""
        named = [(gpu.uid, gpu.name, gpu.parent_uid) for gpu in gpus]
        asked = (named, self._environ.get(VARIABLE), self._environ.get(ORDER), mig)
        if asked != self._asked:
            self._places = cuda_places(gpus, self._environ, mig)
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
    gpus: Sequence[GpuReading], environ: Mapping[str, str], mig: Mig
) -> dict[str, int | None]:
    """Return the number that CUDA gives each device it shows, by uid; ``None`` if not known."""
    value = environ.get(VARIABLE)
    shown = usable_uids(gpus, mig) if value is None else _named_uids(value, gpus, mig)
    by_name = (value or "").strip().startswith(PREFIXES)
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
    names = {gpu.name for gpu in gpus}
    alike = len(gpus) <= 1 or (len(names) == 1 and None not in names)
    return alike or environ.get(ORDER) == "PCI_BUS_ID"


def usable_uids(gpus: Sequence[GpuReading], mig: Mig) -> list[str]:
    """Return the uids of what a program can use: instances, and GPUs that are not cut."""
    return [gpu.uid for gpu in gpus if gpu.uid not in mig.cut]


def _named_uids(value: str, gpus: Sequence[GpuReading], mig: Mig) -> list[str]:
    """Return the uids that the variable names, in its order."""
    wholes = [gpu.uid for gpu in gpus if gpu.parent_uid is None]
    names = {gpu.uid: gpu.uid for gpu in gpus} | dict(mig.aliases)
    chosen = _chosen([entry.strip() for entry in value.split(",")], wholes, names)
    # CUDA takes the first instance of a GPU that is named as a whole.
    first = {gpu.parent_uid: gpu.uid for gpu in reversed(gpus) if gpu.parent_uid is not None}
    return [first.get(uid, uid) for uid in chosen if uid in first or uid not in mig.cut]


def _chosen(entries: list[str], wholes: list[str], names: Mapping[str, str]) -> list[str]:
    """Return the uids that the entries name, up to the first that is not valid."""
    prefix = next((kind for kind in PREFIXES if entries[0].startswith(kind)), "")
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
    # As C's strtol reads: what follows does not matter. No machine has 10**9 GPUs.
    number = re.match(r"[+-]?[0-9]{1,9}", entry)
    if number is None or not 0 <= int(number[0]) < len(wholes):
        return None
    return wholes[int(number[0])]
