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

AMDGPU = {**CAUSES, "EBUSY": Cause.ASLEEP, "EPERM": Cause.ASLEEP}
"""What the ways mean for a file of the driver's."""


def second_look(entries: Entries) -> GpuReading:
    clock = Clock()
    look = looks(machine(entries, clock=clock), clock)
    look()
    return look()


def expected(path: str, way: str) -> set[Cause]:
    if path.endswith(("_label", "/name")):
        return {Cause.NOT_SUPPORTED}  # a sensor that is not found
    if "/kfd/" in path:
        return {CAUSES[way]} | ({Cause.NOT_SUPPORTED} if path.endswith("gpu_id") else set())
    # A garbled list of levels, and one that is empty, tell no clock either way.
    empty = {Cause.NOT_SUPPORTED} if way == "empty" and "pp_dpm" in path else set()
    return {AMDGPU[way]} | empty


RECORDED = ("r7_240", "rx7900xtx", "strixpoint", "vega56")
TREES: Mapping[str, Entries] = {
    "desktop": desktop_card(),
    "apu": apu(GIB, 8 * GIB),
    **{name: entries_of(f"amd/{name}") for name in RECORDED},
}
IDENTITY = re.compile(r"/(uevent|vendor|device|runtime_status)$")


@pytest.mark.parametrize("entries", TREES.values(), ids=list(TREES))
def test_a_file_that_breaks_costs_the_fields_that_it_feeds(entries: Entries) -> None:
    before = second_look(entries)
    assert unexplained(before) == set()
    for path, way, broken in breakages(entries, below="/sys"):
        if IDENTITY.search(path):
            continue
        after = second_look(broken)

        changed = changes(before, after)
        assert set(changed) <= fed_by(path, FEEDS), (path, way)
        causes = {value for value in changed.values() if isinstance(value, Cause)}
        assert causes <= expected(path, way), (path, way, changed)
        assert absurdities(after) == [], (path, way)
        assert unexplained(after) == set(), (path, way)


@pytest.mark.parametrize("entries", TREES.values(), ids=list(TREES))
def test_what_the_system_tells_of_a_card_may_break_as_well(entries: Entries) -> None:
    for path, way, broken in breakages(entries, below="/sys"):
        if not IDENTITY.search(path):
            continue
        with suppress(ReaderUnavailableError, ReadError):
            assert absurdities(second_look(broken)) == [], (path, way)


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
