"""Files and folders of programs, with paths as the machine's own system writes them."""

import ntpath
import posixpath
from collections.abc import Iterator
from types import ModuleType

from vramline.machine import Machine
from vramline.machine.files import names_in

MOST_LINKS = 40
"""In one path, as on Linux: https://man7.org/linux/man-pages/man7/path_resolution.7.html"""


def paths_of(machine: Machine) -> ModuleType:
    """Return the module that takes that machine's paths apart."""
    return ntpath if machine.platform == "win32" else posixpath


def joined(machine: Machine, folder: str, *names: str) -> str:
    """Return the path of what lies in *folder*, without ``..`` in it."""
    paths = paths_of(machine)
    path: str = paths.normpath(paths.join(folder, *names))
    return path


def parent(machine: Machine, path: str) -> str:
    """Return the folder in which *path* lies."""
    folder: str = paths_of(machine).dirname(path)
    return folder


def base_name(path: str) -> str:
    """Return the last name of a path of any system."""
    return path.replace("\\", "/").rpartition("/")[2]


def is_there(machine: Machine, path: str) -> bool:
    """Tell whether there is a file or folder of that path."""
    return paths_of(machine).basename(path) in names_in(machine, parent(machine, path))


def real_path(machine: Machine, path: str) -> str:
    """Return where a program's links lead; a loop ends somewhere in it."""
    for _ in range(MOST_LINKS):
        try:
            target = machine.readlink(path)
        except (OSError, ValueError):
            return path
        path = joined(machine, parent(machine, path), target)
    return path


def home(machine: Machine) -> str:
    """Return the user's own folder, empty where the environment does not name it."""
    name = "USERPROFILE" if machine.platform == "win32" else "HOME"
    return machine.environ.get(name, "")


def found_programs(machine: Machine, name: str, elsewhere: tuple[str, ...] = ()) -> Iterator[str]:
    """Return the path of a program, on ``PATH`` or else at a place where installers put it."""
    try:
        yield machine.which(name)
    except OSError:
        yield from (path for path in elsewhere if is_there(machine, path))
