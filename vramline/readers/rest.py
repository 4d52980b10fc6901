"""Leaves alone a device that nobody uses, so that it can fall asleep.

A driver lets its device sleep some seconds after it was last used, and a look is a use.
https://docs.kernel.org/power/runtime_pm.html
"""

from dataclasses import replace

from vramline.machine import Machine
from vramline.machine.files import read
from vramline.readings import Cause, GpuReading


class Rest:
    """Gives the last reading of one device again for as long as it is left alone.

    Args:
        device: The device's folder in sysfs.
        seconds: How long that is: longer than its driver waits.
        in_doubt: Whether it is left alone where the kernel does not tell who holds
            it awake, as only some are built to.
    """

    def __init__(self, machine: Machine, device: str, seconds: float, *, in_doubt: bool) -> None:
        self._machine = machine
        self._power = f"{device}/power"
        self._seconds = seconds
        self._unheld = ("0", "") if in_doubt else ("0",)
        self._last: GpuReading | None = None
        self._began = 0.0

    def begin(self, reading: GpuReading, *, is_idle: bool) -> None:
        """Leave the device alone from now on, where it was *idle* and nothing of it is to come."""
        awaits_more = Cause.FIRST_SAMPLE in reading.unknown.values()
        self._last = reading if is_idle and not awaits_more else None
        self._began = self._machine.clock()

    def end(self) -> None:
        """Have the device read at the next look."""
        self._last = None

    def reading(self) -> GpuReading | None:
        """Return the last reading, with its age; ``None`` where the device is to be read."""
        last, age = self._last, self._machine.clock() - self._began
        if last is None or age >= self._seconds:
            return None
        return replace(last, age_seconds=age) if self._may_sleep() else None

    def _may_sleep(self) -> bool:
        # The kernel's power management counts the holders itself, so that reading it wakes nothing.
        return (
            read(self._machine, f"{self._power}/control") == "auto"
            and read(self._machine, f"{self._power}/runtime_usage") in self._unheld
        )
