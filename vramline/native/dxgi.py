"""Which graphics adapters Windows has, by dxgi.dll.

https://learn.microsoft.com/windows/win32/api/dxgi/nf-dxgi-createdxgifactory1
https://learn.microsoft.com/windows/win32/api/dxgi/nf-dxgi-idxgifactory1-enumadapters1
"""

import ctypes
from collections.abc import Iterator
from typing import Any

from vramline.native.com import (
    HRESULT,
    SIZE_T,
    UINT,
    WCHAR,
    ComObject,
    Luid,
    failed,
    from_luid,
    guid,
    place,
    unsigned,
)

FACTORY = "770aae78-f26f-4dba-a829-253c83d1b387"
"""IDXGIFactory1."""
ENUM_ADAPTERS_1 = 12
"""After IUnknown's 3 methods, IDXGIObject's 4 and IDXGIFactory's 5."""
GET_DESC_1 = 10
"""After IUnknown's 3 methods, IDXGIObject's 4 and IDXGIAdapter's 3."""
MOST = 64
"""No machine has so many: an enumeration that does not end is left there."""


class AdapterDescription(ctypes.Structure):
    """DXGI_ADAPTER_DESC1.

    https://learn.microsoft.com/windows/win32/api/dxgi/ns-dxgi-dxgi_adapter_desc1
    """

    _fields_ = (
        ("description", WCHAR * 128),
        ("vendor_id", UINT),
        ("device_id", UINT),
        ("subsystem_id", UINT),
        ("revision", UINT),
        ("dedicated_video_memory", SIZE_T),
        ("dedicated_system_memory", SIZE_T),
        ("shared_system_memory", SIZE_T),
        ("luid", Luid),
        ("flags", UINT),
    )


_NUMBERS = [name for name, kind in AdapterDescription._fields_ if kind in (UINT, SIZE_T)]


def adapters(dxgi: Any) -> dict[str, Any]:
    """Return ``{"status": ..., "adapters": [...]}``, the adapters in DXGI's order.

    Args:
        dxgi: The library.
    """
    identifier, factory = guid(FACTORY), ctypes.c_void_p()
    status = unsigned(dxgi.CreateDXGIFactory1(place(identifier), place(factory)))
    if failed(status) or factory.value is None:
        return {"status": status, "adapters": []}
    with ComObject(factory.value) as opened:
        return {"status": status, "adapters": list(_enumerate(opened))}


def _enumerate(factory: ComObject) -> Iterator[dict[str, Any]]:
    for index in range(MOST):
        address = ctypes.c_void_p()
        status = factory.call(ENUM_ADAPTERS_1, HRESULT, UINT(index), place(address))
        if failed(status) or address.value is None:  # DXGI_ERROR_NOT_FOUND, behind the last
            return
        told = AdapterDescription()
        with ComObject(address.value) as adapter:
            status = adapter.call(GET_DESC_1, HRESULT, place(told))
        if not failed(status):
            yield _plain(told)


def _plain(told: AdapterDescription) -> dict[str, Any]:
    name = bytes(told.description).decode("utf-16-le", "replace").partition("\0")[0]
    numbers = {name: int(getattr(told, name)) for name in _NUMBERS}
    return {"description": name, **numbers, "luid": from_luid(told.luid)}
