"""The IO registry of macOS, as ``ioreg`` prints it, and the figures in it.

As a property list, for the text form has traps: ``"In use system memory (driver)"`` comes
before ``"In use system memory"``, and a list of entries within an entry is on the same line.

https://developer.apple.com/library/mac/documentation/Darwin/Reference/ManPages/man8/ioreg.8.html
"""

import plistlib
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any
from xml.parsers.expat import ExpatError

from vramline.errors import ReadError, ReaderUnavailableError
from vramline.machine import Machine
from vramline.readers.causes import LARGEST_COUNT
from vramline.readings import Cause

Entry = Mapping[str, object]
Figures = Mapping[str, object] | Cause
"""A table of figures, or why there is none."""

IOREG = ("/usr/sbin/ioreg", "-a", "-r", "-d", "1", "-w", "0")
"""XML; only the entries asked for, and nothing below them; lines of any length."""
ACCELERATORS = (*IOREG, "-c", "IOAccelerator")
CARDS = (*IOREG, "-k", "VRAM,totalMB")
TIMEOUT_SECONDS = 3.0

MOST_PERCENT = 1000
"""Intel's driver has told a load of 308 % (https://github.com/exelban/stats/issues/649): that
is a busy GPU, whose engines were added up. What is far past that is no load at all."""


def accelerators(machine: Machine) -> list[Entry]:
    """Return the entry of each GPU's driver, in the registry's order.

    Raises ``ReaderUnavailableError`` where there is none, and ``ReadError``.
    """
    entries = find(machine, ACCELERATORS)
    if not entries:
        raise ReaderUnavailableError("no GPU in the IO registry")
    return entries


def find(machine: Machine, command: Sequence[str]) -> list[Entry]:
    """Return what *command*, an ``ioreg``, prints: each entry once.

    Raises ``ReaderUnavailableError`` where there is no ``ioreg``, and ``ReadError``.
    """
    output = _run(machine, command)
    # Where nothing matches it prints nothing, and not an empty list.
    found = _parse(output) if output.strip() else []
    if not isinstance(found, list):
        raise ReadError(f"ioreg printed no list of entries: {output[:80]!r}")
    by_id: dict[object, Entry] = {}
    for place, entry in enumerate(found):
        if isinstance(entry, dict):
            # The same one may be printed twice, under each of two others that match.
            number = entry.get("IORegistryEntryID")
            by_id.setdefault(number if type(number) is int else f"at {place}", entry)
    return list(by_id.values())


def _run(machine: Machine, command: Sequence[str]) -> str:
    try:
        return machine.run(command, timeout_seconds=TIMEOUT_SECONDS)
    except FileNotFoundError as error:
        raise ReaderUnavailableError(f"there is no {command[0]}, which reads the GPUs") from error
    except subprocess.TimeoutExpired as error:
        raise ReadError(f"ioreg did not answer within {TIMEOUT_SECONDS:g} s") from error
    except subprocess.CalledProcessError as error:
        said = (error.stderr or "").strip().splitlines()
        ended = f"ioreg ended with status {error.returncode}"
        raise ReadError("; ".join([ended, *said[-1:]])) from error
    except OSError as error:
        raise ReadError(f"ioreg cannot be started: {error}") from error


def _parse(output: str) -> Any:
    try:
        return plistlib.loads(output.encode("utf-8", "replace"), fmt=plistlib.FMT_XML)
    # What plistlib raises for dates, keys and nesting that it does not expect.
    except (ExpatError, ValueError, LookupError, AttributeError, TypeError, OverflowError) as error:
        raise ReadError(f"ioreg's answer is no property list: {error}") from error


def table(entry: Entry, key: str) -> Figures:
    """Return the figures under *key*, or why there are none."""
    value = entry.get(key)
    if value is None:
        return Cause.NOT_SUPPORTED
    return value if isinstance(value, dict) else Cause.GARBLED


def count(figures: Figures, *keys: str) -> int | Cause:
    """Return the whole number under the first of *keys* that is there."""
    value = _first(figures, keys)
    if isinstance(value, Cause):
        return value
    # A property list has real numbers, dates and truth too, and True is not 1.
    return value if type(value) is int and 0 <= value <= LARGEST_COUNT else Cause.GARBLED


def measure(figures: Figures, *keys: str, least: float = 0, most: float) -> float | Cause:
    """Return the number under the first of *keys* that is there."""
    value = _first(figures, keys)
    if isinstance(value, Cause):
        return value
    if (type(value) is int or type(value) is float) and least <= value <= most:
        return float(value)
    return Cause.GARBLED


def percent(figures: Figures, *keys: str) -> float | Cause:
    """Return the share under the first of *keys* that is there, 100 at the most."""
    value = measure(figures, *keys, most=MOST_PERCENT)
    return value if isinstance(value, Cause) else min(value, 100.0)


def text(entry: Entry, *keys: str) -> str | None:
    """Return the first of *keys* that holds text, which may be bytes that end in NUL."""
    for key in keys:
        value = entry.get(key)
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        if isinstance(value, str) and (stripped := value.strip(" \n\0")):
            return stripped
    return None


def _first(figures: Figures, keys: Sequence[str]) -> object:
    if isinstance(figures, Cause):
        return figures
    return next((figures[key] for key in keys if key in figures), Cause.NOT_SUPPORTED)
