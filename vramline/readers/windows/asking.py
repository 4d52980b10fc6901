"""The answers of ``vramline.native.windows``, each checked before anything is made of it."""

from collections.abc import Iterator, Mapping
from typing import Any

from vramline.errors import ReadError
from vramline.machine import Machine
from vramline.readings import Cause

NATIVE = "vramline.native.windows"
FAILED = 0x80000000
LARGEST = 2**64 - 1
NOT_HERE = frozenset({0xC0000BB8, 0xC0000BB9})
"""PDH_CSTATUS_NO_OBJECT and PDH_CSTATUS_NO_COUNTER: before Windows 10 1709."""
REFUSED = frozenset({0x5, 0x80070005, 0xC0000022, 0xC0000BDB})
"""ERROR_ACCESS_DENIED, the same as HRESULT and as NTSTATUS, and PDH_ACCESS_DENIED."""


class Windows:
    """What Windows says. What it does not say is its cause, or ``None``.

    Raises ``ImportError`` where the machine is no Windows.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._native = machine.library(NATIVE)

    def adapters(self) -> list[Mapping[str, Any]]:
        """Return what DXGI lists. Raises ``ReadError`` where it fails."""
        answer = self._ask("adapters")
        status = number(answer, "status")
        if status is None or status & FAILED:
            told = "gave no answer" if status is None else f"failed with {status:#010x}"
            raise ReadError(f"DXGI, which lists Windows' GPUs, {told}")
        return list(mappings(answer.get("adapters")))

    def is_integrated(self, luid: int) -> bool | None:
        """Return whether the GPU is part of the processor, where Windows tells."""
        answer = self._ask("is_integrated", luid)
        return answer if isinstance(answer, bool) else None

    def lasting(self, luid: int) -> Mapping[str, Any]:
        """Return what the graphics kernel says once, by query."""
        answer = self._ask("lasting", luid)
        return answer if isinstance(answer, Mapping) else {}

    def present(self, luid: int) -> Mapping[str, Any]:
        """Return what the graphics kernel says now, by query."""
        answer = self._ask("present", luid)
        return answer if isinstance(answer, Mapping) else {}

    def has(self, luid: int) -> bool:
        """Tell whether there still is an adapter of that number."""
        status = number(self.lasting(luid), "status")
        return status is not None and not status & FAILED

    def registered(self) -> list[Mapping[str, Any]]:
        """Return what the registry has on display adapters, past ones among them."""
        return list(mappings(self._ask("registered")))

    def open_counters(self) -> Any:
        """Return the performance counters, or why there are none."""
        return self._ask("open_counters")

    def seconds(self) -> float:
        """Return the seconds since some moment; in a recording, as of each time that it was asked.

        The machine's own clock stands still there until something else is asked.
        """
        answer = self._ask("seconds")
        return answer if type(answer) is float else self._machine.clock()

    def _ask(self, question: str, *arguments: int) -> Any:
        return ask(self._native, question, *arguments)


def ask(native: Any, question: str, *arguments: int) -> Any:
    """Call a function of the native module's, or of something that it gave.

    A library that is not there is an ``OSError``, a function that it lacks an
    ``AttributeError``, and what a recording does not hold a ``NotImplementedError``.
    """
    try:
        return getattr(native, question)(*arguments)
    except (AttributeError, NotImplementedError):
        return Cause.NOT_SUPPORTED
    except OSError:
        return Cause.DRIVER_ERROR


def cause_of(status: int | None) -> Cause:
    """Return what a status that is not success means for a value."""
    if status in NOT_HERE:
        return Cause.NOT_SUPPORTED
    return Cause.NO_PERMISSION if status in REFUSED else Cause.DRIVER_ERROR


def number(fields: Any, name: str) -> int | None:
    """Return the whole number of that name, where there is one of no more than 64 bits."""
    value = fields.get(name) if isinstance(fields, Mapping) else None
    return value if type(value) is int and 0 <= value <= LARGEST else None


def mappings(values: Any) -> Iterator[Mapping[str, Any]]:
    """Give what in a list is a mapping."""
    if isinstance(values, list | tuple):
        yield from (each for each in values if isinstance(each, Mapping))
