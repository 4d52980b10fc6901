"""A native library's Python module as it was recorded.

What was called answers as it did then. Exceptions and constants that were not
asked for come from the real module where importing that touches nothing of the
machine: so it is with pynvml, which loads the driver's library in ``nvmlInit``
only. psutil is never imported, as it reads ``/proc/stat`` on the way: its few
exceptions are here.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

from vramline.machine.answers import Handle, Raised, builtin_error, decode, os_error, written
from vramline.machine.recording import Library
from vramline.machine.turns import Turns

IMPORTED = frozenset({"pynvml"})
NVML_FUNCTION_NOT_FOUND = 13

# https://psutil.readthedocs.io/#exceptions
_ERRORS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "psutil": {
        "Error": [],
        "NoSuchProcess": ["Error"],
        "ZombieProcess": ["NoSuchProcess"],
        "AccessDenied": ["Error"],
        "TimeoutExpired": ["Error"],
    },
    "pynvml": {"NVMLError": []},
}


class ReplayedLibrary(ModuleType):
    """Stands in for the module *name*.

    Args:
        hang: Waits for ever, where the call never came back.
    """

    def __init__(
        self, name: str, recorded: Library, turns: Turns, hang: Callable[[str], Any]
    ) -> None:
        super().__init__(name)
        self._recorded = recorded
        self._turns = turns
        self._hang = hang
        self._errors: dict[str, type[Exception]] = {}
        self._lineage = {**recorded.errors, **_ERRORS.get(name, {})}

    def __getattr__(self, name: str) -> Any:
        recorded = self._recorded
        if name in recorded.constants:
            return recorded.constants[name]
        if self._was_called(name):
            return self._function(name)
        if name in recorded.lacks:
            raise AttributeError(f"the recorded {self.__name__} has no {name}")
        real = getattr(self._real(), name, None)
        if name in self._lineage and not _is_error(real):
            return self._error(name)
        if real is None:
            raise AttributeError(f"the recorded {self.__name__} has no {name}")
        return self._function(name) if callable(real) and not isinstance(real, type) else real

    def _real(self) -> ModuleType | None:
        try:
            return importlib.import_module(self.__name__) if self.__name__ in IMPORTED else None
        except ImportError:
            return None

    def _was_called(self, function: str) -> bool:
        return any(call.startswith(f"{function}(") for call in self._recorded.calls)

    def _function(self, function: str) -> Callable[..., Any]:
        def replay(*arguments: Any, **options: Any) -> Any:
            return self._answer(written(function, arguments, options))

        setattr(self, function, replay)  # the same one each time, as a module has it
        return replay

    def _answer(self, call: str) -> Any:
        rows = self._recorded.calls.get(call)
        if rows is None:
            raise self._unasked(call)
        plain = self._turns.next(("libraries", self.__name__, call), rows)
        if isinstance(plain, dict) and "hangs" in plain:
            self._hang(call)
        if isinstance(plain, dict) and next(iter(plain), None) == "errno":
            raise os_error(plain["errno"], call)
        answer = decode(plain, call, self._handle)
        if isinstance(answer, Raised):
            raise self._raised(answer)
        return answer

    def _handle(self, expression: str) -> "ReplayedHandle":
        return ReplayedHandle(expression, self)

    def _part(self, expression: str) -> Any:
        """Return what was asked of a handle: one of its functions, or what it held."""
        if expression in self._recorded.calls:
            return self._answer(expression)
        if self._was_called(expression):
            return self._function(expression)
        raise AttributeError(f"the recorded {self.__name__} has no {expression}")

    def _unasked(self, call: str) -> Exception:
        """Return what this library raises for a function that it does not have."""
        if self.__name__ == "pynvml":
            return self._raised(Raised(name="NVMLError", value=NVML_FUNCTION_NOT_FOUND))
        if self.__name__ == "psutil":
            return self._raised(Raised(name="NoSuchProcess", message=f"{call} was not recorded"))
        return NotImplementedError(f"{call} was not recorded")

    def _raised(self, raised: Raised) -> Exception:
        if raised.errno is not None:
            return os_error(raised.errno, self.__name__)
        coded = getattr(self._real(), "NVMLError", None)
        if raised.value is not None and coded is not None:
            known: Exception = coded(raised.value)  # it makes the class of that code
            return known
        found = builtin_error(raised.name)
        if found is not None and raised.name not in self._lineage:
            return _made(found, raised.message)
        error = self._error(raised.name)(raised.message)
        error.value = raised.value  # type: ignore[attr-defined]
        return error

    def _error(self, name: str) -> type[Exception]:
        """Return the exception of that name, below the one it descends from."""
        if name not in self._errors:
            self._errors[name] = Exception  # should it be its own ancestor
            above = next(iter(self._lineage.get(name, ())), None)
            base = self._error(above) if above else Exception
            self._errors[name] = type(name, (base,), {"__module__": self.__name__})
            setattr(self, name, self._errors[name])
        return self._errors[name]


class ReplayedHandle(Handle):
    """An object that a library gave, whose functions answer as they did."""

    def __init__(self, expression: str, library: ReplayedLibrary) -> None:
        super().__init__(expression)
        self._library = library

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._library._part(f"{self._expression}.{name}")


def _is_error(found: Any) -> bool:
    return isinstance(found, type) and issubclass(found, Exception)


def _made(kind: type[Exception], message: str) -> Exception:
    """Return an exception of that kind, or of the nearest that is made from a message."""
    for each in kind.__mro__:
        try:
            made: Exception = each(message)
        except TypeError:  # UnicodeDecodeError takes five arguments
            continue
        return made
    return Exception(message)
