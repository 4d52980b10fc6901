"""What a driver tells of one client, as text.

https://docs.kernel.org/gpu/drm-usage-stats.html
https://docs.kernel.org/gpu/xe/xe-drm-usage-stats.html
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from vramline.readers.causes import LARGEST_COUNT

LONGEST_TEXT = 65536
"""Drivers write some 40 lines. What is longer is no driver's, and is not read to its end."""

_CLIENT = re.compile(r"^drm-client-id[ \t]*:[ \t]*([0-9]{1,19})[ \t]*$", re.MULTILINE)
_DEVICE = re.compile(r"^drm-pdev[ \t]*:[ \t]*(\S+)", re.MULTILINE)
# The longer prefix first: drm-total-cycles-rcs is no region's. amdgpu has blanks
# between some keys and their tab.
_FIGURE = re.compile(
    r"^drm-(engine-capacity|engine|total-cycles|cycles|resident|memory|total)-([^:\s]+)[ \t]*:"
    r"[ \t]*([0-9]{1,19})(?:[ \t]+([A-Za-z]+))?[ \t]*$",
    re.MULTILINE,
)
_COUNT = {"": 1}
_SIZE = {"": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_UNITS: Mapping[str, Mapping[str, int]] = {
    "engine": {"ns": 1},
    "engine-capacity": _COUNT,
    "cycles": _COUNT,
    "total-cycles": _COUNT,
    "resident": _SIZE,
    "memory": _SIZE,
    "total": _SIZE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FdInfo:
    """One client, as its driver tells it: see ``Client``.

    Attributes:
        address: The card's, on the PCI bus; ``None`` where it is not told.
    """

    client_id: int
    address: str | None
    memory: Mapping[str, int]
    engines_ns: Mapping[str, int]
    cycles: Mapping[str, tuple[int, int]]
    capacity: Mapping[str, int]


def parse(text: str) -> FdInfo | None:
    """Return what the text tells; ``None`` where it names no client. Never raises.

    A line that makes no sense is left out, and of two figures with the same key the
    last one counts.
    """
    text = text[:LONGEST_TEXT]
    client = _CLIENT.search(text)
    if client is None:
        return None
    device = _DEVICE.search(text)
    told = _figures(text)
    gone_by = told["total-cycles"]
    cycles = {
        each: (busy, gone_by[each]) for each, busy in told["cycles"].items() if each in gone_by
    }
    # A capacity of zero is not allowed, and one that is not told is one.
    capacity = {each: told["engine-capacity"].get(each) or 1 for each in [*told["engine"], *cycles]}
    return FdInfo(
        client_id=int(client[1]),
        address=None if device is None else device[1].lower(),
        # Resident is what lies in a region now, and "memory" is its older name, which
        # amdgpu still prints beside it. Total is what was asked for, and may lie
        # nowhere yet: https://github.com/intel/xpumanager/issues/145
        memory={**told["total"], **told["memory"], **told["resident"]},
        engines_ns=told["engine"],
        cycles=cycles,
        capacity=capacity,
    )


def _figures(text: str) -> dict[str, dict[str, int]]:
    told: dict[str, dict[str, int]] = {kind: {} for kind in _UNITS}
    for kind, name, digits, unit in _FIGURE.findall(text):
        scale = _UNITS[kind].get(unit)
        if scale is not None and (number := int(digits) * scale) <= LARGEST_COUNT:
            told[kind][name] = number
    return told
