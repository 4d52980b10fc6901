"""Each file of each recorded machine, broken in every way: only what it feeds may change."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.machines import DATA
from tests.readers.breakage import (
    CAUSES,
    absurdities,
    breakages,
    changes,
    fed_by,
    unexplained,
)
from tests.readers.intel.machines import TOTAL, Clock, Ioctl, client, files, i915, render_node, xe
from vramline.errors import ReadError, ReaderUnavailableError
from vramline.machine import RecordedMachine
from vramline.readers.intel import open_reader
from vramline.readings import Cause, GpuReading
from vramline.units import GIB

NAMES = {
    "b580": ("0000:09:00.0", xe((0, TOTAL, 0), (1, 12 * GIB, GIB))),
    "tigerlake": ("0000:00:02.0", xe((0, TOTAL, 0))),
    "a380_i915": ("0000:0b:00.0", i915((0, TOTAL, TOTAL), (1, 6 * GIB, 5 * GIB))),
    "arc_a750_xe": ("0000:03:00.0", xe((0, TOTAL, 0), (1, 8 * GIB, GIB))),
    "arc_pro_b70": ("0000:03:00.0", xe((0, TOTAL, 0), (1, 32 * GIB, GIB))),
    "ponte_vecchio": ("0000:4d:00.0", xe((0, TOTAL, 0), (1, 64 * GIB, GIB), (1, 64 * GIB, GIB))),
    "uhd620": ("0000:00:02.0", i915((0, TOTAL, TOTAL))),
}

FEEDS = {
    r"idle_residency_ms$|rc6_residency_ms$|rc6_enable$": ["utilization_percent"],
    r"freq0/act_freq$|rps_act_freq_mhz$": ["clock_mhz"],
    r"throttle/status$|throttle_reason_status$": ["throttle"],
    r"hwmon\d+/temp\d+_(input|label)$": ["temperature_celsius"],
    r"hwmon\d+/energy\d_(input|label)$": ["power_watts"],
    r"hwmon\d+/power\d_(cap|max|label)$": ["power_limit_watts"],
    r"hwmon\d+/fan1_(input|max)$": ["fan_percent"],
    r"hwmon\d+/name$": [
        "temperature_celsius",
        "power_watts",
        "power_limit_watts",
        "fan_percent",
    ],
}
FREE = ["memory_free_bytes", "memory_free_bound_by"]
FINDS_THE_CARD = r"/uevent$"
ONE_OF_MANY = ("_label", "/name", "rc6_enable", "gtidle/name")
"""What is lost with these is found missing, or otherwise: the cause is not the file's own."""


def entries(name: str) -> dict[str, Any]:
    slot, _ = NAMES[name]
    nodes = {} if "/sys/class/drm/renderD128/device/uevent" in files(name) else render_node(slot)
    return files(name, nodes)


def look(entries: Mapping[str, Any], name: str) -> GpuReading:
    slot, ioctl = NAMES[name]
    clock = Clock()
    reader = open_reader(RecordedMachine(entries, ioctl=ioctl, clock=clock))
    reader.read(slot)
    clock.now += 1.0
    (gpu,) = reader.read(slot)
    return gpu


def cases(name: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Give the breakages of a card's files."""
    for path, way, broken in breakages(entries(name), below="/sys/class/drm/"):
        if not path.endswith("/uevent"):
            yield path, way, broken


def test_no_recorded_machine_is_left_out() -> None:
    assert set(NAMES) == {path.stem for path in (DATA / "intel").glob("*.json")}


@pytest.mark.parametrize("name", NAMES)
def test_a_broken_file_costs_the_fields_that_it_feeds(name: str) -> None:
    before = look(entries(name), name)
    wrong = []
    for path, way, broken in cases(name):
        after = look(broken, name)
        changed = changes(before, after)
        lost = {cause for cause in changed.values() if isinstance(cause, Cause)}
        if (
            not set(changed) <= fed_by(path, FEEDS)
            or absurdities(after)
            or unexplained(after)
            or not (lost <= {CAUSES[way]} or path.endswith(ONE_OF_MANY))
        ):
            wrong.append((path, way, changed))

    assert wrong == []


SYSTEM_FEEDS = {
    r"^/usr/share/": ["name"],
    r"^/proc/sys/kernel/osrelease$": ["driver_version"],
    r"^/proc/meminfo$": ["memory_total_bytes", "memory_used_bytes", *FREE],
    r"^/proc/self/(cgroup|mountinfo)$": FREE,
    # Without its kernel threads to be seen nobody knows whose processes are hidden.
    r"^/proc/(2/stat|5/|stat)": ["processes"],
}


def test_a_broken_file_of_the_system_costs_what_comes_from_it() -> None:
    in_use = client(5, "drm-client-id: 3\ndrm-pdev: 0000:00:02.0\ndrm-resident-gtt: 5 MiB\n")
    whole = {**entries("tigerlake"), **in_use}
    before = look(whole, "tigerlake")
    cost: set[str] = set()
    for path, way, broken in breakages(whole):
        if path.startswith("/sys/class/drm/"):
            continue
        after = look(broken, "tigerlake")
        cost |= set(changes(before, after))
        assert set(changes(before, after)) <= fed_by(path, SYSTEM_FEEDS), (path, way)
        assert (absurdities(after), unexplained(after)) == ([], set()), (path, way)

    assert cost == {name for names in SYSTEM_FEEDS.values() for name in names}


@pytest.mark.parametrize("name", ["b580", "a380_i915"])
def test_every_field_that_the_driver_tells_is_lost_with_its_file(name: str) -> None:
    before = look(entries(name), name)
    cost: set[str] = set()
    for _, way, broken in cases(name):
        if way == "EACCES":
            cost |= set(changes(before, look(broken, name)))

    told = {
        "utilization_percent",
        "clock_mhz",
        "throttle",
        "temperature_celsius",
        "power_watts",
        "power_limit_watts",
    }
    assert cost == told | ({"fan_percent"} if name == "b580" else set())


@pytest.mark.parametrize("name", NAMES)
def test_a_broken_identity_costs_the_card_or_its_name_and_no_more(name: str) -> None:
    for path, _, broken in breakages(entries(name), below="/sys/class/drm/"):
        if path.endswith("/uevent"):
            for gpu in read_all(broken, NAMES[name][1]):
                assert (absurdities(gpu), unexplained(gpu)) == ([], set())


CONTENT = st.one_of(
    st.text(max_size=40),
    st.integers(-(2**70), 2**70).map(str),
    st.sampled_from(["nan", "inf", "1e9", "0x10", "٣", "1_000", "\x1b[2J", "99999999999999999999"]),
    st.sampled_from([{"errno": name} for name in ("EBUSY", "EIO", "ENODEV", "EAGAIN", "EPERM")]),
    st.binary(max_size=20).map(lambda data: data.decode("utf-8", "replace")),
)


def read_all(entries: Mapping[str, Any], ioctl: Ioctl) -> list[GpuReading]:
    clock = Clock()
    try:
        reader = open_reader(RecordedMachine(entries, ioctl=ioctl, clock=clock))
        readings = []
        for _ in range(2):
            readings += [gpu for device in reader.devices() for gpu in reader.read(device)]
            clock.now += 1.0
    except (ReadError, ReaderUnavailableError):
        return []
    return readings


@given(name=st.sampled_from(sorted(NAMES)), data=st.data())
def test_no_content_of_its_files_makes_an_absurd_reading(name: str, data: st.DataObject) -> None:
    slot, ioctl = NAMES[name]
    whole = entries(name)
    # What is read at all, so that it is not mostly files that nobody opens that change.
    paths = sorted(
        path
        for path in whole
        if fed_by(path, {**FEEDS, FINDS_THE_CARD: ["uid"], r"power/runtime_": ["state"]})
        or path.startswith("/proc/")
    )
    told = data.draw(st.dictionaries(st.sampled_from(paths), CONTENT, max_size=4))
    fdinfo = data.draw(st.text(max_size=60))
    in_use = client(5, f"drm-client-id: 3\ndrm-pdev: {slot}\n{fdinfo}")

    for gpu in read_all({**whole, **in_use, **told}, ioctl):
        assert (absurdities(gpu), unexplained(gpu)) == ([], set())
