"""How a recording names the programs that were run, and the ioctls that were made."""

import base64
import re
import shlex
from collections.abc import Mapping, Sequence

_FOLDERS = re.compile(r".*[/\\]")
_PYTHON = re.compile(r"python[\d.]*(\.exe)?")
_OURS = re.compile(r"(?:/|[A-Za-z]:\\).*?[/\\](?:(vramline)-\w+|(vramline[/\\].*))")


def command_key(command: Sequence[str]) -> str:
    """Return the command as one line, without what differs from one machine or run to another.

    That is the folder in which the program lies, which Python it is, where
    vramline's own scripts are, and the folders that are made for them.
    """
    program = _FOLDERS.sub("", command[0]) if command else ""
    words = ["python" if _PYTHON.fullmatch(program) else program, *map(_without_place, command[1:])]
    return shlex.join(words)


def ioctl_key(request: int, memory: bytes, pointers: Mapping[int, int]) -> str:
    """Return what a recording has for an ioctl's question."""
    places = "".join(f" {place}>{target}" for place, target in pointers.items())
    return f"{request:#x} {base64.b64encode(memory).decode()}{places}"


def _without_place(word: str) -> str:
    ours = _OURS.fullmatch(word)
    return word if ours is None else (ours[1] or ours[2].replace("\\", "/"))
