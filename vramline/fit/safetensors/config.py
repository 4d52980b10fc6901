"""``config.json``, which lies beside the weights and has the model's dimensions."""

import os
from collections.abc import Mapping
from typing import Any

from vramline.fit.header_file import HeaderFile, shown
from vramline.fit.model import ENTRIES_KEPT, TEXT_BYTES_KEPT, ArraySummary, Value
from vramline.fit.safetensors.bounded_json import parse_object
from vramline.units import MIB

NAME = "config.json"

CONFIG_BYTES_MOST = 4 * MIB
"""They have a few KiB; the names of 21,000 classes of images make one."""

DEPTH_MOST = 4
"""What lies deeper is left out. ``text_config.rope_scaling.factor`` lies at three."""

OBJECT_ENTRIES_MOST = 256
"""Objects of more are lists of words, not settings."""

NUMBER_MOST = 2**64


def read_config(folder: str) -> dict[str, Value]:
    """Return what the folder's ``config.json`` says, and nothing where there is none.

    Raises ``ModelFormatError`` where it is not valid JSON.
    """
    path = os.path.join(folder, NAME)
    if not os.path.exists(path):
        return {}
    with HeaderFile(path, most_bytes=CONFIG_BYTES_MOST) as file:
        found: dict[str, Value] = {}
        _flatten(file, parse_object(file, file.take(file.size)), "", found)
        return found


def _flatten(
    file: HeaderFile, entries: Mapping[str, Any], prefix: str, found: dict[str, Value]
) -> None:
    for name, entry in entries.items():
        key = prefix + name
        if not isinstance(entry, Mapping):
            value = _value(file, key, entry)
            if value is not None:
                found[key] = value
        elif len(entry) > OBJECT_ENTRIES_MOST:
            found[key] = ArraySummary(type="object", count=len(entry))
        elif key.count(".") + 1 < DEPTH_MOST:
            _flatten(file, entry, f"{key}.", found)


def _value(file: HeaderFile, key: str, entry: object) -> Value | None:
    """Return what is kept of an entry. ``null`` says that the model leaves it open."""
    match entry:
        case str():
            return entry if _is_short(entry) else ArraySummary(type="character", count=len(entry))
        case list():
            return _array(file, key, entry)
        case int() | float():
            return _number(file, key, entry)
    return None


def _array(file: HeaderFile, key: str, entries: list[object]) -> Value:
    kinds = set(map(type, entries))
    numbers = [_number(file, key, each) for each in entries if isinstance(each, int | float)]
    texts = tuple(each for each in entries if isinstance(each, str) and _is_short(each))
    if len(entries) > ENTRIES_KEPT:
        return ArraySummary(type="value", count=len(entries))
    if len(texts) == len(entries):
        return texts
    if kinds in ({bool}, {int}):
        return tuple(numbers)
    if kinds <= {int, float}:
        return tuple(map(float, numbers))
    return ArraySummary(type="value", count=len(entries))


def _number(file: HeaderFile, key: str, number: float) -> int | float | bool:
    if isinstance(number, int) and abs(number) > NUMBER_MOST:
        raise file.refusal(f"{shown(key)} is a number of more than 64 bits")
    return number


def _is_short(text: str) -> bool:
    return len(text) <= TEXT_BYTES_KEPT
