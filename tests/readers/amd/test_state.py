"""Cards that sleep, rest, are lost or are not there."""

from typing import Any

import pytest

from tests.readers.amd.machines import (
    CARD,
    HWMON,
    KFD,
    Clock,
    Entries,
    apu,
    desktop_card,
    looks,
    machine,
    memory,
    metrics,
    on_bus,
    read,
    unknown,
)
from tests.readers.amd.machines import binary as file
from vramline.errors import ReadError, ReaderUnavailableError
from vramline.machine import RecordedMachine
from vramline.readers.amd import open_reader
from vramline.readings import Cause, GpuReading, GpuState, MemoryBound, MemoryPool
from vramline.units import GIB

SLEEPS = {f"{CARD}/power/runtime_status": "suspended\n"}
WAKES = {f"{CARD}/power/runtime_status": "active\n"}

MOMENTARY = (
    "utilization_percent",
    "memory_utilization_percent",
    "temperature_celsius",
    "power_watts",
    "power_limit_watts",
    "clock_mhz",
    "memory_clock_mhz",
    "fan_percent",
    "throttle",
    "processes",
)


def idle_card() -> Entries:
    """Return the card of a laptop, which nobody uses."""
    kept = {path: entry for path, entry in desktop_card().items() if "/proc/4242" not in path}
    return {
        **kept,
        f"{CARD}/gpu_busy_percent": "0\n",
        f"{CARD}/gpu_metrics": file(metrics(120, (1, 3), {112: ("Q", 0)})),
    }


# Asleep.


def test_a_card_that_sleeps_has_its_memory_and_nothing_else() -> None:
    (gpu,) = read(machine({**desktop_card(), **SLEEPS}))

    assert gpu == GpuReading(
        uid="GPU-4b2c1a9f8d3e6f7a",
        vendor="amd",
        name="AMD Radeon RX 7900 XTX",
        index=0,
        pci_address="0000:2d:00.0",
        state=GpuState.ASLEEP,
        memory_total_bytes=24 * GIB,
        memory_used_bytes=6 * GIB,
        memory_free_bytes=18 * GIB,
        unknown=unknown(
            asleep=(*MOMENTARY, "memory_bandwidth_bytes_per_second"),
            not_supported=(
                "driver_version",
                "cuda_version",
                "compute_capability",
                "memory_reserved_bytes",
            ),
        ),
    )


@pytest.mark.parametrize("status", ["suspended\n", "suspending\n"])
def test_of_a_card_that_sleeps_nothing_is_opened_that_wakes_it(status: str) -> None:
    card = machine({**desktop_card(), f"{CARD}/power/runtime_status": status})
    reader = open_reader(card)
    # Names and numbers that are kept by the system, or by the driver in the host's memory.
    assert {path for path in card.opened if path.startswith(CARD)} <= {
        f"{CARD}/uevent",
        f"{CARD}/vendor",
        f"{CARD}/device",
        f"{CARD}/revision",
        f"{CARD}/unique_id",
        f"{CARD}/product_name",
    }
    card.opened.clear()

    reader.read(reader.devices()[0])
    reader.describe(reader.devices()[0], Cause.TIMEOUT)

    assert set(card.opened) == {
        f"{CARD}/power/runtime_status",
        f"{CARD}/mem_info_vram_total",
        f"{CARD}/mem_info_vram_used",
    }


def test_a_card_that_was_awake_keeps_what_lasts_when_it_falls_asleep() -> None:
    clock = Clock()
    card = machine(desktop_card(), clock=clock)
    look = looks(card, clock)
    look()
    card.change(SLEEPS)
    card.opened.clear()

    gpu = look()

    assert gpu.state is GpuState.ASLEEP
    assert gpu.memory_bandwidth_bytes_per_second == 959_232_000_000
    assert set(card.opened) == {
        f"{CARD}/power/runtime_status",
        f"{CARD}/mem_info_vram_total",
        f"{CARD}/mem_info_vram_used",
    }


def test_an_apu_that_falls_asleep_still_has_the_hosts_memory() -> None:
    clock = Clock()
    card = machine(apu(GIB, 8 * GIB, gtt_used=GIB), clock=clock)
    look = looks(card, clock)
    look()
    card.change(SLEEPS)

    gpu = look()

    assert (gpu.state, gpu.memory_pool) == (GpuState.ASLEEP, MemoryPool.GTT)
    assert (gpu.memory_free_bytes, gpu.memory_free_bound_by) == (7 * GIB, MemoryBound.GTT)


@pytest.mark.parametrize("refusal", ["EBUSY", "EPERM"])
def test_a_card_that_refuses_every_sensor_sleeps_whatever_the_system_says(refusal: str) -> None:
    entries: dict[str, Any] = dict(desktop_card())
    for path in entries:
        if path.startswith(CARD) and path.endswith(
            ("percent", "metrics", "clk", "_input", "pwm1", "average", "cap")
        ):
            entries[path] = {"errno": refusal}

    (gpu,) = read(machine(entries))

    assert gpu.state is GpuState.ASLEEP
    assert gpu.memory_used_bytes == 6 * GIB
    assert {gpu.unknown[name] for name in MOMENTARY} == {Cause.ASLEEP}


def test_a_user_without_the_right_is_told_so() -> None:
    (gpu,) = read(machine({**desktop_card(), f"{CARD}/mem_busy_percent": {"errno": "EACCES"}}))

    assert gpu.memory_utilization_percent == 6.0  # gpu_metrics tells it as well
    entries = {**desktop_card(), f"{HWMON}/power1_cap": {"errno": "EACCES"}}
    (gpu,) = read(machine(entries))
    assert gpu.unknown["power_limit_watts"] is Cause.NO_PERMISSION


def test_a_status_that_is_missing_or_unsupported_means_awake() -> None:
    status = f"{CARD}/power/runtime_status"
    entries = desktop_card()

    (unsupported,) = read(machine({**entries, status: "unsupported\n"}))
    del entries[status]
    (missing,) = read(machine(entries))

    assert unsupported == missing
    assert missing.state is GpuState.ACTIVE


def test_what_needs_two_looks_begins_anew_after_a_sleep() -> None:
    clock = Clock()
    entries = apu(GIB, 8 * GIB)

    def counted(spl: int) -> Entries:
        return {f"{CARD}/gpu_metrics": file(metrics(264, (3, 0), {232: ("I", spl)}))}

    card = machine({**entries, **counted(5)}, clock=clock)
    look = looks(card, clock)
    throttles = [look().throttle, look().throttle]
    card.change(SLEEPS)
    throttles.append(look().throttle)
    card.change({**WAKES, **counted(900)})
    throttles += [look().throttle, look().throttle]

    assert throttles == [None, (), None, None, ()]


# At rest: an idle card is left alone, so that it can fall asleep.


def test_an_idle_card_that_may_suspend_is_left_alone() -> None:
    clock = Clock()
    card = machine(idle_card(), clock=clock)
    look = looks(card, clock)
    first = look()
    card.change({f"{HWMON}/temp1_input": "54000\n"})
    card.opened.clear()

    second = look()

    assert (second.temperature_celsius, second.age_seconds) == (53.0, 1.0)
    assert first.age_seconds == 0.0
    assert set(card.opened) == {
        f"{CARD}/power/runtime_status",
        f"{CARD}/mem_info_vram_total",
        f"{CARD}/mem_info_vram_used",
        f"{CARD}/power/control",
        f"{CARD}/power/runtime_usage",
    }
    clock.now += 10
    assert (look().temperature_celsius, look().age_seconds) == (54.0, 1.0)


def test_a_card_in_which_memory_is_taken_is_not_left_alone_any_longer() -> None:
    clock = Clock()
    card = machine(idle_card(), clock=clock)
    look = looks(card, clock)
    look()
    card.change({f"{CARD}/mem_info_vram_used": f"{9 * GIB}\n", f"{CARD}/gpu_busy_percent": "99\n"})

    gpu = look()

    assert (gpu.utilization_percent, gpu.memory_used_bytes, gpu.age_seconds) == (99.0, 9 * GIB, 0)


@pytest.mark.parametrize(
    "used",
    [
        pytest.param({f"{CARD}/gpu_busy_percent": "1\n"}, id="it works"),
        pytest.param({f"{CARD}/power/control": "on\n"}, id="it may not suspend"),
        pytest.param({f"{CARD}/power/runtime_usage": "1\n"}, id="a screen is on"),
        pytest.param(
            {f"{CARD}/gpu_metrics": file(metrics(2208, (1, 7), {48: ("I", 5)}))},
            id="it needs a second look",
        ),
        pytest.param({f"{KFD}/proc/9/vram_51111": "4096\n"}, id="somebody holds memory"),
    ],
)
def test_a_card_that_could_not_sleep_is_read_every_time(used: Entries) -> None:
    clock = Clock()
    card = machine({**idle_card(), **used}, clock=clock)
    look = looks(card, clock)
    look()
    card.change({f"{HWMON}/temp1_input": "54000\n"})

    assert look().temperature_celsius == 54.0


def test_an_idle_apu_is_read_every_time() -> None:
    clock = Clock()
    card = machine({**apu(8 * GIB, 4 * GIB), f"{CARD}/power/control": "auto\n"}, clock=clock)
    look = looks(card, clock)
    look()
    card.change({f"{HWMON}/temp1_input": "54000\n"})

    assert look().temperature_celsius == 54.0


# Lost.


def two_cards() -> Entries:
    other = "/sys/class/drm/card1/device"
    return {
        **desktop_card(),
        **on_bus("744C", "0000:03:00.0", folder=other),
        **memory(20 * GIB, GIB, 32 * GIB, 0, folder=other),
        f"{other}/gpu_busy_percent": "7\n",
    }


def unplugged(card: Entries) -> dict[str, None]:
    return {path: None for path in card if path.startswith("/sys/class/drm/card0")}


def failing(card: Entries, error: str) -> dict[str, Any]:
    kept = ("uevent", "runtime_status", "control", "name", "_label")
    return {
        path: {"errno": error} for path in card if path.startswith(CARD) and not path.endswith(kept)
    }


@pytest.mark.parametrize("way", ["unplugged", "EIO", "ENODEV"])
def test_one_lost_card_does_not_hide_the_other(way: str) -> None:
    entries = two_cards()
    card = machine(entries)
    reader = open_reader(card)
    assert reader.devices() == ("0000:03:00.0", "0000:2d:00.0")
    for device in reader.devices():
        reader.read(device)
    card.change(unplugged(entries) if way == "unplugged" else failing(entries, way))

    (other,) = reader.read("0000:03:00.0")
    (lost,) = reader.read("0000:2d:00.0")

    assert other.utilization_percent == 7.0
    assert (lost.state, lost.name) == (GpuState.LOST, "AMD Radeon RX 7900 XTX")
    assert lost.memory_bandwidth_bytes_per_second == 959_232_000_000
    assert {lost.unknown[name] for name in (*MOMENTARY, "memory_total_bytes")} == {Cause.LOST}
    assert reader.describe("0000:2d:00.0", Cause.TIMEOUT).state is GpuState.LOST


def test_a_lost_card_that_answers_again_is_active_again() -> None:
    entries = two_cards()
    card = machine(entries)
    reader = open_reader(card)
    card.change(failing(entries, "EIO"))
    (lost,) = reader.read("0000:2d:00.0")
    card.change(desktop_card())

    (back,) = reader.read("0000:2d:00.0")

    assert (lost.state, back.state) == (GpuState.LOST, GpuState.ACTIVE)
    assert back.memory_total_bytes == 24 * GIB


def test_a_card_that_is_back_is_read_at_once_though_it_was_idle() -> None:
    clock = Clock()
    idle = idle_card()
    entries = {path: entry for path, entry in two_cards().items() if "/proc/4242" not in path}
    card = machine({**entries, **idle}, clock=clock)
    reader = open_reader(card)
    reader.read("0000:2d:00.0")
    card.change(failing(idle, "EIO"))
    reader.read("0000:2d:00.0")
    card.change({**idle, f"{HWMON}/temp1_input": "54000\n"})

    (back,) = reader.read("0000:2d:00.0")

    assert back.temperature_celsius == 54.0


def test_when_no_card_answers_any_more_they_have_to_be_looked_for_again() -> None:
    card = machine(desktop_card())
    reader = open_reader(card)
    reader.read("0000:2d:00.0")
    card.change(unplugged(desktop_card()))

    with pytest.raises(ReadError, match="no AMD GPU answers"):
        reader.read("0000:2d:00.0")


def test_a_card_that_comes_back_under_another_number_has_to_be_looked_for_again() -> None:
    entries = two_cards()
    card = machine(entries)
    reader = open_reader(card)
    card.change(unplugged(entries))
    reader.read("0000:2d:00.0")
    card.change({path.replace("card0", "card7"): entry for path, entry in desktop_card().items()})

    with pytest.raises(ReadError, match="is back"):
        reader.read("0000:2d:00.0")


def test_a_card_that_tells_no_figure_at_all_is_not_lost() -> None:
    (gpu,) = read(machine(on_bus("744C", "0000:2d:00.0")))

    assert gpu.state is GpuState.ACTIVE
    assert gpu.unknown["memory_total_bytes"] is Cause.NOT_SUPPORTED


# Not there.

BUS = "/sys/bus/pci/devices/0000:2d:00.0"


def on_bus_alone(driver: str | None) -> Entries:
    link = {"symlink": f"../../../../bus/pci/drivers/{driver}"}
    return {
        f"{BUS}/vendor": "0x1002\n",
        f"{BUS}/class": "0x030000\n",
        **({f"{BUS}/driver": link} if driver else {}),
    }


def test_a_card_without_a_driver_cannot_be_read() -> None:
    with pytest.raises(ReadError, match="load the kernel module amdgpu"):
        open_reader(machine(on_bus_alone(None)))


def test_a_card_that_no_folder_is_of_cannot_be_read() -> None:
    with pytest.raises(ReadError, match="/sys/class/drm"):
        open_reader(machine(on_bus_alone("amdgpu")))


def test_a_card_that_is_lent_to_a_virtual_machine_is_none_of_this_ones() -> None:
    with pytest.raises(ReaderUnavailableError, match="vfio-pci"):
        open_reader(machine(on_bus_alone("vfio-pci")))


def test_without_a_card_there_is_nothing_to_read() -> None:
    with pytest.raises(ReaderUnavailableError, match="no AMD GPU"):
        open_reader(RecordedMachine({}))
    with pytest.raises(ReaderUnavailableError, match="Linux"):
        open_reader(RecordedMachine({}, platform="win32"))
