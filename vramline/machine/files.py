"""Files and folders that may well not be there, where nothing depends on why.

Of a figure the cause counts: ``vramline.readers.causes`` tells it.
"""

from vramline.machine.protocol import Machine


def read(machine: Machine, path: str) -> str:
    """Return the file's text without the line's end, empty where it cannot be read."""
    try:
        return machine.read(path).strip()
    except (OSError, ValueError):
        return ""


def names_in(machine: Machine, folder: str) -> list[str]:
    """Return the names in a folder, none where it cannot be listed."""
    try:
        return machine.list(folder)
    except (OSError, ValueError):
        return []
