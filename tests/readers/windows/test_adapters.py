from typing import Any

import pytest

from tests.readers.windows.machines import BASIC, NAVI, NAVI_USED, PLACE, navi
from tests.readers.windows.standin import FakeWindows, adapter
from vramline.errors import ReadError, ReaderUnavailableError
from vramline.machine import RecordedMachine
from vramline.readers.windows import open_reader
from vramline.readings import Cause, MemoryPool
from vramline.units import GIB, MIB


def test_away_from_windows_there_is_nothing_to_read() -> None:
    with pytest.raises(ReaderUnavailableError, match="not Windows"):
        open_reader(RecordedMachine({}, platform="linux"))


@pytest.mark.parametrize(
    "listed",
    [
        [],
        [BASIC],
        [adapter(5, (0x1AF4, 1), "Some software", flags=2)],
        [adapter(0x77, (0x1234, 1), "By its kind")],
        [None, 7, {}, {"luid": -1}, {"luid": "5"}],
    ],
)
def test_software_is_no_gpu(listed: list[Any]) -> None:
    windows = FakeWindows(listed, lasting={0x77: {"kind": {"bits": 1 << 2}}})

    with pytest.raises(ReaderUnavailableError, match="install the driver"):
        open_reader(windows.machine())


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ({"status": 0x887A0004, "adapters": []}, "failed with 0x887a0004"),
        (OSError("no dxgi.dll"), "gave no answer"),
        ("nonsense", "gave no answer"),
    ],
)
def test_without_dxgi_nothing_can_be_read(answers: Any, told: str) -> None:
    windows = FakeWindows([])
    windows.answers = answers

    with pytest.raises(ReadError, match=told):
        open_reader(windows.machine())


def test_a_gpu_that_is_listed_twice_is_there_once() -> None:
    listed = navi().answers["adapters"][0]
    windows = navi()
    windows.answers["adapters"] = [listed, listed, {**listed, "luid": 0xEEEE}]
    windows.kernel["lasting"][0xEEEE] = PLACE

    reader = open_reader(windows.machine())

    assert reader.devices() == ("0000:03:00.0",)
    assert reader.read("0000:03:00.0")[0].memory_used_bytes == NAVI_USED


@pytest.mark.parametrize(
    ("vendor_id", "vendor"),
    [
        (0x1002, "amd"),
        (0x1022, "amd"),
        (0x10DE, "nvidia"),
        (0x8086, "intel"),
        (0x5143, "qualcomm"),
        (0x4D4F4351, "qualcomm"),
        (0x1D17, "pci:1d17"),
    ],
)
def test_the_vendor_is_told_by_its_number(vendor_id: int, vendor: str) -> None:
    windows = FakeWindows([adapter(9, (vendor_id, 1), "A GPU")])
    reader = open_reader(windows.machine())

    assert reader.describe(reader.devices()[0], Cause.TIMEOUT).vendor == vendor


def test_a_gpu_on_no_pci_bus_is_named_by_what_it_is() -> None:
    adreno = ((0x4D4F4351, 0x36334330), "Qualcomm(R) Adreno(TM) X1-85 GPU")
    windows = FakeWindows(
        [adapter(20, *adreno), adapter(10, *adreno, subsystem_id=7), adapter(11, *adreno)],
        lasting={10: {"address": {"bus": 0xFFFFFFFF, "device": 0, "function": 0}}},
    )
    reader = open_reader(windows.machine())

    assert reader.devices() == (
        "qualcomm:36334330:00000000:0",
        "qualcomm:36334330:00000007:0",
        "qualcomm:36334330:00000000:1",
    )
    assert [reader.describe(key, Cause.TIMEOUT).index for key in reader.devices()] == [0, 1, 2]
    assert reader.read(reader.devices()[0])[0].unknown["pci_address"] is Cause.NOT_SUPPORTED


@pytest.mark.parametrize(
    ("fields", "address"),
    [
        ({"bus": 1, "device": 0, "function": 0}, "0000:01:00.0"),
        ({"bus": 0x0F01, "device": 31, "function": 7}, "000f:01:1f.7"),
        ({"bus": 1, "device": 32, "function": 0}, None),
        ({"bus": 1, "device": 0, "function": 8}, None),
        ({"bus": 1 << 24, "device": 0, "function": 0}, None),
        ({"bus": 1, "device": 0}, None),
        (None, None),
    ],
)
def test_where_a_gpu_sits(fields: Any, address: str | None) -> None:
    windows = navi(lasting={NAVI: {"address": fields}})
    reader = open_reader(windows.machine())

    assert reader.describe(reader.devices()[0], Cause.TIMEOUT).pci_address == address


@pytest.mark.parametrize(
    ("told", "kind", "own", "pool"),
    [
        (True, 0, 4 * GIB, MemoryPool.UNIFIED),
        (False, 0, 128 * MIB, MemoryPool.VRAM),
        (None, 1 << 5, 4 * GIB, MemoryPool.UNIFIED),
        (None, 1 << 4, 128 * MIB, MemoryPool.VRAM),
        (None, 0, 512 * MIB, MemoryPool.UNIFIED),
        (None, 0, 512 * MIB + 1, MemoryPool.VRAM),
        (True, 0, 16 * GIB, MemoryPool.UNIFIED),
        (True, 0, 16 * GIB + 1, MemoryPool.VRAM),
        (True, 0, 0, MemoryPool.UNIFIED),
    ],
)
def test_whose_memory_a_model_would_be_loaded_into(
    told: bool | None, kind: int, own: int, pool: MemoryPool
) -> None:
    listed = adapter(
        7, (0x1002, 1), "A GPU", dedicated_video_memory=own, shared_system_memory=16 * GIB
    )
    windows = FakeWindows(
        [listed],
        lasting={7: {"kind": {"bits": kind}}},
        integrated={} if told is None else {7: told},
    )
    reader = open_reader(windows.machine())

    assert reader.describe(reader.devices()[0], Cause.TIMEOUT).memory_pool is pool


@pytest.mark.parametrize(
    ("description", "name"),
    [
        ("AMD Radeon\x1b[31m RX\u202e  5700\n", "AMD Radeon[31m RX 5700"),
        ("\x00\x07", None),
        ("", None),
        (None, None),
    ],
)
def test_a_name_is_fit_to_be_shown(description: Any, name: str | None) -> None:
    windows = navi()
    windows.answers["adapters"][0]["description"] = description
    reader = open_reader(windows.machine())

    assert reader.describe("0000:03:00.0", Cause.TIMEOUT).name == name
