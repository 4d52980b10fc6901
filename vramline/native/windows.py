"""What Windows tells of its GPUs. Windows only: elsewhere the import raises ``ImportError``.

This module joins the real libraries to the functions beside it, and does nothing
else. All of it was written from Microsoft's documentation and headers, and has been run
against stand-ins alone (``tests/native``), never on Windows.

Each function may raise ``OSError`` where a library is not there, and ``AttributeError``
where it lacks a function.
"""

import sys

if sys.platform != "win32":
    raise ImportError("vramline.native.windows needs Windows", name=__name__)

import ctypes
import time
import winreg
from functools import cache
from typing import Any

from vramline.native import d3dkmt, dxcore, dxgi, pdh, registry

SYSTEM_FOLDER_ONLY = 0x00000800
"""LOAD_LIBRARY_SEARCH_SYSTEM32: no library of that name from elsewhere is loaded.

https://learn.microsoft.com/windows/win32/api/libloaderapi/nf-libloaderapi-loadlibraryexw
"""


@cache
def _library(name: str) -> Any:
    return ctypes.WinDLL(name, winmode=SYSTEM_FOLDER_ONLY)


def adapters() -> dict[str, Any]:
    """Return DXGI's adapters, software ones among them: see ``dxgi.adapters``."""
    return dxgi.adapters(_library("dxgi.dll"))


def is_integrated(luid: int) -> bool | None:
    """Return whether the adapter is part of the processor, ``None`` where Windows does not tell."""
    try:
        return dxcore.is_integrated(_library("dxcore.dll"), luid)
    except OSError:  # before Windows 10 2004
        return None


def lasting(luid: int) -> dict[str, Any]:
    """Return what does not change while the machine runs: see ``d3dkmt.LASTING``."""
    return d3dkmt.ask(_library("gdi32.dll"), luid, d3dkmt.LASTING)


def present(luid: int) -> dict[str, Any]:
    """Return what the sensors say: see ``d3dkmt.PRESENT``."""
    return d3dkmt.ask(_library("gdi32.dll"), luid, d3dkmt.PRESENT)


def registered() -> list[dict[str, Any]]:
    """Return what the registry has on display adapters: see ``registry.display_adapters``."""
    return registry.display_adapters(winreg)


def open_counters() -> pdh.Counters:
    """Return the performance counters, to be collected again and again."""
    return pdh.Counters(_library("pdh.dll"))


def seconds() -> float:
    """Return the seconds since some moment. Asked here, a recording of the counters has it too."""
    return time.monotonic()
