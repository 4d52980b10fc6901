"""A native library's answers as JSON can hold them, and back.

What JSON has is itself. The rest is a mapping of one key that says what it was:

``{"tuple": []}``, ``{"fields": {}}`` (a named tuple), ``{"dict": {}}``,
``{"items": [[key, value]]}`` (a dict whose keys are not all text),
``{"object": {}}`` (a C struct, or a plain object: its attributes),
``{"base64": text}``, ``{"float": "nan"}``,
``{"handle": type}`` (what only the library itself understands), and
``{"raises": class, "value": code, "errno": name, "message": text}``.

A handle is named by the call that gave it, so a call that it is passed to reads
as it would in Python: ``nvmlDeviceGetName(nvmlDeviceGetHandleByIndex(0))``.
"""

import base64
import builtins
import errno
import math
import sys
from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from vramline.errors import RecordingError

MOST_IN_A_LIST = 100_000


class Handle:
    """What only the library understands, by the call that gave it."""

    def __init__(self, expression: str) -> None:
        self._expression = expression

    def __repr__(self) -> str:
        return self._expression


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """An exception in an answer's place."""

    name: str
    value: int | None = None
    errno: str | None = None
    message: str = ""


def written(function: str, arguments: tuple[Any, ...], options: Mapping[str, Any]) -> str:
    """Return a call as it is written in Python."""
    words = [*map(_word, arguments), *(f"{key}={_word(each)}" for key, each in options.items())]
    return f"{function}({', '.join(words)})"


def _word(argument: Any) -> str:
    if isinstance(argument, int) and not isinstance(argument, bool):
        return str(int(argument))  # an enumeration's too
    if isinstance(argument, Handle | str | bytes | float | bool | None):
        return repr(argument)
    if isinstance(argument, list | tuple):
        return f"[{', '.join(map(_word, argument))}]"
    return f"<{type(argument).__name__}>"


MakeHandle = Callable[[Any, str], Handle]


def take(value: Any, expression: str, handle: MakeHandle) -> tuple[Any, Any]:
    """Return an answer as its reader is to get it, and as a recording has it.

    The second has ``bytes`` in it as they are. *handle* makes what stands for
    an object that only the library understands.
    """
    for kind, taken in _TAKEN:
        if isinstance(value, kind):
            return taken(value, expression, handle)
    if hasattr(value, "__next__"):
        return _take_list(_some(value), expression, handle)
    plain = _from_ctypes(value)
    if plain is None:
        public = getattr(value, "__dict__", None)
        if not public or any(name.startswith("_") for name in public):
            return handle(value, expression), {"handle": type(value).__name__}
        plain = {"object": {name: _alone(each) for name, each in public.items()}}
    return value, plain


def _from_ctypes(value: Any) -> Any:
    if _is_ctypes(value, "Structure", "Union"):
        return {"object": _attributes(value)}
    if _is_ctypes(value, "Array"):
        return [_alone(each) for each in value]
    if _is_ctypes(value, "_SimpleCData"):
        return {"object": {"value": _alone(value.value)}}
    return None


def _alone(value: Any) -> Any:
    """Return a part of an answer as a recording has it: handles in it lead nowhere."""
    return take(value, "", lambda _value, _expression: Handle(""))[1]


def _some(values: Iterator[Any]) -> list[Any]:
    return [each for each, _ in zip(values, range(MOST_IN_A_LIST), strict=False)]


def _is_ctypes(value: Any, *names: str) -> bool:
    ctypes: Any = sys.modules.get("ctypes")
    return ctypes is not None and isinstance(value, tuple(getattr(ctypes, name) for name in names))


def _attributes(struct: Any) -> dict[str, Any]:
    classes = reversed(type(struct).__mro__)
    names = [field[0] for each in classes for field in vars(each).get("_fields_", ())]
    return {name: _alone(_attribute(struct, name)) for name in names}


def _attribute(struct: Any, name: str) -> Any:
    try:
        return getattr(struct, name)
    except ValueError:  # pynvml decodes text as it hands it out, and this is none
        return object.__getattribute__(struct, name)


def _take_plain(value: Any, _expression: str, _handle: MakeHandle) -> tuple[Any, Any]:
    return value, value


def _take_int(value: int, _expression: str, _handle: MakeHandle) -> tuple[Any, Any]:
    return value, int(value)


def _take_float(value: float, _expression: str, _handle: MakeHandle) -> tuple[Any, Any]:
    return value, float(value) if math.isfinite(value) else {"float": str(float(value))}


def _take_text(value: str, _expression: str, _handle: MakeHandle) -> tuple[Any, Any]:
    return value, str(value)


def _take_bytes(value: bytes, _expression: str, _handle: MakeHandle) -> tuple[Any, Any]:
    return value, bytes(value)


def _take_list(values: list[Any], expression: str, handle: MakeHandle) -> tuple[Any, Any]:
    both = [take(each, f"{expression}[{place}]", handle) for place, each in enumerate(values)]
    return [given for given, _ in both], [plain for _, plain in both]


def _take_tuple(values: Any, expression: str, handle: MakeHandle) -> tuple[Any, Any]:
    given, plain = _take_list(values, expression, handle)
    if not hasattr(values, "_fields"):
        return tuple(given), {"tuple": plain}
    named = dict(zip(values._fields, plain, strict=False))
    return type(values)(*given), {"fields": named}


def _take_dict(values: Mapping[Any, Any], expression: str, handle: MakeHandle) -> tuple[Any, Any]:
    both = {key: take(each, f"{expression}[{_word(key)}]", handle) for key, each in values.items()}
    given = {key: each for key, (each, _) in both.items()}
    if all(isinstance(key, str) for key in both):
        return given, {"dict": {key: plain for key, (_, plain) in both.items()}}
    items = [[_alone(key), plain] for key, (_, plain) in both.items()]
    return given, {"items": items}


_TAKEN: tuple[tuple[Any, Callable[[Any, str, MakeHandle], tuple[Any, Any]]], ...] = (
    (bool | None, _take_plain),
    (int, _take_int),
    (float, _take_float),
    (str, _take_text),
    (bytes | bytearray, _take_bytes),
    (list, _take_list),
    (tuple, _take_tuple),
    (Mapping, _take_dict),
)


def take_error(error: Exception) -> dict[str, Any]:
    """Return an exception as a recording has it."""
    code = getattr(error, "value", None)
    taken: dict[str, Any] = {"raises": type(error).__name__}
    if isinstance(code, int):
        return {**taken, "value": int(code)}  # its text may be the driver's to tell
    if isinstance(error, OSError) and error.errno is not None:
        return {**taken, "errno": errno_name(error)}
    return {**taken, "message": str(error)}


def errno_name(error: OSError) -> str:
    """Return the name of an error's number."""
    # Windows' sockets have numbers, and names, of their own for what others have as well.
    return errno.errorcode.get(error.errno or errno.EIO, "EIO").removeprefix("WSA")


def os_error(name: str, path: str) -> OSError:
    """Return the error of that name, as this system numbers it."""
    import os

    number = getattr(errno, name, errno.EIO)
    return OSError(number, os.strerror(number), path)


def decode(answer: Any, expression: str, handle: Callable[[str], Handle] = Handle) -> Any:
    """Return what an answer in a recording stands for, made anew; an exception is a ``Raised``.

    Raises ``RecordingError`` for what no recording has.
    """
    if isinstance(answer, list):
        return [decode(each, f"{expression}[{at}]", handle) for at, each in enumerate(answer)]
    if not isinstance(answer, Mapping):
        return answer
    kind = next(iter(answer), None)
    if kind == "handle":
        return handle(expression)
    try:
        return _DECODED[str(kind)](answer, expression, handle)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RecordingError(f"an answer to {expression:.80} makes no sense") from error


def _decode_fields(answer: Any, expression: str, handle: Callable[[str], Handle]) -> Any:
    fields = _decode_each(answer["fields"], expression, handle)
    return namedtuple("fields", fields)(**fields)


def _decode_each(
    values: Mapping[str, Any], expression: str, handle: Callable[[str], Handle]
) -> dict[str, Any]:
    return {k: decode(each, f"{expression}[{k!r}]", handle) for k, each in values.items()}


def _decode_raised(answer: Any, *_: Any) -> Raised:
    raised = Raised(name=answer["raises"], **{k: v for k, v in answer.items() if k != "raises"})
    texts = (raised.name, raised.errno or "", raised.message)
    if not all(isinstance(each, str) for each in texts) or type(raised.value) not in (
        int,
        type(None),
    ):
        raise TypeError(raised)
    return raised


_DECODED: Mapping[str, Callable[[Any, str, Callable[[str], Handle]], Any]] = {
    "tuple": lambda a, e, h: tuple(decode(list(a["tuple"]), e, h)),
    "fields": _decode_fields,
    "dict": lambda a, e, h: _decode_each(a["dict"], e, h),
    "items": lambda a, e, h: {decode(k, e, h): decode(v, e, h) for k, v in a["items"]},
    "object": lambda a, e, h: SimpleNamespace(**_decode_each(a["object"], e, h)),
    "base64": lambda a, _e, _h: base64.b64decode(a["base64"], validate=True),
    "float": lambda a, _e, _h: float(a["float"]),
    "raises": _decode_raised,
}


def builtin_error(name: str) -> type[Exception] | None:
    """Return Python's own exception of that name."""
    found = getattr(builtins, name, None)
    return found if isinstance(found, type) and issubclass(found, Exception) else None
