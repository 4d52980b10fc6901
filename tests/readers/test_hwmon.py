from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from vramline.machine import RecordedMachine
from vramline.readers.hwmon import Hwmon
from vramline.readings import Cause

DEVICE = "/sys/class/drm/card0/device"
SENSORS = {
    "name": "xe\n",
    "temp2_label": "pkg\n",
    "temp2_input": "47000\n",
    "temp3_label": "vram\n",
    "temp3_input": "-5500\n",
    "power1_label": "card\0\0\n",
    "power1_cap": "190000000\n",
    "energy1_label": "card\n",
    "energy1_input": "11031745544\n",
}


def machine(sensors: dict[str, Any], number: int = 3) -> RecordedMachine:
    files = {f"{DEVICE}/hwmon/hwmon{number}/{name}": text for name, text in sensors.items()}
    return RecordedMachine({f"{DEVICE}/hwmon/hwmon1/name": "i915_gt0\n", **files})


def test_a_sensor_is_found_by_its_label() -> None:
    hwmon = Hwmon(machine(SENSORS), DEVICE, name="xe")

    assert hwmon.labelled("temp", "card", "pkg") == "temp2"
    assert hwmon.labelled("power", "card") == "power1"
    assert hwmon.labelled("temp", "edge") is None
    assert hwmon.sensors("temp") == {"temp2": "pkg", "temp3": "vram"}


def test_figures_come_in_degrees_and_watts() -> None:
    hwmon = Hwmon(machine(SENSORS), DEVICE, name="xe")

    assert hwmon.celsius("temp2") == 47.0
    assert hwmon.celsius("temp3") == -5.5
    assert hwmon.watts("power1_cap") == 190.0
    assert hwmon.number("energy1_input") == 11031745544


def test_a_sensor_that_is_not_there_is_not_supported() -> None:
    hwmon = Hwmon(machine(SENSORS), DEVICE, name="xe")
    none = Hwmon(RecordedMachine({}), DEVICE)

    assert hwmon.celsius(None) is Cause.NOT_SUPPORTED
    assert hwmon.watts("power1_average") is Cause.NOT_SUPPORTED
    assert none.celsius("temp1") is Cause.NOT_SUPPORTED
    assert none.sensors("temp") == {}


def test_what_a_driver_means_by_an_error_is_its_own() -> None:
    busy = machine({"name": "xe\n", "temp2_input": {"errno": "EBUSY"}})

    assert Hwmon(busy, DEVICE, name="xe").celsius("temp2") is Cause.DRIVER_ERROR
    hwmon = Hwmon(busy, DEVICE, name="xe", explain=lambda _: Cause.ASLEEP)
    assert hwmon.celsius("temp2") is Cause.ASLEEP


@given(st.text())
def test_no_sensor_is_hotter_or_stronger_than_can_be(text: str) -> None:
    hwmon = Hwmon(
        machine({"name": "xe", "temp1_input": text, "power1_cap": text}), DEVICE, name="xe"
    )
    celsius, watts = hwmon.celsius("temp1"), hwmon.watts("power1_cap")

    assert isinstance(celsius, Cause) or -100 <= celsius <= 300
    assert isinstance(watts, Cause) or 0 <= watts <= 100_000
