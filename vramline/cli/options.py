"""The options of every command.

By argparse: click is one dependency more, and 8 ms of every start.
"""

import argparse
import os
import stat
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
  vramline capture FILE        this machine as a file, for `vramline --from FILE`
  vramline --host-root /host   the host's, from a container that has its /proc
                               at /host/proc and its /sys at /host/sys
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the user asked for.

    Attributes:
        recording: The file to be replayed, in the place of this machine. ``-``: standard input.
        capture_to: The file that this machine is to be recorded in. ``-``: standard output.
        force: Whether that file may be overwritten.
    """

    command: str | None
    json: bool
    host_root: str
    recording: str | None = None
    capture_to: str = ""
    force: bool = False


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
    if wrong := _contradiction(found):
        parser.error(wrong)
    name, folder = "--host-root", found.host_root
    if folder is None and found.recording is None:
        name, folder = HOST_ROOT, environ.get(HOST_ROOT) or None
    if folder is not None and (missing := _missing(folder)):
        parser.error(f"{name} {folder}: {missing}")
    if found.command == "capture" and (why := _not_to_be_written(found.file, force=found.force)):
        parser.error(f"capture {found.file}: {why}")
    return Options(
        # The dispatcher knows no command of that name: see vramline.cli.show.
        command=found.command,
        json=found.json,
        host_root=folder or "",
        recording=found.recording,
        capture_to=found.file if found.command == "capture" else "",
        force=found.command == "capture" and found.force,
    )


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="vramline",
        usage="vramline [doctor | capture FILE] [--json] [--from FILE] [--host-root DIR]",
        description=_DESCRIPTION,
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"vramline {__version__}")
    parser.set_defaults(json=False, host_root=None, recording=None)
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
    _add_capture(commands)
    return parser


def _add_capture(commands: "argparse._SubParsersAction[_Parser]") -> None:
    capture = commands.add_parser(
        "capture",
        help="record this machine in a file, for a bug report",
        description="Record all that is read of this machine, and by the doctor, in FILE, for "
        "`vramline --from FILE`. Serial numbers, UUIDs, addresses, host and user names are "
        "masked, and command lines left out. Look through the file before you send it.",
        allow_abbrev=False,
    )
    capture.add_argument("file", metavar="FILE", help="a new file (- is stdout)")
    capture.add_argument("--force", action="store_true", help="overwrite FILE where it is there")
    _add_shared(capture, is_capture=True)


def _add_shared(parser: argparse.ArgumentParser, *, is_capture: bool = False) -> None:
    # Without a default, as a command's would overwrite what stands before the command.
    nothing = argparse.SUPPRESS
    parser.add_argument(
        "--json",
        action="store_true",
        default=nothing,
        help=nothing if is_capture else "print JSON",  # it is known, to be told that it is wrong
    )
    parser.add_argument(
        "--from",
        dest="recording",
        metavar="FILE",
        default=nothing,
        help=nothing if is_capture else "show the machine that FILE is a recording of (- is stdin)",
    )
    parser.add_argument(
        "--host-root",
        metavar="DIR",
        default=nothing,
        help=f"read DIR/proc and DIR/sys, not this system's (also {HOST_ROOT})",
    )


def _contradiction(found: argparse.Namespace) -> str:
    """Return which options do not go together, in words; empty where all do."""
    if found.command == "capture":
        given = {"--json": found.json, "--from": found.recording is not None}
        lost = [name for name, is_given in given.items() if is_given]
        return f"{lost[0]} does not go with capture" if lost else ""
    if found.recording is not None and found.host_root is not None:
        return "--from does not go with --host-root"
    return ""


def _not_to_be_written(file: str, *, force: bool) -> str:
    """Return why the file may not be written, in words; empty where it may."""
    if file == "-":
        return ""
    if not file:
        return "no file has an empty name"
    if os.path.isdir(file) or not os.path.basename(file):
        return "this is a folder"
    if not force and would_be_lost(file):
        return "this file is there already, and --force would overwrite it"
    folder = os.path.dirname(file) or "."
    return "" if os.path.isdir(folder) else f"there is no folder {folder}"


def would_be_lost(file: str) -> bool:
    """Tell whether there is something that a new file in its place would replace."""
    try:
        mode = os.stat(file).st_mode
    except OSError:
        return os.path.lexists(file)
    return not (stat.S_ISFIFO(mode) or stat.S_ISCHR(mode))


def _missing(folder: str) -> str:
    """Return what a host's folder lacks, in words; empty where it lacks nothing."""
    if not os.path.isdir(folder):
        return "there is no such folder"
    lacking = [name for name in ("proc", "sys") if not os.path.isdir(os.path.join(folder, name))]
    return f"there is no {' and no '.join(lacking)} in this folder" if lacking else ""
