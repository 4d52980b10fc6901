"""Recorded machines for the tests: ``tests/data/NAME.json``, in the format of ``vramline capture``.

A file may be as small as ``{"format": 1, "platform": "linux", "files": {...}}``.
"""

import json
from pathlib import Path
from typing import Any

from vramline.machine import RecordedMachine

DATA = Path(__file__).parent / "data"


def recording_of(name: str) -> dict[str, Any]:
    """Return the recording as its file has it; ``name`` is such as ``amd/rx7900xtx``."""
    recording: dict[str, Any] = json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))
    # The hosts that were recorded before there was a format are their files alone.
    return recording if "format" in recording else {"format": 1, "files": recording}


def entries_of(name: str) -> dict[str, Any]:
    """Return what lies at each path of the recorded machine."""
    return dict(recording_of(name)["files"])


def recorded(name: str, **changes: Any) -> RecordedMachine:
    """Return the recorded machine, apart from the changes.

    A change whose name begins with ``/`` is a file's entry (``None``: it is not
    there), any other takes the place of a part of the recording (``platform``,
    ``environ``) or goes to ``RecordedMachine.from_dict`` (``clock``,
    ``libraries``, ``ioctl``).
    """
    recording = recording_of(name)
    files = entries_of(name)
    given = {key: changes.pop(key) for key in ("clock", "libraries", "ioctl") if key in changes}
    for key, value in changes.items():
        if not key.startswith("/"):
            recording[key] = value
        elif value is None:
            files.pop(key, None)
        else:
            files[key] = value
    return RecordedMachine.from_dict({**recording, "files": files}, **given)
