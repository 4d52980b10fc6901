"""Whether an adapter is part of the processor, by dxcore.dll. Windows 10 2004 and newer.

https://learn.microsoft.com/windows/win32/api/dxcore_interface/ne-dxcore_interface-dxcoreadapterproperty
Identifiers, and the order of the methods:
https://github.com/microsoft/DirectX-Headers/blob/main/include/directx/dxcore_interface.h
"""

import ctypes
from typing import Any

from vramline.native.com import HRESULT, SIZE_T, UINT, ComObject, failed, guid, place, to_luid

FACTORY = "78ee5945-c36e-4b13-a669-005dd11c0f06"
"""IDXCoreAdapterFactory."""
ADAPTER = "f0db4c7f-fe5a-42a2-bd62-f2a6cf6fc83e"
"""IDXCoreAdapter."""
GET_ADAPTER_BY_LUID = 4
"""After IUnknown's 3 methods and CreateAdapterList."""
IS_PROPERTY_SUPPORTED = 5
"""After IUnknown's 3 methods, IsValid and IsAttributeSupported."""
GET_PROPERTY = 6
IS_INTEGRATED = 12


def is_integrated(dxcore: Any, luid: int) -> bool | None:
    """Return what DXCore says, ``None`` where it does not.

    Args:
        dxcore: The library.
    """
    identifier, factory = guid(FACTORY), ctypes.c_void_p()
    status = dxcore.DXCoreCreateAdapterFactory(place(identifier), place(factory))
    if failed(status) or factory.value is None:
        return None
    with ComObject(factory.value) as opened:
        return _ask(opened, luid)


def _ask(factory: ComObject, luid: int) -> bool | None:
    which, identifier, address = to_luid(luid), guid(ADAPTER), ctypes.c_void_p()
    arguments = (place(which), place(identifier), place(address))
    status = factory.call(GET_ADAPTER_BY_LUID, HRESULT, *arguments)
    if failed(status) or address.value is None:
        return None
    answer = ctypes.c_bool()
    with ComObject(address.value) as adapter:
        if not adapter.call(IS_PROPERTY_SUPPORTED, ctypes.c_bool, UINT(IS_INTEGRATED)):
            return None
        size = SIZE_T(ctypes.sizeof(answer))
        status = adapter.call(GET_PROPERTY, HRESULT, UINT(IS_INTEGRATED), size, place(answer))
    return None if failed(status) else bool(answer.value)
