from typing import Any

import pytest

from tests.readers.intel.machines import Stage, client, machine, read, render_node
from vramline.readers.intel import open_reader
from vramline.readings import Cause, GpuReading

XE = "/sys/class/drm/card1/device/tile0/gt0"
I915 = "/sys/class/drm/card1/gt/gt0"
PVC = "/sys/class/drm/card1/device"
B580_NODE = render_node("0000:09:00.0")


def looks(stage: Stage, *changes: dict[str, Any], after: float = 1.0) -> list[GpuReading]:
    reader = open_reader(stage.machine)
    (device,) = reader.devices()
    readings = [*reader.read(device)]
    for change in changes:
        stage.change(change, after=after)
        readings += reader.read(device)
    return readings


def busy(gpu: GpuReading) -> float | Cause | None:
    return gpu.unknown.get("utilization_percent", gpu.utilization_percent)


# Utilisation.


def test_utilisation_is_the_time_that_was_not_idle() -> None:
    counter = f"{XE}/gtidle/idle_residency_ms"

    readings = looks(
        Stage("b580"),
        {counter: "309207\n"},
        {counter: "309207\n"},
        {counter: "310207\n"},
    )

    assert [busy(each) for each in readings] == [Cause.FIRST_SAMPLE, 40.0, 100.0, 0.0]


def test_a_counter_that_is_ahead_of_the_clock_is_fully_idle() -> None:
    (_, gpu) = looks(Stage("b580"), {f"{XE}/gtidle/idle_residency_ms": "309700\n"}, after=1.0)

    assert gpu.utilization_percent == 0.0


def test_a_counter_that_went_back_gives_the_last_answer_again() -> None:
    counter = f"{XE}/gtidle/idle_residency_ms"

    (*_, gpu) = looks(Stage("b580"), {counter: "309207\n"}, {counter: "12\n"})

    assert gpu.utilization_percent == 40.0


def test_video_does_not_count() -> None:
    (_, gpu) = looks(
        Stage("b580"),
        {
            f"{XE}/gtidle/idle_residency_ms": "309607\n",
            f"{XE.replace('gt0', 'gt1')}/gtidle/idle_residency_ms": "312192\n",
        },
    )

    assert gpu.utilization_percent == 0.0


def test_of_several_tiles_the_busiest_counts() -> None:
    idle = [f"{PVC}/tile{tile}/gt{tile}/gtidle/idle_residency_ms" for tile in (0, 1)]
    stage = Stage("ponte_vecchio", dict.fromkeys(idle, "500\n"))

    (_, gpu) = looks(stage, {idle[0]: "1300\n", idle[1]: "600\n"})

    assert gpu.utilization_percent == 90.0


def test_one_that_has_never_idled_is_not_therefore_busy() -> None:
    (_, gpu) = looks(Stage("ponte_vecchio", {"/proc/2/stat": None}), {})

    assert busy(gpu) == Cause.NO_PERMISSION


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1\n", Cause.FIRST_SAMPLE),
        ("f\n", Cause.FIRST_SAMPLE),
        (None, Cause.FIRST_SAMPLE),
        ("0\n", Cause.NO_PERMISSION),  # by the second way, which others' clients spoil
        ("yes\n", Cause.GARBLED),
        ({"errno": "EACCES"}, Cause.NO_PERMISSION),
        ({"errno": "EBUSY"}, Cause.DRIVER_ERROR),
    ],
)
def test_idle_time_says_nothing_where_idling_is_off(text: Any, expected: Cause) -> None:
    changes = {f"{I915}/rc6_enable": text, "/proc/2/stat": None}

    assert busy(read(machine("a380_i915", changes))) == expected


def test_an_older_kernel_has_the_files_beside_the_card() -> None:
    card = "/sys/class/drm/card1"
    counter = f"{card}/power/rc6_residency_ms"
    stage = Stage(
        "uhd620",
        {counter: "1000\n", f"{card}/power/rc6_enable": "1\n", f"{card}/gt_act_freq_mhz": "350\n"},
    )

    (_, gpu) = looks(stage, {counter: "1750\n"})

    assert (gpu.utilization_percent, gpu.clock_mhz) == (25.0, 350.0)
    assert gpu.unknown["throttle"] == Cause.NOT_SUPPORTED


def test_a_sleep_begins_the_rates_anew() -> None:
    status = "/sys/class/drm/card1/device/power/runtime_status"
    counter = f"{XE}/gtidle/idle_residency_ms"

    (_, _, asleep, awake) = looks(
        Stage("b580"),
        {counter: "309207\n"},
        {status: "suspended\n"},
        {status: "active\n"},
    )

    assert busy(asleep) == Cause.ASLEEP
    assert (busy(awake), awake.unknown["power_watts"]) == (Cause.FIRST_SAMPLE,) * 2


# By the clients' own engine time.


def fdinfo(number: int, **figures: int | str) -> str:
    lines = [f"drm-client-id: {number}", "drm-pdev: 0000:09:00.0"]
    return "\n".join([*lines, *(f"drm-{key.replace('_', '-')}: {v}" for key, v in figures.items())])


UNTOLD = {f"{XE}/gtidle/idle_residency_ms": None, **B580_NODE}


def test_without_idle_time_the_clients_cycles_tell() -> None:
    before = client(5, fdinfo(1, cycles_ccs=100, total_cycles_ccs=1000, engine_capacity_ccs=2))
    after = client(5, fdinfo(1, cycles_ccs=1000, total_cycles_ccs=2000, engine_capacity_ccs=2))

    readings = looks(Stage("b580", {**UNTOLD, **before}), after)

    assert [busy(each) for each in readings] == [Cause.FIRST_SAMPLE, 45.0]


def test_without_idle_time_the_clients_nanoseconds_tell() -> None:
    before = {
        **client(5, fdinfo(1, engine_render="1000000000 ns", engine_copy="0 ns")),
        **client(6, fdinfo(2, engine_render="7000000000 ns")),
    }
    after = {
        **client(5, fdinfo(1, engine_render="1400000000 ns", engine_copy="100000000 ns")),
        **client(6, fdinfo(2, engine_render="7200000000 ns")),
    }

    (_, gpu) = looks(Stage("b580", {**UNTOLD, **before}), after, after=2.0)

    assert gpu.utilization_percent == 30.0


def test_a_client_counts_from_the_second_look_at_it() -> None:
    old = client(5, fdinfo(1, engine_render="1000000000 ns"))
    new = client(6, fdinfo(2, engine_render="90000000000 ns"))

    (_, gpu) = looks(Stage("b580", {**UNTOLD, **old}), new, after=2.0)

    assert gpu.utilization_percent == 0.0


def test_a_client_whose_time_goes_back_takes_nothing_from_the_others() -> None:
    def working(first: int, second: int) -> dict[str, Any]:
        return {
            **client(5, fdinfo(1, engine_render=f"{first} ns")),
            **client(6, fdinfo(2, engine_render=f"{second} ns")),
        }

    (_, gpu) = looks(Stage("b580", {**UNTOLD, **working(900, 0)}), working(0, 500_000_000))

    assert gpu.utilization_percent == 50.0


def test_a_sleep_begins_the_clients_time_anew() -> None:
    status = "/sys/class/drm/card1/device/power/runtime_status"
    before = client(5, fdinfo(1, engine_render="0 ns"))
    after = client(5, fdinfo(1, engine_render="500000000 ns"))

    (*_, gpu) = looks(
        Stage("b580", {**UNTOLD, **before}),
        {status: "suspended\n"},
        {status: "active\n", **after},
    )

    assert busy(gpu) == Cause.FIRST_SAMPLE


def test_a_client_that_tells_no_engine_time_leaves_it_unknown() -> None:
    silent = client(5, fdinfo(1, resident_vram0=4096))

    assert busy(read(machine("b580", {**UNTOLD, **silent}))) == Cause.NOT_SUPPORTED


def test_without_any_client_nothing_runs() -> None:
    assert busy(read(machine("b580", UNTOLD))) == 0.0


def test_where_others_clients_are_not_seen_they_tell_nothing() -> None:
    assert busy(read(machine("b580", {**UNTOLD, "/proc/2/stat": None}))) == Cause.NO_PERMISSION


# The clock.


def test_the_clock_of_the_fastest_tile_counts() -> None:
    assert read(machine("ponte_vecchio")).clock_mhz == 1550.0


def test_a_clock_beyond_reason_is_garbled() -> None:
    gpu = read(machine("b580", {f"{XE}/freq0/act_freq": "627200\n"}))

    assert gpu.unknown["clock_mhz"] == Cause.GARBLED


@pytest.mark.parametrize("name", ["b580", "a380_i915"])
def test_what_a_clock_could_be_is_never_read(name: str) -> None:
    stage = Stage(name)

    looks(stage, {})

    assert [path for path in stage.asked if "rpa_freq" in path or "rp0" in path.lower()] == []


# What holds the clocks down.


def held(**reasons: str) -> tuple[str, ...] | Cause | None:
    files = {f"{XE}/freq0/throttle/reason_{name}": f"{flag}\n" for name, flag in reasons.items()}
    gpu = read(machine("b580", {f"{XE}/freq0/throttle/status": "1\n", **files}))
    return gpu.unknown.get("throttle", gpu.throttle)


def test_reasons_have_the_word_that_every_vendor_has_for_them_or_the_drivers() -> None:
    assert held(pl1="1", pl2="1", thermal="1", prochot="1", vr_tdc="1") == (
        "power_cap",
        "prochot",
        "hardware_thermal",
        "vr_tdc",
    )


def test_a_reason_that_came_with_a_later_driver_is_told_by_its_name() -> None:
    assert held(mem_thermal="1") == ("mem_thermal",)


def test_held_down_for_a_reason_without_a_name_is_not_free() -> None:
    assert held() == ("other",)


def test_a_reason_that_cannot_be_read_leaves_them_unknown() -> None:
    path = f"{XE}/freq0/throttle/reason_pl4"
    changes = {f"{XE}/freq0/throttle/status": "1\n", path: {"errno": "EBUSY"}}

    assert read(machine("b580", changes)).unknown["throttle"] == Cause.DRIVER_ERROR


def test_a_name_that_no_driver_gives_is_left_out() -> None:
    assert held(**{"\x1b[31m": "1"}) == ("other",)


def test_i915_has_its_reasons_beside_the_status() -> None:
    changes = {f"{I915}/throttle_reason_status": "1\n", f"{I915}/throttle_reason_pl2": "1\n"}

    assert read(machine("a380_i915", changes)).throttle == ("power_cap",)


def test_the_reasons_of_all_tiles_are_told_once() -> None:
    changes = {
        f"{PVC}/tile{tile}/gt{tile}/freq0/throttle/{name}": "1\n"
        for tile in (0, 1)
        for name in ("status", "reason_pl1")
    }

    assert read(machine("ponte_vecchio", changes)).throttle == ("power_cap",)
