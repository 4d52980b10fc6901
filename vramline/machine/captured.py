"""A native library's Python module whose calls are noted."""

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from vramline.machine.answers import Handle, take, take_error, written
from vramline.machine.journal import Journal

_PLAIN = (bool, int, float, str, bytes)


@dataclass(frozen=True, slots=True)
class Traits:
    """What was looked for in a library and not called."""

    constants: dict[str, Any]
    errors: dict[str, list[str]]
    lacks: list[str]


class CapturedLibrary(ModuleType):
    """Passes every call on to *module*, and notes it as it is written in Python.

    Exceptions and types are the module's own. An object that only the library
    understands is a ``CapturedHandle``, which stands for it in later calls.
    """

    def __init__(self, name: str, module: ModuleType, journal: Journal) -> None:
        super().__init__(name)
        self._module = module
        self._journal = journal
        self._constants: dict[str, Any] = {}
        self._errors: dict[str, list[str]] = {}
        self._lacks: set[str] = set()

    def traits(self) -> Traits:
        """Return what was looked for until now."""
        return Traits(self._constants.copy(), self._errors.copy(), sorted(self._lacks.copy()))

    def __getattr__(self, name: str) -> Any:
        try:
            found = getattr(self._module, name)
        except AttributeError:
            self._lacks.add(name)
            raise
        if isinstance(found, type) and issubclass(found, BaseException):
            self._errors[name] = self._ancestors(found)
        elif callable(found):
            found = self._function(name, name, found)
            setattr(self, name, found)  # the same one each time, as a module has it
        elif isinstance(found, _PLAIN):
            self._constants[name] = take(found, name, self._handle)[1]
        return found

    def _name_of(self, error: type[BaseException]) -> str | None:
        """Return what the module calls an exception, which may differ from the class's own name."""
        names = (name for name, each in vars(self._module).items() if each is error)
        return next(names, None)

    def _ancestors(self, error: type[BaseException]) -> list[str]:
        """Return the names of the module's exceptions that *error* is one of, nearest first."""
        return [name for each in error.__mro__[1:] if (name := self._name_of(each))]

    def _function(self, expression: str, name: str, real: Any) -> Callable[..., Any]:
        def ask(*arguments: Any, **options: Any) -> Any:
            own = [_unwrapped(each) for each in arguments]
            own_options = {key: _unwrapped(each) for key, each in options.items()}
            call = written(expression, arguments, options)
            return self._ask(call, name, lambda: real(*own, **own_options))

        return ask

    def _ask(self, expression: str, name: str, call: Callable[[], Any]) -> Any:
        handed, _ = self._journal.ask(
            ("call", self.__name__, expression, name),
            lambda: take(call(), expression, self._handle),
            lambda both: both[1],
            self._failure,
        )
        return handed

    def _failure(self, error: Exception) -> Any:
        taken = take_error(error)
        if name := self._name_of(type(error)):
            taken["raises"] = name
        if type(error).__module__ != "builtins":
            self._errors[taken["raises"]] = self._ancestors(type(error))
        return taken

    def _handle(self, value: Any, expression: str) -> "CapturedHandle":
        return CapturedHandle(expression, value, self)

    def _part(self, handle: "CapturedHandle", name: str) -> Any:
        expression = f"{handle._expression}.{name}"
        found = getattr(handle._value, name)
        if callable(found):
            return self._function(expression, name, found)
        return self._ask(expression, name, lambda: found)


class CapturedHandle(Handle):
    """Stands for an object of the library's own."""

    def __init__(self, expression: str, value: Any, library: CapturedLibrary) -> None:
        super().__init__(expression)
        self._value = value
        self._library = library

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._library._part(self, name)


def _unwrapped(argument: Any) -> Any:
    if isinstance(argument, CapturedHandle):
        return argument._value
    if isinstance(argument, list | tuple) and any(isinstance(e, CapturedHandle) for e in argument):
        return type(argument)(_unwrapped(each) for each in argument)
    return argument
