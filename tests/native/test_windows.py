"""The module that joins the real libraries to the calls, with the libraries made up."""

import ctypes
import importlib
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from tests.native.standins import Dxcore, Dxgi, Gdi32, Pdh
from vramline.machine import LiveMachine, RecordedMachine
from vramline.native import pdh
from vramline.readers.windows import open_reader
from vramline.readings import GpuProcess, ProcessKind
from vramline.units import GIB

NAME = "vramline.native.windows"
DEDICATED = pdh.COUNTERS["adapter_dedicated"].path
LOCAL = pdh.COUNTERS["process_local"].path
ENGINE = pdh.COUNTERS["engine"].path

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the libraries are real there")


class Loader:
    """Stands where ``ctypes.WinDLL`` does."""

    def __init__(self, libraries: dict[str, Any]) -> None:
        self.libraries = libraries
        self.loaded: list[tuple[str, int]] = []

    def __call__(self, name: str, *, winmode: int) -> Any:
        self.loaded.append((name, winmode))
        if name not in self.libraries:
            raise FileNotFoundError(f"Could not find module {name!r}")
        return self.libraries[name]


@pytest.fixture
def loader(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loader]:
    """Windows, as far as the module can tell."""
    loader = Loader({})
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(ctypes, "WinDLL", loader, raising=False)
    monkeypatch.setitem(sys.modules, "winreg", ModuleType("winreg"))
    yield loader
    sys.modules.pop(NAME, None)


def test_elsewhere_the_import_says_that_it_needs_windows() -> None:
    with pytest.raises(ImportError, match="needs Windows"):
        LiveMachine().library(NAME)


def test_each_function_has_its_library_from_the_system_folder(loader: Loader) -> None:
    loader.libraries.update(
        {
            "dxgi.dll": Dxgi([{"description": "One", "luid": (7, 0)}]),
            "dxcore.dll": Dxcore({(7, 0): True}),
            "gdi32.dll": Gdi32({(7, 0): {6: {"bus": 1}, 61: {"frequency": 5}}}),
            "pdh.dll": Pdh({}),
        }
    )
    windows: Any = importlib.import_module(NAME)

    assert [each["description"] for each in windows.adapters()["adapters"]] == ["One"]
    assert windows.is_integrated(7) is True
    assert windows.lasting(7)["address"] == {"bus": 1, "device": 0, "function": 0}
    assert windows.present(7)["engine"]["frequency"] == 5
    assert windows.open_counters().collect()["engine"]["status"] == 0xC0000BB8
    assert windows.seconds() <= windows.seconds()
    assert loader.loaded == [
        ("dxgi.dll", 0x800),
        ("dxcore.dll", 0x800),
        ("gdi32.dll", 0x800),
        ("pdh.dll", 0x800),
    ]


def test_a_windows_without_dxcore_does_not_know_what_is_integrated(loader: Loader) -> None:
    windows: Any = importlib.import_module(NAME)

    assert windows.is_integrated(7) is None


def test_a_card_is_read_through_all_of_it(loader: Loader) -> None:
    instance = "luid_0xFFFFFFFF_0x0000D1F2_phys_0"
    card = {
        "description": "AMD Radeon RX 5700 XT",
        "vendor_id": 0x1002,
        "dedicated_video_memory": 8 * GIB,
        "luid": (0xD1F2, -1),
    }
    counters = Pdh(
        {
            DEDICATED: [(instance, 0, GIB)],
            LOCAL: [(f"pid_70_{instance}", 1, GIB)],
            ENGINE: [(f"pid_70_{instance}_eng_0_engtype_3D", 0, 40.0)],
        }
    )
    answers = {
        6: {"bus": 3, "device": 0, "function": 0},
        62: {"temperature": 570},
    }
    loader.libraries.update(
        {
            "dxgi.dll": Dxgi([card]),
            "dxcore.dll": Dxcore({(0xD1F2, -1): False}),
            "gdi32.dll": Gdi32({(0xD1F2, -1): answers}),
            "pdh.dll": counters,
        }
    )
    now = iter(range(100))
    windows = importlib.import_module(NAME)
    module = ModuleType(NAME)
    vars(module).update({**vars(windows), "seconds": lambda: float(next(now))})
    machine = RecordedMachine({}, libraries={NAME: module})
    reader = open_reader(machine)
    reader.read("0000:03:00.0")
    [gpu] = reader.read("0000:03:00.0")
    reader.close()

    assert (gpu.memory_total_bytes, gpu.memory_used_bytes) == (8 * GIB, GIB)
    assert (gpu.utilization_percent, gpu.temperature_celsius) == (40.0, 57.0)
    assert gpu.processes == (GpuProcess(pid=70, memory_bytes=GIB, kind=ProcessKind.GRAPHICS),)
    assert counters.closed == 1
