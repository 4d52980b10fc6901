"""The calls themselves, through ctypes, against libraries that are made up."""

import ctypes
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.native.standins import Dxcore, Dxgi, Gdi32, Pdh
from vramline.native import d3dkmt, dxcore, dxgi, pdh, registry
from vramline.units import GIB

RADEON: dict[str, Any] = {
    "description": "AMD Radeon RX 5700 XT",
    "vendor_id": 0x1002,
    "device_id": 0x731F,
    "subsystem_id": 0x0B361002,
    "revision": 0xC1,
    "dedicated_video_memory": 8 * GIB,
    "dedicated_system_memory": 0,
    "shared_system_memory": 16 * GIB,
    "luid": (0xD1F2, -1),
    "flags": 0,
}
LUID = 0xFFFFFFFF_0000D1F2


# DXGI


def test_every_adapter_is_told_of_and_given_back() -> None:
    library = Dxgi([RADEON, None, {"description": "Basic", "luid": (3, 0), "flags": 2}])

    assert dxgi.adapters(library) == {
        "status": 0,
        "adapters": [
            {**RADEON, "luid": LUID},
            {
                "description": "Basic",
                "vendor_id": 0,
                "device_id": 0,
                "subsystem_id": 0,
                "revision": 0,
                "dedicated_video_memory": 0,
                "dedicated_system_memory": 0,
                "shared_system_memory": 0,
                "luid": 3,
                "flags": 2,
            },
        ],
    }
    assert library.released == ["adapter 0", "adapter 1", "adapter 2", "factory"]


def test_a_name_may_fill_all_its_room_and_hold_letters_of_two_units() -> None:
    names = ["x" * 128, "x" * 127 + "\U0001f600", "Grafikkarte \u00e4\U0001f600"]

    found = dxgi.adapters(Dxgi([{"description": name} for name in names]))["adapters"]

    # The second is cut in the middle of its last letter.
    assert [each["description"] for each in found] == [names[0], "x" * 127 + "\ufffd", names[2]]


def test_without_a_factory_there_is_its_status() -> None:
    assert dxgi.adapters(Dxgi([], status=0x80004002)) == {"status": 0x80004002, "adapters": []}


def test_an_enumeration_without_an_end_is_left() -> None:
    library = Dxgi([RADEON], endless=True)

    assert len(dxgi.adapters(library)["adapters"]) == dxgi.MOST
    assert len(library.released) == dxgi.MOST + 1


# DXCore


@pytest.mark.parametrize("answer", [True, False])
def test_dxcore_tells_what_is_part_of_the_processor(answer: bool) -> None:
    library = Dxcore({(0xD1F2, -1): answer})

    assert dxcore.is_integrated(library, LUID) is answer
    assert library.released == ["adapter", "factory"]


def test_what_dxcore_does_not_know_is_not_told() -> None:
    unsupported = Dxcore({(0xD1F2, -1): True}, supported=False)

    assert dxcore.is_integrated(unsupported, LUID) is None
    assert dxcore.is_integrated(Dxcore({}), LUID) is None
    assert unsupported.released == ["adapter", "factory"]


# D3DKMT


def test_what_the_kernel_tells_is_there_by_query() -> None:
    library = Gdi32(
        {
            (0xA18D, 0): {},
            (0xD1F2, -1): {
                6: {"bus": 3, "device": 0, "function": 0},
                18: {"version": 32 << 48 | 21041 << 16 | 1000},
                61: {"frequency": 168_000_000},
                62: {"temperature": 570, "fan_rpm": 843, "memory_frequency": 1_744_000_000},
            },
        }
    )

    assert d3dkmt.ask(library, LUID, d3dkmt.LASTING) == {
        "status": 0,
        "address": {"bus": 3, "device": 0, "function": 0},
        "kind": None,
        "driver_version": {"version": 32 << 48 | 21041 << 16 | 1000},
    }
    present = d3dkmt.ask(library, LUID, d3dkmt.PRESENT)
    assert present["limits"] is None
    assert present["engine"]["frequency"] == 168_000_000
    assert present["performance"] == {
        "physical_adapter": 0,
        "memory_frequency": 1_744_000_000,
        "max_memory_frequency": 0,
        "max_memory_frequency_overclocked": 0,
        "memory_bandwidth": 0,
        "pcie_bandwidth": 0,
        "fan_rpm": 843,
        "power": 0,
        "temperature": 570,
        "power_state_override": 0,
    }
    assert library.open == []
    assert sorted(library.queries) == [(6, 12), (15, 4), (18, 8), (61, 56), (62, 64), (63, 40)]


def test_an_adapter_that_is_gone_answers_nothing() -> None:
    answer = d3dkmt.ask(Gdi32({}), LUID, d3dkmt.PRESENT)

    assert answer == {
        "status": 0xC000000D,
        "engine": None,
        "performance": None,
        "limits": None,
    }


# PDH

DEDICATED, SHARED, LOCAL, NON_LOCAL, ENGINE = (each.path for each in pdh.COUNTERS.values())
ADAPTER = "luid_0x00000000_0x0000D1F2_phys_0"
NOTHING = {"status": 0, "instances": 0, "zeros": 0, "items": []}


def counters(**options: Any) -> Pdh:
    arrays: dict[str, Any] = dict.fromkeys((DEDICATED, SHARED, LOCAL, NON_LOCAL, ENGINE), ())
    return Pdh({**arrays, **options.pop("arrays", {})}, **options)


def test_items_are_walked_through_with_their_names() -> None:
    library = counters(
        arrays={
            DEDICATED: [(ADAPTER, 0, 1164 * 2**20), ("luid_\u00e4\u0100", 1, 0)],
            ENGINE: [("a", 0, 12.5), ("b", 0, 0.0), ("c", 0xC0000BBA, 99.0), ("", 1, 3.25)],
            LOCAL: [("x", 0, -1), ("y", 0, 0)],
        }
    )

    assert pdh.Counters(library).collect() == {
        "adapter_dedicated": {
            "status": 0,
            "instances": 2,
            "zeros": 0,
            "items": [[ADAPTER, 1164 * 2**20], ["luid_\u00e4\u0100", 0]],
        },
        "adapter_shared": NOTHING,
        "process_local": {"status": 0, "instances": 2, "zeros": 1, "items": [["x", -1]]},
        "process_non_local": NOTHING,
        "engine": {"status": 0, "instances": 4, "zeros": 1, "items": [["a", 12.5], ["", 3.25]]},
    }
    assert library.collected == 1


@pytest.mark.parametrize("too_small", [pdh.MORE_DATA, pdh.INVALID_ARGUMENT])
def test_an_array_that_grew_meanwhile_is_asked_for_anew(too_small: int) -> None:
    arrays = {DEDICATED: [(ADAPTER, 0, 5)]}
    passing = counters(arrays=arrays, grows=pdh.ATTEMPTS - 1, too_small=too_small)
    lasting = counters(arrays=arrays, grows=1000, too_small=too_small)

    assert pdh.Counters(passing).collect()["adapter_dedicated"]["items"] == [[ADAPTER, 5]]
    assert pdh.Counters(lasting).collect()["adapter_dedicated"] == {**NOTHING, "status": too_small}


def test_a_counter_that_windows_lacks_costs_itself_only() -> None:
    library = Pdh({DEDICATED: [(ADAPTER, 0, 5)]})

    collected = pdh.Counters(library).collect()

    assert collected["engine"] == {**NOTHING, "status": 0xC0000BB8}
    assert collected["adapter_dedicated"]["items"] == [[ADAPTER, 5]]


def test_a_collection_that_fails_has_its_status_everywhere() -> None:
    collected = pdh.Counters(counters(collecting=0x800007D5)).collect()

    assert list(collected) == list(pdh.COUNTERS)
    assert all(each == {**NOTHING, "status": 0x800007D5} for each in collected.values())


def test_without_a_query_nothing_is_asked_or_closed() -> None:
    library = counters(opening=0xC0000BBB)
    opened = pdh.Counters(library)

    assert opened.collect()["engine"] == {**NOTHING, "status": 0xC0000BBB}
    opened.close()
    assert (library.collected, library.closed) == (0, 0)


def test_the_query_is_closed_once() -> None:
    library = counters()
    opened = pdh.Counters(library)

    opened.close()
    opened.close()

    assert library.closed == 1
    assert opened.collect()["engine"]["status"] == pdh.INVALID_ARGUMENT


@given(st.binary(max_size=200), st.integers(0, 2**32 - 1))
def test_no_buffer_is_read_past_its_end(content: bytes, instances: int) -> None:
    buffer = ctypes.create_string_buffer(content, len(content)) if content else None
    if buffer is None:
        return

    array = pdh._items(buffer, instances, pdh.COUNTERS["engine"])

    assert array["instances"] <= len(content) // ctypes.sizeof(pdh.Item)


# The registry


class Winreg:
    """Python's winreg with one tree of keys."""

    HKEY_LOCAL_MACHINE = "HKLM"

    def __init__(self, keys: dict[str, dict[str, Any] | OSError]) -> None:
        self.keys = keys

    def OpenKey(self, key: Any, name: str) -> "Key":  # noqa: N802
        if key == self.HKEY_LOCAL_MACHINE:
            assert name == registry.DISPLAY
            return Key(self.keys)
        values = key.values[name]
        if isinstance(values, OSError):
            raise values
        return Key(values)

    def EnumKey(self, key: "Key", index: int) -> str:  # noqa: N802
        if index >= len(key.values):
            raise OSError(259, "no more data")
        return list(key.values)[index]

    def QueryValueEx(self, key: "Key", name: str) -> tuple[Any, int]:  # noqa: N802
        if name not in key.values:
            raise FileNotFoundError(2, "not found")
        return key.values[name], 11


class Key:
    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values

    def __enter__(self) -> "Key":
        return self

    def __exit__(self, *_: object) -> None:
        pass


def test_the_registry_has_all_64_bits_of_a_memory_size() -> None:
    size = "HardwareInformation.qwMemorySize"
    device = "MatchingDeviceId"
    keys: dict[str, dict[str, Any] | OSError] = {
        "0000": {device: r"PCI\VEN_10DE&DEV_2206", size: 10737418240},
        "0001": {device: r"PCI\VEN_1002&DEV_164E", size: (536870912).to_bytes(8, "little")},
        "0002": {device: r"PCI\VEN_8086&DEV_4692"},
        "0003": {device: 7, size: "many"},
        "Configuration": PermissionError(13, "denied"),
    }

    assert registry.display_adapters(Winreg(keys)) == [
        {"device": r"PCI\VEN_10DE&DEV_2206", "memory_bytes": 10737418240},
        {"device": r"PCI\VEN_1002&DEV_164E", "memory_bytes": 536870912},
        {"device": r"PCI\VEN_8086&DEV_4692", "memory_bytes": None},
        {"device": None, "memory_bytes": None},
    ]


def test_without_the_key_nothing_is_registered() -> None:
    class Empty(Winreg):
        def OpenKey(self, key: Any, name: str) -> Key:  # noqa: N802
            raise FileNotFoundError(2, name)

    assert registry.display_adapters(Empty({})) == []
