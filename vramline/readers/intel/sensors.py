"""A card's sensors. Only discrete cards have them, and reading one wakes the card.

https://www.kernel.org/doc/Documentation/ABI/testing/sysfs-driver-intel-xe-hwmon and
https://www.kernel.org/doc/Documentation/ABI/testing/sysfs-driver-intel-i915-hwmon
"""

from collections.abc import Callable

from vramline.machine import Machine
from vramline.readers.drm import Card
from vramline.readers.hwmon import MOST_WATTS, Hwmon
from vramline.readers.rates import Rate
from vramline.readings import Cause

FASTEST_FAN = 100_000


class Sensors:
    """The sensors of one card, found anew where the driver has registered others since."""

    def __init__(self, machine: Machine, card: Card, explain: Callable[[OSError], Cause]) -> None:
        self._machine = machine
        self._card = card
        self._explain = explain
        self._registered: list[str] | None = None
        self._hwmon: Hwmon
        self._energy: dict[str, Rate] = {}
        self.find()

    def find(self) -> bool:
        """Look which sensors there are now. Tells whether there are any, and wakes nothing."""
        try:
            registered = self._machine.list(f"{self._card.device}/hwmon")
        except OSError:
            registered = []
        if registered != self._registered:
            self._registered = registered
            # By name, as i915 registers others for the energy of each GT.
            name = self._card.driver
            self._hwmon = Hwmon(self._machine, self._card.device, name=name, explain=self._explain)
            self._energy = {}
        return any(self._hwmon.sensors(kind) for kind in ("energy", "power", "temp"))

    def figures(self) -> dict[str, object]:
        """Return the fields that come from sensors. A figure that is not known is its cause."""
        return {
            "temperature_celsius": self._hwmon.celsius(self._chip()),
            "power_watts": self._power(),
            "power_limit_watts": self._limit(),
            "fan_percent": self._fan(),
        }

    def forget(self) -> None:
        """Begin anew after a sleep, over which a mean would say nothing."""
        for rate in self._energy.values():
            rate.forget()

    def _chip(self) -> str | None:
        """Return the GPU's own thermometer: i915's only one; xe has those of the memory too."""
        if self._card.driver == "i915":
            return "temp1"
        return self._hwmon.labelled("temp", "pkg")

    def _power(self) -> float | Cause:
        """Return the mean since the look before. Neither driver tells the power itself."""
        sensor = self._hwmon.labelled("energy", "card", "pkg", "")
        if sensor is None:
            return Cause.NOT_SUPPORTED
        rate = self._energy.setdefault(sensor, Rate(self._machine.clock))
        millionths = rate.of(self._hwmon.number(f"{sensor}_input"))
        if isinstance(millionths, Cause):
            return millionths
        watts = millionths / 1_000_000
        return watts if watts <= MOST_WATTS else Cause.GARBLED

    def _limit(self) -> float | Cause:
        """Return the lasting limit, else the one for bursts; for the card, else for the chip.

        Zero is a limit that is switched off.
        """
        labels = self._hwmon.sensors("power")
        sensors = [
            each for label in ("card", "pkg", "") for each in labels if labels[each] == label
        ]
        for attribute in (f"{sensor}_{kind}" for sensor in sensors for kind in ("max", "cap")):
            watts = self._hwmon.watts(attribute)
            if watts not in (0.0, Cause.NOT_SUPPORTED):
                return watts
        return Cause.NOT_SUPPORTED

    def _fan(self) -> float | Cause:
        """Return the first fan's speed. A card may list fans that it has not, which stand at 0."""
        most = self._hwmon.number("fan1_max", most=FASTEST_FAN)
        if isinstance(most, Cause):
            return most
        speed = self._hwmon.number("fan1_input", most=FASTEST_FAN)
        if isinstance(speed, Cause):
            return speed
        return min(100.0 * speed / most, 100.0) if most else Cause.NOT_SUPPORTED
