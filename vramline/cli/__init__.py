"""The command ``vramline``: one module a command, loaded when it is asked for."""

from collections.abc import Sequence
from importlib import import_module

from vramline.cli.look import Look, look_once
from vramline.cli.options import parse

__all__ = ["Look", "run"]

MODULES = {
    None: "vramline.cli.show",
    "capture": "vramline.cli.capture",
    "doctor": "vramline.cli.doctor",
    "fit": "vramline.cli.fit",
    "models": "vramline.cli.models",
}
"""Where each command's ``run`` is. ``None`` is ``vramline`` without a command."""


def run(arguments: Sequence[str] | None = None, *, look: Look | None = None) -> int:
    """Run the command that *arguments* name and return the exit status.

    *look* takes the snapshot. Raises ``SystemExit`` for a wrong option, and
    after ``--help`` and ``--version``.
    """
    options = parse(arguments)
    status: int = import_module(MODULES[options.command]).run(options, look or look_once)
    return status
