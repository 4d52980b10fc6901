"""The files of one amdgpu card, and what the driver's errors mean.

https://docs.kernel.org/gpu/amdgpu/driver-misc.html
https://docs.kernel.org/gpu/amdgpu/thermal.html
"""

import errno
from collections.abc import Callable

from vramline.machine import Machine
from vramline.readers.causes import LARGEST_COUNT, cause_of, read_number, read_text
from vramline.readers.drm import Card
from vramline.readings import Cause

MEANINGS = {
    errno.EBUSY: Cause.ASLEEP,
    errno.EPERM: Cause.ASLEEP,
    errno.ENODEV: Cause.LOST,
    errno.ENXIO: Cause.LOST,
    errno.EINVAL: Cause.NOT_SUPPORTED,
    errno.ENODATA: Cause.NOT_SUPPORTED,
}
"""What amdgpu means by an error. Of a card that is suspended, or in a reset, it refuses to tell
the sensors' figures: by EBUSY, or by EPERM, which is not the EACCES of a user without the right
(``amdgpu_pm_get_access_if_active``; https://github.com/nicolargo/glances/issues/3590)."""


def explain(error: OSError) -> Cause:
    """Return what an error of the driver means for the value in the file."""
    return MEANINGS.get(error.errno or 0) or cause_of(error)


class Files:
    """The files of one card."""

    def __init__(self, machine: Machine, card: Card) -> None:
        self._machine = machine
        self._folder = card.device

    def number(self, name: str, *, least: int = 0, most: int = LARGEST_COUNT) -> int | Cause:
        """Return the whole number in the file of that name, or why there is none."""
        path = f"{self._folder}/{name}"
        return read_number(self._machine, path, least=least, most=most, explain=explain)

    def text(self, name: str) -> str | Cause:
        """Return what is in the file of that name."""
        return read_text(self._machine, f"{self._folder}/{name}", explain=explain)

    def content(self, name: str) -> bytes | Cause:
        """Return what is in a file that is not text."""
        try:
            return self._machine.read_bytes(f"{self._folder}/{name}")
        except OSError as error:
            return explain(error)

    def are_gone(self) -> bool:
        """Tell whether the device itself has left the system. Asks the system, not the driver."""
        try:
            self._machine.read(f"{self._folder}/uevent")
        except OSError:
            return True
        return False


def first(*ways: Callable[[], float | Cause]) -> float | Cause:
    """Return what the first of the ways tells that knows it.

    Of a card that turns out to sleep nothing more is asked. Where no way
    knows, a cause that may pass goes before one that will not.
    """
    cause = Cause.NOT_SUPPORTED
    for way in ways:
        value = way()
        if type(value) is not Cause or value is Cause.ASLEEP:
            return value
        cause = value if cause is Cause.NOT_SUPPORTED else cause
    return cause
