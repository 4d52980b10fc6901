from typing import Any

import pytest

from tests.readers.intel.machines import Stage, machine, read
from vramline.readers.intel import open_reader
from vramline.readings import Cause, GpuReading

B580 = "/sys/class/drm/card1/device/hwmon/hwmon2"
A380 = "/sys/class/drm/card1/device/hwmon/hwmon1"


def told(name: str, field: str, changes: dict[str, Any]) -> Any:
    gpu = read(machine(name, changes))
    return gpu.unknown.get(field, getattr(gpu, field))


def second_look(stage: Stage, changes: dict[str, Any], *, after: float = 1.0) -> GpuReading:
    reader = open_reader(stage.machine)
    (device,) = reader.devices()
    reader.read(device)
    stage.change(changes, after=after)
    (gpu,) = reader.read(device)
    return gpu


# Temperature.


def test_the_memorys_temperature_is_not_the_gpus() -> None:
    changes = {f"{B580}/temp2_label": None, f"{B580}/temp2_input": None}

    assert told("b580", "temperature_celsius", changes) == Cause.NOT_SUPPORTED


def test_i915_has_one_thermometer_without_a_label() -> None:
    assert told("a380_i915", "temperature_celsius", {f"{A380}/temp1_input": "41000\n"}) == 41.0


def test_an_i915_before_it_had_one_has_no_temperature() -> None:
    changes = {f"{A380}/temp1_input": None}

    assert told("a380_i915", "temperature_celsius", changes) == Cause.NOT_SUPPORTED


# Power.


def test_power_is_that_of_the_card_before_that_of_the_chip() -> None:
    gpu = second_look(
        Stage("b580"),
        {f"{B580}/energy1_input": "11061745544\n", f"{B580}/energy2_input": "19019248107\n"},
    )

    assert gpu.power_watts == 30.0


def test_without_the_cards_counter_the_chips_tells_the_power() -> None:
    stage = Stage("b580", {f"{B580}/energy1_input": None, f"{B580}/energy1_label": None})

    assert second_look(stage, {f"{B580}/energy2_input": "19019248107\n"}).power_watts == 5.0


def test_a_counter_beyond_32_bits_is_no_absurdity() -> None:
    stage = Stage("a380_i915", {f"{A380}/energy1_input": f"{2**40}\n"})

    assert second_look(stage, {f"{A380}/energy1_input": f"{2**40 + 7_000_000}\n"}).power_watts == 7


def test_a_counter_that_leaps_is_garbled() -> None:
    gpu = second_look(Stage("a380_i915"), {f"{A380}/energy1_input": f"{2**62}\n"})

    assert gpu.unknown["power_watts"] == Cause.GARBLED


def test_a_counter_that_went_back_after_a_reload_begins_anew() -> None:
    stage = Stage("a380_i915")
    reader = open_reader(stage.machine)
    (device,) = reader.devices()
    powers = []
    for energy in ("25637161804", "12", "9000012"):
        (gpu,) = reader.read(device)
        stage.change({f"{A380}/energy1_input": f"{energy}\n"})
        powers.append(gpu.power_watts)
    (gpu,) = reader.read(device)

    assert [*powers, gpu.power_watts] == [None, 0.0, 0.0, 9.0]


def test_sensors_under_another_number_are_found_again() -> None:
    stage = Stage("a380_i915")
    moved = {
        f"{A380}/{name}": None
        for name in ("name", "energy1_input", "temp1_input", "fan1_input", "in0_input", "uevent")
    }
    gone = {f"{A380}/{name}": None for name in ("power1_max", "power1_max_interval")}
    rest = {
        f"{A380}/power/{name}": None
        for name in ("control", "runtime_active_time", "runtime_status", "runtime_suspended_time")
    }
    there = A380.replace("hwmon1", "hwmon7")
    files = {f"{there}/name": "i915\n", f"{there}/temp1_input": "44000\n"}

    gpu = second_look(stage, {**moved, **gone, **rest, f"{A380}/power1_rated_max": None, **files})

    assert gpu.temperature_celsius == 44.0


def test_the_counters_of_single_gts_are_not_the_cards() -> None:
    other = A380.replace("hwmon1", "hwmon0")
    stage = Stage("a380_i915", {f"{other}/name": "i915_gt0\n", f"{other}/energy1_input": "1\n"})

    assert second_look(stage, {f"{A380}/energy1_input": "25639161804\n"}).power_watts == 2.0


# The limit.


@pytest.mark.parametrize(
    ("changes", "watts"),
    [
        ({}, 190.0),
        ({"power1_max": "150000000\n"}, 150.0),  # the lasting one, not that for bursts
        ({"power1_max": "0\n"}, 190.0),  # which is off
        ({"power1_cap": "0\n"}, Cause.NOT_SUPPORTED),
        ({"power1_cap": "0\n", "power2_label": "pkg\n", "power2_max": "120000000\n"}, 120.0),
        ({"power1_cap": "999999999999999\n"}, Cause.GARBLED),
        ({"power1_cap": "-1\n"}, Cause.GARBLED),
    ],
)
def test_the_power_limit_is_that_of_the_card(changes: dict[str, str], watts: float | Cause) -> None:
    files = {f"{B580}/{name}": text for name, text in changes.items()}

    assert told("b580", "power_limit_watts", files) == watts


def test_a_rated_power_of_zero_is_no_limit() -> None:
    changes = {f"{A380}/power1_max": None}

    assert told("a380_i915", "power_limit_watts", changes) == Cause.NOT_SUPPORTED


# The fan.


@pytest.mark.parametrize(
    ("changes", "percent"),
    [
        ({"fan1_input": "0\n"}, 0.0),  # it stands still
        ({"fan1_input": "2300\n"}, 100.0),
        ({"fan1_max": "0\n"}, Cause.NOT_SUPPORTED),
        ({"fan1_max": None}, Cause.NOT_SUPPORTED),
        ({"fan1_input": "1000000\n"}, Cause.GARBLED),
        ({"fan1_input": {"errno": "EBUSY"}}, Cause.DRIVER_ERROR),
        ({"fan2_input": "0\n"}, 100 * 1116 / 2160),  # one that the card has not
    ],
)
def test_the_first_fan_is_told_as_a_share_of_its_most(
    changes: dict[str, Any], percent: float | Cause
) -> None:
    files = {f"{B580}/{name}": text for name, text in changes.items()}

    assert told("b580", "fan_percent", files) == percent
