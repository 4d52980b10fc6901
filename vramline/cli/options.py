"""The options of every command.

By argparse: click is one dependency more, and 8 ms of every start.
"""

import argparse
import os
import stat
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Never

from vramline import __version__
from vramline.cli.output import complain, emit

if TYPE_CHECKING:
    from vramline.cli.fit.options import FitOptions

HOST_ROOT = "VRAMLINE_HOST_ROOT"
WRONG_USE = 2

_DESCRIPTION = "Print what this machine has for AI models, and how much of it is free."
_EXAMPLE = """\
examples:
  vramline                     GPUs and host, with who holds the GPUs' memory
  vramline --json              the same for a program
  vramline fit MODEL -c 32k    whether it fits with a context of 32,768 tokens
  vramline --host-root /host   the host's, from a container that has its /proc
                               at /host/proc and its /sys at /host/sys
"""

_OF_MODELS = {
    "models": (
        "the models on this disk, and which to run",
        "Say which models are on this disk, which of them can be run now, and which to run.",
    ),
    "fit": (
        "whether a model fits, and how to run it",
        "Say whether a model fits what is free now, what it takes, and how to run it.",
    ),
}
"""The commands on models: in short, and at length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the user asked for.

    Attributes:
        recording: The file to be replayed, in the place of this machine. ``-``: standard input.
        capture_to: The file that this machine is to be recorded in. ``-``: standard output.
        force: Whether that file may be overwritten.
        fit: What is asked of models.
    """

    command: str | None
    json: bool
    host_root: str
    recording: str | None = None
    capture_to: str = ""
    force: bool = False
    fit: "FitOptions | None" = None


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Never:
        """Say in one line what is wrong, and where help is."""
        complain(f"{message} (see {self.prog} --help)")
        raise SystemExit(WRONG_USE)


def parse(arguments: Sequence[str] | None, environ: Mapping[str, str] = os.environ) -> Options:
    """Return the options, from the command line and the environment.

    Raises ``SystemExit`` for a wrong one, and after ``--help`` and ``--version``.
    """
    parser = _parser(sys.argv[1:] if arguments is None else arguments)
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
    of_models = _of_models(found)
    return Options(
        # The dispatcher knows no command of that name: see vramline.cli.show.
        command=found.command,
        json=found.json,
        host_root=folder or "",
        recording=found.recording,
        capture_to=found.file if found.command == "capture" else "",
        force=found.command == "capture" and found.force,
        fit=of_models,
    )


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    parser = _Parser(
        prog="vramline",
        usage="vramline [COMMAND] [--json] [--from FILE] [--host-root DIR]",
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
    _add_models(commands, arguments)
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


def _add_models(commands: "argparse._SubParsersAction[_Parser]", arguments: Sequence[str]) -> None:
    """Add the commands on models, with their many options only where one of them is asked for."""
    for name, (short, long) in _OF_MODELS.items():
        command = commands.add_parser(
            name,
            help=short,
            description=f"{long} The exit status is 1 where nothing fits.",
            allow_abbrev=False,
        )
        if name in arguments:
            from vramline.cli.fit import options

            {"models": options.add_models, "fit": options.add_fit}[name](command)
        _add_shared(command)


def _of_models(found: argparse.Namespace) -> "FitOptions | None":
    if found.command not in _OF_MODELS:
        return None
    from vramline.cli.fit.options import contradiction, fit_options

    options = fit_options(found)
    if found.command == "fit" and (wrong := contradiction(options)):
        _Parser(prog="vramline fit").error(wrong)
    return options


def _add_capture(commands: "argparse._SubParsersAction[_Parser]") -> None:
    capture = commands.add_parser(
        "capture",
        help="record this machine in a file, for a bug report",
        description="Record all that is read of this machine, by the doctor, and of programs "
        "that run models with what they have loaded, in FILE, for `vramline --from FILE`. "
        "Serial numbers, UUIDs, addresses, host and user names are masked, and command lines "
        "left out. Look through the file before you send it.",
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
        help=f"read DIR/proc and DIR/sys (also {HOST_ROOT})",
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
