"""A device's sensors, as Linux shows them: found by their labels, whatever their numbers.

https://docs.kernel.org/hwmon/sysfs-interface.html
"""

import re
from collections.abc import Callable, Iterable, Mapping

from vramline.machine import Machine
from vramline.machine.files import names_in, read
from vramline.readers.causes import LARGEST_COUNT, cause_of, read_number
from vramline.readings import Cause

COLDEST, HOTTEST = -100_000, 300_000
"""In thousandths of a degree Celsius: no sensor in a computer is beyond these."""
MOST_WATTS = 100_000

_SENSOR = re.compile(r"(?P<sensor>(?P<kind>[a-z]+)[0-9]+)_(?P<attribute>[a-z_]+)")


class Hwmon:
    """The sensors of one device, found when this is made. Later each file is read when asked for.

    Finding them reads names and labels, which wakes no device.

    Args:
        device: The device's folder in sysfs.
        name: The sensors' driver, where the device has those of several.
        explain: What an error of this driver means.
    """

    def __init__(
        self,
        machine: Machine,
        device: str,
        *,
        name: str | None = None,
        explain: Callable[[OSError], Cause] = cause_of,
    ) -> None:
        self._machine = machine
        self._explain = explain
        self._folder, self._attributes = _find(machine, device, name)
        self._sensors = _by_kind(machine, self._folder, self._attributes)

    def sensors(self, kind: str) -> Mapping[str, str]:
        """Return the label of each sensor of a *kind* such as ``temp``; empty where it has none."""
        return self._sensors.get(kind, {})

    def labelled(self, kind: str, *labels: str) -> str | None:
        """Return the sensor of that kind with the first of *labels* that there is."""
        by_label = {label: sensor for sensor, label in self.sensors(kind).items()}
        return next((by_label[label] for label in labels if label in by_label), None)

    def has(self, attribute: str) -> bool:
        """Tell whether there is a file of that name, such as ``power1_average``."""
        return attribute in self._attributes

    def number(self, attribute: str, *, most: int = LARGEST_COUNT) -> int | Cause:
        """Return what is in the file, in hwmon's own unit."""
        if not self.has(attribute):
            return Cause.NOT_SUPPORTED
        path = f"{self._folder}/{attribute}"
        return read_number(self._machine, path, most=most, explain=self._explain)

    def celsius(self, sensor: str | None) -> float | Cause:
        """Return the temperature at a sensor such as ``temp1``."""
        if sensor is None or not self.has(f"{sensor}_input"):
            return Cause.NOT_SUPPORTED
        path = f"{self._folder}/{sensor}_input"
        thousandths = read_number(
            self._machine, path, least=COLDEST, most=HOTTEST, explain=self._explain
        )
        return thousandths if isinstance(thousandths, Cause) else thousandths / 1000

    def watts(self, attribute: str) -> float | Cause:
        """Return the power in a file such as ``power1_average``."""
        millionths = self.number(attribute, most=MOST_WATTS * 1_000_000)
        return millionths if isinstance(millionths, Cause) else millionths / 1_000_000


def _find(machine: Machine, device: str, name: str | None) -> tuple[str, frozenset[str]]:
    for each in names_in(machine, f"{device}/hwmon"):
        folder = f"{device}/hwmon/{each}"
        if name is None or _word(machine, f"{folder}/name") == name:
            return folder, frozenset(names_in(machine, folder))
    return f"{device}/hwmon/none", frozenset()


def _by_kind(
    machine: Machine, folder: str, attributes: Iterable[str]
) -> Mapping[str, Mapping[str, str]]:
    by_kind: dict[str, dict[str, str]] = {}
    for found in filter(None, map(_SENSOR.fullmatch, sorted(attributes))):
        labels = by_kind.setdefault(found["kind"], {})
        if found["attribute"] == "label":
            labels[found["sensor"]] = _word(machine, f"{folder}/{found[0]}")
        else:
            labels.setdefault(found["sensor"], "")
    return by_kind


def _word(machine: Machine, path: str) -> str:
    return read(machine, path).strip("\0 \n")
