import plistlib
from datetime import datetime
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from tests.readers.apple.machines import AGX, RADEON, mac, printed, read, with_stats
from tests.readers.breakage import absurdities, unexplained
from vramline.errors import ReadError, ReaderUnavailableError
from vramline.units import GIB

KEYS = st.sampled_from(
    [
        "PerformanceStatistics",
        "Alloc system memory",
        "In use system memory",
        "inUseSysMemoryBytes",
        "inUseVidMemoryBytes",
        "vramUsedBytes",
        "vramFreeBytes",
        "Device Utilization %",
        "GPU Activity(%)",
        "Temperature(C)",
        "Total Power(W)",
        "Core Clock(MHz)",
        "Memory Clock(MHz)",
        "Fan Speed(%)",
        "AGCInfo",
        "poweredOffByAGC",
        "IOObjectClass",
        "IORegistryEntryID",
        "IOSourceVersion",
        "model",
        "VRAM,totalMB",
        "vendor-id",
    ]
)
CLASSES = st.sampled_from(["AGXAccelerator", "AMDRadeonX6000", "IntelAccelerator", "nvAccelerator"])
LEAVES = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.integers(0, 200),
    st.sampled_from([2**33, 2**62, 2**63 - 1, 2**63]),
    st.floats(),
    st.binary(max_size=12),
    st.sampled_from([b"\x02\x10\0\0", b"\xde\x10\0\0"]),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12),
    CLASSES,
    st.datetimes(datetime(1000, 1, 1), datetime(9999, 1, 1)),  # noqa: DTZ001
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=8),
    max_leaves=20,
)
STATS = st.dictionaries(KEYS, LEAVES, max_size=14)
ENTRIES = st.builds(
    lambda entry, driver, stats: {**entry, **driver, **stats},
    st.dictionaries(KEYS, VALUES, max_size=5),
    st.fixed_dictionaries({}, optional={"IOObjectClass": CLASSES}),
    st.fixed_dictionaries({}, optional={"PerformanceStatistics": STATS}),
)
ROOTS = st.lists(ENTRIES | VALUES, max_size=4)


def dumped(value: Any) -> str:
    return plistlib.dumps(value).decode()


def holds(*answers: str, sysctl: str = "") -> None:
    """Read a Mac with these answers: it has whole readings, or says that it has none."""
    accelerators, cards = answers
    try:
        readings = read(mac(accelerators, cards=cards, sysctl=sysctl))
    except (ReadError, ReaderUnavailableError):
        return
    for gpu in readings:
        assert absurdities(gpu) == []
        assert unexplained(gpu) == set()
    assert len({gpu.uid for gpu in readings}) == len(readings)


@given(ROOTS, ROOTS)
def test_no_property_list_gives_an_absurd_reading(accelerators: Any, cards: Any) -> None:
    holds(dumped(accelerators), dumped(cards))


@given(VALUES)
def test_no_root_but_a_list_gives_a_reading(root: Any) -> None:
    holds(dumped(root), dumped(root))


@given(st.text())
@example("<plist><array><dict></array></plist>")
@example("<plist><dict><integer>1</integer></dict></plist>")
@example("<plist><integer></integer></plist>")
@example("<plist><date>2026-13-41T25:61:61Z</date></plist>")
@example("<plist>" + "<array>" * 5000 + "</array>" * 5000 + "</plist>")
@example('<?xml version="1.0" encoding="no-such"?><plist/>')
@example("<plist/>")
@example("\ud800")
def test_no_text_gives_more_than_a_read_error(output: str) -> None:
    holds(output, output)


@given(st.data())
def test_no_answer_that_is_cut_or_changed_gives_more_than_a_read_error(data: st.DataObject) -> None:
    output = printed(with_stats(AGX), with_stats(RADEON))
    place = data.draw(st.integers(0, len(output)))
    rest = data.draw(st.sampled_from(["", output[place + 1 :], output[place + 40 :]]))
    holds(output[:place] + data.draw(st.text(max_size=4)) + rest, "")


@given(st.text())
def test_nothing_that_sysctl_prints_gives_an_absurd_reading(output: str) -> None:
    holds(printed(AGX), "", sysctl=output)


@given(st.text(max_size=30), st.text(max_size=10))
def test_no_limit_gives_an_absurd_reading(limit: str, version: str) -> None:
    holds(
        printed(with_stats(AGX, **{"Alloc system memory": GIB})),
        "",
        sysctl=f"iogpu.wired_limit_mb: {limit}\nkern.osproductversion: {version}\n",
    )
