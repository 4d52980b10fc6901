"""The INA3221 sensors of a Tegra board's power rails, and which rail is the GPU's."""

import re
from dataclasses import dataclass

from vramline.machine import Machine
from vramline.machine.files import names_in, read

SENSORS = "/sys/bus/i2c/drivers"

GPU_RAILS = ("VDD_GPU", "GPU", "VDD_SYS_GPU", "POM_5V_GPU", "VDD_GPU_SOC")
"""The rails of the GPU: of Thor, AGX Xavier, TX2, Nano, and AGX Orin.

The last one is shared: it feeds the memory controller and the video engines too, but
no processor core. ``VDD_CPU_GPU_CV`` of Xavier NX, Orin NX and Orin Nano does feed
these, and would show an idle GPU at work: there the power is not known.
https://docs.nvidia.com/jetson/archives/r36.4.3/DeveloperGuide/SD/PlatformPowerAndPerformance/JetsonOrinNanoSeriesJetsonOrinNxSeriesAndJetsonAgxOrinSeries.html#software-based-power-consumption-modeling
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rail:
    """The files whose product, divided, is the power of a rail in watts."""

    factors: tuple[str, ...]
    divisor: int


def find_rail(machine: Machine) -> Rail | None:
    """Return the GPU's rail, ``None`` where none is its own."""
    found = {**_rails_of_jetpack_4(machine), **_rails(machine)}
    return next((found[label] for label in GPU_RAILS if label in found), None)


def _rails(machine: Machine) -> dict[str, Rail]:
    """Return the rails by label, as Linux's own driver ina3221 has them: in mV and mA.

    https://docs.kernel.org/hwmon/ina3221.html
    """
    return {
        read(machine, f"{folder}/in{number}_label"): Rail(
            factors=(f"{folder}/in{number}_input", f"{folder}/curr{number}_input"),
            divisor=1_000_000,
        )
        for folder in _folders(machine, "ina3221", "hwmon/", "hwmon")
        for number in _numbers(machine, folder, r"curr(\d)_input")
    }


def _rails_of_jetpack_4(machine: Machine) -> dict[str, Rail]:
    """Return the same as NVIDIA's own driver of that time has it: in mW.

    https://github.com/rbonghi/jetson_stats/issues/131
    """
    return {
        read(machine, f"{folder}/rail_name_{number}"): Rail(
            factors=(f"{folder}/in_power{number}_input",), divisor=1000
        )
        for folder in _folders(machine, "ina3221x", "", "iio:device")
        for number in _numbers(machine, folder, r"rail_name_(\d)")
    }


def _folders(machine: Machine, driver: str, below: str, start: str) -> list[str]:
    """Return the folders with the readings of each of the driver's chips."""
    names = names_in(machine, f"{SENSORS}/{driver}")
    chips = [
        f"{SENSORS}/{driver}/{name}/{below}"
        for name in names
        if re.fullmatch(r"[0-9]+-[0-9a-f]{4}", name)
    ]
    return [
        f"{chip}{name}"
        for chip in chips
        for name in names_in(machine, chip.rstrip("/"))
        if name.startswith(start)
    ]


def _numbers(machine: Machine, folder: str, pattern: str) -> list[str]:
    found = (re.fullmatch(pattern, name, re.ASCII) for name in names_in(machine, folder))
    return [each[1] for each in found if each]
