"""Asks a runner's server on this machine, and judges what it answers.

It may be any program that listens there, so an answer is bounded and checked before it counts.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vramline.machine import Machine

ANSWER_SECONDS = 0.5
"""A server that loads or computes answers these questions as fast as an idle one: they wait for
no model. Half a second is what a person does not notice."""

VALUES_MOST = 2**17
"""In one answer: a router with a thousand models has 30,000."""
MODELS_MOST = 256
"""In memory at once, of one runner. A llama-server that loads them on demand holds 4."""
NAME_MOST = 200
LARGEST_BYTES = 2**50
LARGEST_TOKENS = 2**40

_LOOPBACK = {
    "": "127.0.0.1",
    "0.0.0.0": "127.0.0.1",
    "127.0.0.1": "127.0.0.1",
    "localhost": "localhost",
    "::": "[::1]",
    "::1": "[::1]",
}
"""Where a server that listens at an address is reached from its own machine."""

_WANTS_A_KEY = frozenset({401, 403})


@dataclass(frozen=True, slots=True, kw_only=True)
class NoAnswer:
    """Why a server told nothing of use.

    Attributes:
        is_silent: Nobody listens there at all.
        status: Of the answer, where it was HTTP.
    """

    why: str
    is_silent: bool = False
    status: int | None = None


def endpoint(host: str, port: int) -> str | None:
    """Return where a server is asked, ``None`` where it cannot be reached on loopback."""
    place = _LOOPBACK.get(host.strip().strip("[]").lower())
    return None if place is None else f"http://{place}:{port}"


def port_in(text: str | None) -> int | None:
    """Return the number of a port, ``None`` for what is none."""
    if text is None or not re.fullmatch(r"[0-9]{1,5}", text):
        return None
    port = int(text)
    return port if 0 < port < 2**16 else None


def ask(machine: Machine, url: str) -> Mapping[str, Any] | NoAnswer:
    """Return the JSON object that is answered, or why there is none. Never raises."""
    try:
        answer = machine.fetch(url, timeout_seconds=ANSWER_SECONDS)
    except ConnectionRefusedError:
        return NoAnswer(why="nobody listens there", is_silent=True)
    except TimeoutError:
        return NoAnswer(why=f"it did not answer within {ANSWER_SECONDS} seconds")
    except (OSError, ValueError) as error:
        return NoAnswer(why=f"it gave no usable answer ({_reason(error)})")
    if answer.status in _WANTS_A_KEY:
        return NoAnswer(why="it wants a key, and none is sent", status=answer.status)
    found = _object(answer.body)
    if answer.status != 200 or found is None:
        what = "what is not JSON" if answer.status == 200 else f"HTTP status {answer.status}"
        return NoAnswer(why=f"it answered with {what}", status=answer.status)
    return found


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__


def _object(text: str) -> Mapping[str, Any] | None:
    if sum(map(text.count, ",[{")) > VALUES_MOST:
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, Mapping) else None


def objects(value: Any) -> list[Mapping[str, Any]]:
    """Return the objects in what should be a list of them."""
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def inner(value: Mapping[str, Any], *names: str) -> Any:
    """Return what lies under *names*, one in another, ``None`` where it does not."""
    found: Any = value
    for name in names:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def name_in(*values: Any) -> str | None:
    """Return the first that is a name, printable and not endless."""
    for value in values:
        if isinstance(value, str) and value.strip():
            return "".join(each if each.isprintable() else "?" for each in value[:NAME_MOST])
    return None


def bytes_in(value: Any) -> int | None:
    """Return a number of bytes, ``None`` for what can be none."""
    return value if type(value) is int and 0 <= value <= LARGEST_BYTES else None


def tokens_in(value: Any) -> int | None:
    """Return a number of tokens, ``None`` for what can be none."""
    return value if type(value) is int and 0 < value <= LARGEST_TOKENS else None
