"""How busy, hot, fast and loud one AMD card is: hwmon first, then the driver's other files.

https://docs.kernel.org/gpu/amdgpu/thermal.html
"""

import errno
import re
from typing import Any

from vramline.machine import Machine
from vramline.readers.amd.files import Files, explain, first
from vramline.readers.amd.metrics import LARGEST_FILE, Metrics, nothing, parse
from vramline.readers.drm import Card
from vramline.readers.hwmon import Hwmon
from vramline.readers.rates import Rate
from vramline.readings import Cause

Figures = dict[str, Any]

FASTEST_MHZ = 100_000
HERTZ_PER_MHZ = 1_000_000
FULL_PWM = 255
"""The top of hwmon's scale, where the card does not name its own."""

APU_VOLTAGE = "vddnb"
"""The driver shows this voltage of an APU only (``hwmon_attributes_visible`` in
https://github.com/torvalds/linux/blob/master/drivers/gpu/drm/amd/pm/amdgpu_pm.c)."""


class Sensors:
    """The figures of one card that its firmware measures.

    To be made and asked only while the card is awake: before Linux 7 reading
    any of them wakes it.

    Attributes:
        is_apu: ``None`` until it is known.
        bandwidth: The memory's at its peak, in bytes per second, where
            ``gpu_metrics`` has told it.
    """

    def __init__(self, machine: Machine, card: Card, files: Files) -> None:
        self._machine = machine
        self._card = card
        self._files = files
        self._hwmon: Hwmon | None = None
        self._residencies: dict[str, Rate] = {}
        self.is_apu: bool | None = None
        self.bandwidth: int | Cause = Cause.NOT_SUPPORTED

    def figures(self) -> Figures:
        """Return what can be known now. ``gpu_metrics`` is read once."""
        hwmon = self._find_hwmon()
        metrics = self._read_metrics()
        if self.is_apu is None:
            self.is_apu = _is_apu(hwmon, metrics)
        self._learn_bandwidth(metrics)
        files = self._files
        return {
            "utilization_percent": first(
                lambda: _float(files.number("gpu_busy_percent", most=100)),
                lambda: metrics.utilization_percent,
            ),
            "memory_utilization_percent": first(
                lambda: _float(files.number("mem_busy_percent", most=100)),
                lambda: metrics.memory_utilization_percent,
            ),
            "temperature_celsius": first(
                lambda: hwmon.celsius(_thermometer(hwmon)), lambda: metrics.temperature_celsius
            ),
            # On an APU these include the CPU's.
            "power_watts": first(
                lambda: hwmon.watts("power1_average"),
                lambda: hwmon.watts("power1_input"),
                lambda: metrics.power_watts,
            ),
            "power_limit_watts": _limit(hwmon.watts("power1_cap")),
            "clock_mhz": first(
                lambda: _mhz(hwmon, "sclk"),
                lambda: self._level("pp_dpm_sclk"),
                lambda: metrics.clock_mhz,
            ),
            "memory_clock_mhz": first(
                lambda: _mhz(hwmon, "mclk"),
                lambda: self._level("pp_dpm_mclk"),
                lambda: metrics.memory_clock_mhz,
            ),
            "fan_percent": first(
                lambda: _pwm(hwmon),
                lambda: _speed(hwmon, hwmon.number("fan1_input")),
                lambda: _speed(hwmon, metrics.fan_rpm),
            ),
            "throttle": self._throttle(metrics),
        }

    def forget(self) -> None:
        """Begin what needs two looks anew, as after a sleep."""
        self._residencies.clear()

    def _find_hwmon(self) -> Hwmon:
        """Return the sensors, found anew when their files are gone: a reload renames the folder."""
        if self._hwmon is None or not self._hwmon.has("name"):
            self._hwmon = Hwmon(
                self._machine, self._card.device, name="amdgpu", explain=self._explain
            )
        return self._hwmon

    def _explain(self, error: OSError) -> Cause:
        if error.errno == errno.ENOENT:  # it was in the folder
            self._hwmon = None
        return explain(error)

    def _read_metrics(self) -> Metrics:
        content = self._files.content("gpu_metrics")
        return nothing(content) if isinstance(content, Cause) else parse(content[:LARGEST_FILE])

    def _learn_bandwidth(self, metrics: Metrics) -> None:
        told = metrics.memory_bandwidth_gigabytes_per_second
        if not isinstance(told, Cause) and told > 0:
            self.bandwidth = int(told * 1_000_000_000)

    def _level(self, name: str) -> float | Cause:
        """Return the clock of the level that is marked as the current one, if one is."""
        text = self._files.text(name)
        if isinstance(text, Cause):
            return text
        levels = re.findall(r"^[0-9]{1,3}: ([0-9]{1,6})Mhz *(\*?)$", text, re.MULTILINE | re.I)
        if not levels and text.strip():
            return Cause.GARBLED
        marked = [float(clock) for clock, mark in levels if mark]
        return marked[0] if marked else Cause.NOT_SUPPORTED

    def _throttle(self, metrics: Metrics) -> tuple[str, ...] | Cause:
        """Return why the clocks are held down.

        A chip that tells it by counters adds to them while it is held down
        (``ThrottleResidency_*`` in smu14_driver_if_v14_0_0.h), so what has grown
        since the look before is a reason now.
        """
        if not metrics.residencies:
            return metrics.throttle
        rates = {
            reason: self._residencies.setdefault(reason, Rate(self._machine.clock)).of(count)
            for reason, count in metrics.residencies.items()
        }
        causes = [rate for rate in rates.values() if isinstance(rate, Cause)]
        if causes:
            return causes[0]
        return tuple(
            reason for reason, rate in rates.items() if not isinstance(rate, Cause) and rate > 0
        )


def _is_apu(hwmon: Hwmon, metrics: Metrics) -> bool | None:
    if hwmon.labelled("in", APU_VOLTAGE) is not None:
        return True
    # Where hwmon is not to be seen, nothing is known until the metrics tell it.
    return metrics.is_apu if metrics.is_apu is not None or not hwmon.has("name") else False


def _thermometer(hwmon: Hwmon) -> str | None:
    """Return the sensor that is meant by the GPU's temperature.

    That is the edge's: the driver itself calls it so (``AMDGPU_PP_SENSOR_GPU_TEMP``
    in kgd_pp_interface.h), and it is what compares with other vendors' figures.
    The hottest spot, ``junction``, runs some 10 to 30 degrees above it, up to a
    limit of its own; MI300 has no other. The oldest have no labels.
    """
    labelled = hwmon.labelled("temp", "edge", "junction")
    return labelled or next(iter(hwmon.sensors("temp")), None)


def _limit(watts: float | Cause) -> float | Cause:
    return Cause.NOT_SUPPORTED if watts == 0 else watts  # no card is limited to nothing


def _mhz(hwmon: Hwmon, label: str) -> float | Cause:
    sensor = hwmon.labelled("freq", label)
    if sensor is None:
        return Cause.NOT_SUPPORTED
    hertz = hwmon.number(f"{sensor}_input", most=FASTEST_MHZ * HERTZ_PER_MHZ)
    return hertz if isinstance(hertz, Cause) else hertz / HERTZ_PER_MHZ


def _pwm(hwmon: Hwmon) -> float | Cause:
    full = hwmon.number("pwm1_max", most=2**16)
    full = FULL_PWM if isinstance(full, Cause) or full == 0 else full
    pwm = hwmon.number("pwm1", most=full)
    return pwm if isinstance(pwm, Cause) else 100.0 * pwm / full


def _speed(hwmon: Hwmon, rpm: float | Cause) -> float | Cause:
    full = hwmon.number("fan1_max", most=FASTEST_MHZ)
    if isinstance(rpm, Cause) or isinstance(full, Cause):
        return rpm if isinstance(rpm, Cause) else full
    # It runs a little faster than that at times.
    return min(100.0 * rpm / full, 100.0) if full else Cause.NOT_SUPPORTED


def _float(number: int | Cause) -> float | Cause:
    return number if isinstance(number, Cause) else float(number)
