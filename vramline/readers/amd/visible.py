"""Which GPUs ROCm would show a program started with this environment.

https://rocm.docs.amd.com/en/latest/conceptual/gpu-isolation.html
The rules for what is not well formed are those of the code that reads the lists:
ROCR_VISIBLE_DEVICES in
https://github.com/ROCm/ROCR-Runtime/blob/master/runtime/hsa-runtime/core/runtime/amd_filter_device.cpp
and the other two, which count what it left, in
https://github.com/ROCm/clr/blob/develop/rocclr/device/rocm/rocdevice.cpp
"""

import re
from collections.abc import Mapping, Sequence

ROCR = "ROCR_VISIBLE_DEVICES"
HIP = "HIP_VISIBLE_DEVICES"
CUDA = "CUDA_VISIBLE_DEVICES"

UUID_LENGTHS = range(5, 21)


def shown_uids(uids: Sequence[str], environ: Mapping[str, str]) -> frozenset[str] | None:
    """Return the uids that a program sees, ``None`` where nothing was chosen: then all.

    Args:
        uids: In ROCm's order.
    """
    lower = environ.get(ROCR)
    # HIP takes CUDA's variable where its own is not set, or empty.
    upper = environ.get(HIP) or environ.get(CUDA)
    if lower is None and not upper:
        return None
    left = list(uids) if lower is None else _by_runtime(lower, uids)
    return frozenset(_by_hip(upper, left) if upper else left)


def _by_runtime(value: str, uids: Sequence[str]) -> list[str]:
    """Return what the runtime leaves: up to the first entry that is wrong, or named before."""
    chosen: list[str] = []
    for entry in value.split(","):
        uid = _of_runtime(entry.strip().upper(), uids)
        if uid is None or uid in chosen:
            break
        chosen.append(uid)
    return chosen


def _of_runtime(entry: str, uids: Sequence[str]) -> str | None:
    if entry.startswith("G"):
        named = [uid for uid in uids if uid.startswith("GPU-") and uid.upper().startswith(entry)]
        return named[0] if len(named) == 1 and len(entry) in UUID_LENGTHS else None
    # As C's strtol reads a number of any base.
    number = re.fullmatch(r"[+-]?(?:(0X)([0-9A-F]{1,8})|(0)([0-7]{0,8})|([1-9][0-9]{0,8}))", entry)
    if number is None:
        return None
    base = 16 if number[1] else 8 if number[3] else 10
    index = int(number[2] or number[4] or number[5] or "0", base)
    index = -index if entry.startswith("-") else index
    return uids[index] if 0 <= index < len(uids) else None


def _by_hip(value: str, uids: Sequence[str]) -> list[str]:
    """Return what HIP shows: up to the first entry that is wrong."""
    chosen = []
    for entry in value.removesuffix(",").split(","):
        uid = _of_hip(entry, uids)
        if uid is None:
            break
        chosen.append(uid)
    return chosen


def _of_hip(entry: str, uids: Sequence[str]) -> str | None:
    if "GPU-" in entry:
        return next((uid for uid in uids if entry in uid), None)
    if not re.fullmatch(r"0|[1-9][0-9]{0,8}", entry) or int(entry) >= len(uids):
        return None
    return uids[int(entry)]
