"""A Tegra system, and what its files tell of its GPU."""

import errno
import math
import re
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass

from vramline.machine import Machine
from vramline.machine.files import names_in, read
from vramline.readers.causes import all_known, cause_of, read_number
from vramline.readers.hwmon import COLDEST, HOTTEST, MOST_WATTS
from vramline.readers.pci import is_suspended
from vramline.readers.tegra.rails import find_rail
from vramline.readings import Cause

DEVFREQ = "/sys/class/devfreq"
THERMAL = "/sys/class/thermal"
MODEL = "/proc/device-tree/model"
COMPATIBLE = "/proc/device-tree/compatible"
RELEASE = "/etc/nv_tegra_release"

NODES = frozenset({"gpu", "gp10b", "gv11b", "ga10b", "gb10b"})
"""What the device tree calls the GPU."""
THOR = "gpu-gpc-0"

MOST_HERTZ = 100_000_000_000
OFF_CELSIUS = -256
"""What the zone of a GPU that is off says on JetPack 5
(https://github.com/rbonghi/jetson_stats/issues/350). On Thor reading it gives EAGAIN
(https://github.com/swsususu/ThorFAN)."""
SENSOR_OFFSET_WATTS = 1.0
"""By that much an INA3221 may be below zero where no current flows, as on an idle Thor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """What a GPU is part of, and what CUDA calls it: https://developer.nvidia.com/cuda-gpus."""

    system: str
    compute_capability: str


CHIPS = {
    "gm20b": Chip(system="Tegra X1", compute_capability="5.3"),
    "gp10b": Chip(system="Tegra X2", compute_capability="6.2"),
    "gv11b": Chip(system="Xavier", compute_capability="7.2"),
    "ga10b": Chip(system="Orin", compute_capability="8.7"),
    "gb10b": Chip(system="Thor", compute_capability="11.0"),
    THOR: Chip(system="Thor", compute_capability="11.0"),
}

OLD_MODELS = {
    "Jetson-AGX": "NVIDIA Jetson AGX Xavier",
    "quill": "NVIDIA Jetson TX2",
    "jetson_tx1": "NVIDIA Jetson TX1",
}
"""What some boards were called up to JetPack 4."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """The GPU in devfreq."""

    folder: str
    chip: Chip | None


class Board:
    """A Tegra system, found when this is made. Later each file is read when asked for."""

    def __init__(self, machine: Machine, gpu: Gpu) -> None:
        self._machine = machine
        self._gpu = gpu
        self._zone = _find_zone(machine)
        self._rail = find_rail(machine)
        self._gauges: Mapping[str, Callable[[], float | Cause]] = {
            "utilization_percent": self._utilization,
            "clock_mhz": self._clock,
            "temperature_celsius": self._temperature,
            "power_watts": self._power,
        }

    def is_asleep(self) -> bool:
        """Tell whether the GPU is without power. Reading that wakes nothing."""
        return is_suspended(self._machine, f"{self._gpu.folder}/device")

    def is_there(self) -> bool:
        """Tell whether the GPU's driver is still loaded."""
        return bool(names_in(self._machine, self._gpu.folder))

    def identity(self) -> dict[str, str | Cause]:
        """Return what does not change. A figure that is not known is its cause."""
        chip = self._gpu.chip
        return {
            "name": _name(self._machine, chip) or Cause.NOT_SUPPORTED,
            "driver_version": _driver_version(self._machine) or Cause.NOT_SUPPORTED,
            "compute_capability": chip.compute_capability if chip else Cause.NOT_SUPPORTED,
        }

    def figures(self, fields: Container[str] | None = None) -> dict[str, float | Cause]:
        """Return what the board's files tell now, of these fields or of all."""
        wanted = [field for field in self._gauges if fields is None or field in fields]
        return {field: self._gauges[field]() for field in wanted}

    def _utilization(self) -> float | Cause:
        thousandths = self._number(f"{self._gpu.folder}/device/load", most=1000)
        return thousandths if isinstance(thousandths, Cause) else thousandths / 10

    def _clock(self) -> float | Cause:
        hertz = self._number(f"{self._gpu.folder}/cur_freq", most=MOST_HERTZ)
        return hertz if isinstance(hertz, Cause) else hertz / 1_000_000

    def _temperature(self) -> float | Cause:
        if self._zone is None:
            return Cause.NOT_SUPPORTED
        thousandths = self._number(self._zone, least=OFF_CELSIUS * 1000, most=HOTTEST)
        if isinstance(thousandths, Cause):
            return thousandths
        if thousandths == OFF_CELSIUS * 1000:
            return Cause.ASLEEP
        return thousandths / 1000 if thousandths >= COLDEST else Cause.GARBLED

    def _power(self) -> float | Cause:
        if self._rail is None:
            return Cause.NOT_SUPPORTED
        most = MOST_WATTS * 1_000_000
        factors = all_known(
            self._number(path, least=-most, most=most) for path in self._rail.factors
        )
        if isinstance(factors, Cause):
            return factors
        watts = math.prod(factors) / self._rail.divisor
        return max(watts, 0.0) if -SENSOR_OFFSET_WATTS <= watts <= MOST_WATTS else Cause.GARBLED

    def _number(self, path: str, *, least: int = 0, most: int) -> int | Cause:
        return read_number(self._machine, path, least=least, most=most, explain=_explain)


def find_board(machine: Machine) -> Board | None:
    """Return the Tegra system that *machine* is, or ``None``.

    That its GPU is not found yet may change: devfreq comes late when the system starts
    (https://github.com/rbonghi/jetson_stats/pull/889).
    """
    if machine.platform != "linux":
        return None
    gpus = (_gpu(machine, name) for name in names_in(machine, DEVFREQ))
    found = next((gpu for gpu in gpus if gpu is not None), None)
    return None if found is None else Board(machine, found)


def is_tegra(machine: Machine) -> bool:
    """Tell whether this is a Tegra system, by its release, its model or its chip.

    In a container the device tree is hidden, and the release is there only where it
    was passed (https://github.com/dusty-nv/jetson-containers/blob/master/run.sh).
    """
    return machine.platform == "linux" and (
        bool(read(machine, RELEASE))
        or "jetson" in _model(machine).casefold()
        or "nvidia,tegra" in read(machine, COMPATIBLE)
    )


def _gpu(machine: Machine, name: str) -> Gpu | None:
    folder = f"{DEVFREQ}/{name}"
    if name == THOR:
        return Gpu(folder=folder, chip=CHIPS[THOR]) if is_tegra(machine) else None
    # The device tree itself is hidden in containers, what uevent says of it is not.
    uevent = read(machine, f"{folder}/device/uevent")
    told = re.search(r"^OF_NAME=(.+)$", uevent, re.MULTILINE)
    node = _plain(read(machine, f"{folder}/device/of_node/name")) or (told[1] if told else "")
    node = node or name.rpartition(".")[2]
    if node not in NODES:
        return None
    made_by = re.findall(r"^OF_COMPATIBLE_\d+=nvidia,(.+)$", uevent, re.MULTILINE)
    if not made_by and not is_tegra(machine):
        return None  # other makers' chips have a node called gpu
    chips = (chip for part in (*made_by, node) for key, chip in CHIPS.items() if key in part)
    return Gpu(folder=folder, chip=next(chips, None))


def _find_zone(machine: Machine) -> str | None:
    # Of the other zones only the type is read: the temperatures of engines that a
    # module lacks can take for ever (https://github.com/prometheus/node_exporter/issues/3071).
    for name in names_in(machine, THERMAL):
        kind = read(machine, f"{THERMAL}/{name}/type").casefold()
        if name.startswith("thermal_zone") and kind.startswith("gpu-therm"):
            return f"{THERMAL}/{name}/temp"
    return None


def _name(machine: Machine, chip: Chip | None) -> str | None:
    model = _model(machine)
    if model in OLD_MODELS:
        return OLD_MODELS[model]
    sold_as = re.sub(r"(Engineering Reference )?Developer Kit", "", model)
    named = " ".join(sold_as.split())
    return named or (f"NVIDIA {chip.system}" if chip else None)


def _model(machine: Machine) -> str:
    return _plain(read(machine, MODEL))


def _plain(text: str) -> str:
    """Return a string of the device tree, which ends in NUL."""
    return "".join(each for each in text[:100].partition("\0")[0] if each.isprintable())


def _driver_version(machine: Machine) -> str | None:
    """Return the release of Jetson Linux (L4T), with which the driver comes."""
    release = re.match(
        r"# R(\d{1,3}) \(release\), REVISION: (\d[\d.]{0,9})", read(machine, RELEASE), re.ASCII
    )
    if release:
        return f"L4T {release[1]}.{release[2]}"
    return _plain(read(machine, "/sys/module/nvgpu/version")) or None


def _explain(error: OSError) -> Cause:
    return Cause.ASLEEP if error.errno == errno.EAGAIN else cause_of(error)
