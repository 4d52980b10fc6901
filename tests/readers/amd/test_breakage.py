"""Each file of a machine broken in each way, and files with anything in them."""

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.machines import entries_of
from tests.readers.amd.machines import (
    CARD,
    DATA,
    Clock,
    Entries,
    apu,
    binary,
    desktop_card,
    looks,
    machine,
)
from tests.readers.breakage import CAUSES, absurdities, breakages, changes, fed_by, unexplained
from vramline.errors import ReadError, ReaderUnavailableError
from vramline.readers.amd import open_reader
from vramline.readings import Cause, GpuReading
from vramline.units import GIB

OWN = {"memory_total_bytes", "memory_used_bytes", "memory_free_bytes"}
SENSORS = {
    "temperature_celsius",
    "power_watts",
    "power_limit_watts",
    "clock_mhz",
    "memory_clock_mhz",
    "fan_percent",
}
METRICS = {
    "throttle",
    "utilization_percent",
    "memory_utilization_percent",
    "memory_bandwidth_bytes_per_second",
    *SENSORS,
} - {"power_limit_watts"}

FEEDS: Mapping[str, set[str]] = {
    r"mem_info_vram_total$": {*OWN, "memory_pool", "memory_free_bound_by"},
    r"mem_info_gtt_total$": {*OWN, "memory_pool", "memory_free_bound_by"},
    r"mem_info_vram_used$": {"memory_used_bytes", "memory_free_bytes"},
    r"mem_info_gtt_used$": {"memory_used_bytes", "memory_free_bytes", "memory_free_bound_by"},
    r"/gpu_busy_percent$": {"utilization_percent"},
    r"/mem_busy_percent$": {"memory_utilization_percent"},
    r"/gpu_metrics$": METRICS,
    r"/pp_dpm_sclk$": {"clock_mhz"},
    r"/pp_dpm_mclk$": {"memory_clock_mhz"},
    # What hwmon shows tells an APU from a card of its own.
    r"/hwmon\d+/name$": {*SENSORS, "memory_pool", "memory_free_bound_by", *OWN},
    r"/temp1_(input|label)$": {"temperature_celsius"},
    r"/power1_(average|input)$": {"power_watts"},
    r"/power1_cap$": {"power_limit_watts"},
    r"/freq1_(input|label)$": {"clock_mhz"},
    r"/freq2_(input|label)$": {"memory_clock_mhz"},
    r"/(pwm1|pwm1_max|fan1_input|fan1_max)$": {"fan_percent"},
    r"/in1_label$": {"memory_pool", "memory_free_bound_by", *OWN},
    r"/unique_id$": {"uid"},
    r"/product_name$": {"name"},
    r"/revision$": {"name"},
    r"/topology/nodes/1/": {"memory_bandwidth_bytes_per_second", "processes"},
    r"/proc/\d+/vram_": {"processes"},
}


def in_use() -> Entries:
    """Return a process that has the APU open."""
    return {
        "/sys/class/drm/renderD128/device/uevent": "PCI_SLOT_NAME=0000:c1:00.0\n",
        "/proc/5/stat": f"5 (ollama) S {'1 ' * 18}500 0\n",
        "/proc/5/status": "Uid:\t1000\t1000\t1000\t1000\n",
        "/proc/5/fd/7": {"symlink": "/dev/dri/renderD128"},
        "/proc/5/fdinfo/7": "drm-client-id: 1\ndrm-pdev: 0000:c1:00.0\ndrm-memory-gtt: 5 MiB\n",
    }


AMDGPU = {**CAUSES, "EBUSY": Cause.ASLEEP, "EPERM": Cause.ASLEEP}
"""What the ways mean for a file of amdgpu's; radeon, which an HD 7870 is on, has no such words."""


def second_look(entries: Entries) -> GpuReading:
    clock = Clock()
    look = looks(machine(entries, clock=clock), clock)
    look()
    return look()


def expected(path: str, way: str, meanings: Mapping[str, Cause]) -> set[Cause]:
    if path.endswith(("_label", "/name")):
        return {Cause.NOT_SUPPORTED}  # a sensor that is not found
    if "/kfd/" in path:
        return {CAUSES[way]} | ({Cause.NOT_SUPPORTED} if path.endswith("gpu_id") else set())
    # A garbled list of levels, and one that is empty, tell no clock either way.
    empty = {Cause.NOT_SUPPORTED} if way == "empty" and "pp_dpm" in path else set()
    return {meanings[way]} | empty


TREES: Mapping[str, Entries] = {
    "desktop": desktop_card(),
    "apu": apu(GIB, 8 * GIB),
    **{path.stem: entries_of(f"amd/{path.stem}") for path in sorted(DATA.glob("*.json"))},
}
"""Every machine that was recorded, and two that were written by hand."""
SYSTEM: Entries = machine(
    {
        **in_use(),
        **TREES["apu"],
        "/usr/share/misc/pci.ids": "1002  AMD\n\t1586  Strix Halo [Radeon 8060S]\n",
    }
).files
"""An APU's machine, with all that lies round the card and what uses it."""
SYSTEM_FEEDS: Mapping[str, set[str]] = {
    r"^/usr/share/misc/pci\.ids$": {"name"},
    r"^/proc/meminfo$": {"memory_free_bytes", "memory_free_bound_by"},
    # Without its kernel threads to be seen nobody knows whose processes are hidden.
    r"^/proc/(2|5)/": {"processes"},
    r"^/proc/stat$": {"processes"},
    r"^/proc/self/(cgroup|mountinfo)$": {"memory_free_bytes", "memory_free_bound_by"},
    r"/renderD128/device/uevent$": {"processes"},
}
IDENTITY = re.compile(r"/(uevent|vendor|device|runtime_status)$")


@pytest.mark.parametrize("entries", TREES.values(), ids=list(TREES))
def test_a_file_that_breaks_costs_the_fields_that_it_feeds(entries: Entries) -> None:
    meanings = CAUSES if entries is TREES["hd7870"] else AMDGPU
    before = second_look(entries)
    assert unexplained(before) == set()
    for path, way, broken in breakages(entries, below="/sys"):
        if IDENTITY.search(path):
            continue
        after = second_look(broken)

        changed = changes(before, after)
        assert set(changed) <= fed_by(path, FEEDS), (path, way)
        causes = {value for value in changed.values() if isinstance(value, Cause)}
        assert causes <= expected(path, way, meanings), (path, way, changed)
        assert absurdities(after) == [], (path, way)
        assert unexplained(after) == set(), (path, way)


@pytest.mark.parametrize("entries", TREES.values(), ids=list(TREES))
def test_what_the_system_tells_of_a_card_may_break_as_well(entries: Entries) -> None:
    for path, way, broken in breakages(entries, below="/sys"):
        if not IDENTITY.search(path):
            continue
        with suppress(ReaderUnavailableError, ReadError):
            assert absurdities(second_look(broken)) == [], (path, way)


def test_a_file_of_the_system_that_breaks_costs_what_comes_from_it() -> None:
    before = second_look(SYSTEM)
    cost: set[str] = set()
    for path, way, broken in breakages(SYSTEM):
        if path.startswith(CARD):
            continue
        after = second_look(broken)

        changed = changes(before, after)
        cost |= set(changed)
        assert set(changed) <= fed_by(path, SYSTEM_FEEDS), (path, way)
        assert absurdities(after) == [], (path, way)
        assert unexplained(after) == set(), (path, way)

    assert cost == {name for names in SYSTEM_FEEDS.values() for name in names}


FILES = sorted(path for path in desktop_card() if path.startswith((CARD, "/sys/class/kfd")))
TEXTS = st.one_of(
    st.text(max_size=40),
    st.integers(-(2**70), 2**70).map(str),
    st.sampled_from(["nan", "inf", "-0", "1e999", "٣", "0x10", " 7 \n", "9" * 400, "-1\n"]),
)
CONTENTS = st.one_of(
    TEXTS,
    st.binary(max_size=300).map(binary),
    st.sampled_from([{"errno": name} for name in ("EIO", "EBUSY", "EPERM", "ENODEV", "EINVAL")]),
)


@settings(max_examples=200)
@given(st.sampled_from(["desktop", "apu"]), st.dictionaries(st.sampled_from(FILES), CONTENTS))
def test_nothing_escapes_and_nothing_is_absurd_whatever_the_files_hold(
    tree: str, files: dict[str, Any]
) -> None:
    clock = Clock()
    one = machine({**TREES[tree], **files}, clock=clock)
    with suppress(ReaderUnavailableError, ReadError):
        reader = open_reader(one)
        for _ in range(2):
            clock.now += 1
            for device in reader.devices():
                (gpu,) = reader.arrange(reader.read(device))
                assert absurdities(gpu) == []
                assert unexplained(gpu) == set()
