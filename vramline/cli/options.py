"""The options of every command.

By argparse: click is one dependency more, and 8 ms of every start.
"""

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Never

from vramline import __version__
from vramline.cli.output import complain, emit

HOST_ROOT = "VRAMLINE_HOST_ROOT"
WRONG_USE = 2

_DESCRIPTION = "Print what this machine has for AI models, and how much of it is free."
_EXAMPLE = """\
examples:
  vramline                     GPUs and host, with who holds the GPUs' memory
  vramline --json              the same for a program
  vramline doctor              why a GPU is not found, and what mends it
  vramline --host-root /host   the host's, from a container that has its /proc
                               at /host/proc and its /sys at /host/sys
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the user asked for."""

    command: str | None
    json: bool
    host_root: str


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Never:
        """Say in one line what is wrong, and where help is."""
        complain(f"{message} (see {self.prog} --help)")
        raise SystemExit(WRONG_USE)


def parse(arguments: Sequence[str] | None, environ: Mapping[str, str] = os.environ) -> Options:
    """Return the options, from the command line and the environment.

    Raises ``SystemExit`` for a wrong one, and after ``--help`` and ``--version``.
    """
    parser = _parser()
    try:
        found = parser.parse_args(arguments)
    except SystemExit:
        emit("")  # the help too may go to a pipe that is closed
        raise
    name, folder = "--host-root", found.host_root
    if folder is None:
        name, folder = HOST_ROOT, environ.get(HOST_ROOT) or None
    if folder is not None and (missing := _missing(folder)):
        parser.error(f"{name} {folder}: {missing}")
    return Options(command=found.command, json=found.json, host_root=folder or "")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="vramline",
        usage="vramline [doctor] [--json] [--host-root DIR]",
        description=_DESCRIPTION,
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"vramline {__version__}")
    parser.set_defaults(json=False, host_root=None)
    _add_shared(parser)
    commands = parser.add_subparsers(
        dest="command", metavar="COMMAND", title="commands", prog=parser.prog
    )
    text = "Say what is wrong with this machine's GPUs and drivers, and what mends it."
    doctor = commands.add_parser(
        "doctor",
        help="what is wrong, and what mends it",
        description=f"{text} The exit status is 1 where there is a problem.",
        allow_abbrev=False,
    )
    _add_shared(doctor)
    return parser


def _add_shared(parser: argparse.ArgumentParser) -> None:
    # Without a default, as a command's would overwrite what stands before the command.
    nothing = argparse.SUPPRESS
    parser.add_argument("--json", action="store_true", default=nothing, help="print JSON")
    parser.add_argument(
        "--host-root",
        metavar="DIR",
        default=nothing,
        help=f"read DIR/proc and DIR/sys, not this system's (also {HOST_ROOT})",
    )


def _missing(folder: str) -> str:
    """Return what a host's folder lacks, in words; empty where it lacks nothing."""
    if not os.path.isdir(folder):
        return "there is no such folder"
    lacking = [name for name in ("proc", "sys") if not os.path.isdir(os.path.join(folder, name))]
    return f"there is no {' and no '.join(lacking)} in this folder" if lacking else ""
