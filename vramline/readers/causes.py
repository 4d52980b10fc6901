"""From what went wrong to the cause that a reading gives for it.

Inside a reader a value that is not known is its ``Cause``; ``settle`` turns it
into the ``None`` that readings have, and keeps the cause beside it.
"""

import errno
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from vramline.machine import Machine
from vramline.readings import Cause, FrozenDict

T = TypeVar("T")

LARGEST_COUNT = 2**63 - 1

_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EOPNOTSUPP, errno.ENOSYS})


def cause_of(error: OSError) -> Cause:
    """Return what an error from a file of the system means for the value in it."""
    if isinstance(error, PermissionError):
        return Cause.NO_PERMISSION
    return Cause.NOT_SUPPORTED if error.errno in _ABSENT else Cause.DRIVER_ERROR


def read_text(
    machine: Machine, path: str, *, explain: Callable[[OSError], Cause] = cause_of
) -> str | Cause:
    """Return the file's text, or why it cannot be had; *explain* is the driver's own meaning."""
    try:
        return machine.read(path)
    except OSError as error:
        return explain(error)
    except ValueError:
        # The path came out of another file, and holds what no path can.
        return Cause.GARBLED


def read_number(
    machine: Machine,
    path: str,
    *,
    least: int = 0,
    most: int = LARGEST_COUNT,
    explain: Callable[[OSError], Cause] = cause_of,
) -> int | Cause:
    """Return the whole number in the file, or why there is none from *least* to *most*."""
    text = read_text(machine, path, explain=explain)
    if isinstance(text, Cause):
        return text
    number = count(text, least=least)
    return number if isinstance(number, Cause) or number <= most else Cause.GARBLED


def count(text: str, *, least: int = 0) -> int | Cause:
    """Return the whole number that *text* is: not below *least*, nor past 63 bits."""
    digits = text.strip()
    # int() would take 1_000 and the digits of every script. 63 bits have 19 of them.
    if not (digits.isascii() and digits.removeprefix("-").isdigit() and len(digits) <= 20):
        return Cause.GARBLED
    number = int(digits)
    return number if least <= number <= LARGEST_COUNT else Cause.GARBLED


def all_known(values: Iterable[T | Cause]) -> list[T] | Cause:
    """Return the values, or the first cause among them."""
    known = []
    for value in values:
        if isinstance(value, Cause):
            return value
        known.append(value)
    return known


def settle(kind: Callable[..., T], figures: Mapping[str, object]) -> T:
    """Build a reading: where a figure is a cause, the field is ``None`` and the cause is told."""
    # An enumeration's isinstance goes through its metaclass, and this is asked of every figure.
    unknown = {name: figure for name, figure in figures.items() if type(figure) is Cause}
    if not unknown:
        return kind(**figures)
    return kind(**{**figures, **dict.fromkeys(unknown)}, unknown=FrozenDict(unknown))
