"""COM objects and what else Windows' libraries have in common.

Every type has its size written out, as Windows has it on every processor, so
that the layouts are the same wherever they are looked at. Only pointers and
``SIZE_T`` are as wide as the process.

https://learn.microsoft.com/windows/win32/winprog/windows-data-types
https://learn.microsoft.com/windows/win32/prog-dx-with-com
"""

import ctypes
import uuid
from typing import Any, Self

UINT = ULONG = DWORD = ctypes.c_uint32
LONG = HRESULT = ctypes.c_int32
ULONGLONG = ctypes.c_uint64
SIZE_T = ctypes.c_size_t
WCHAR = ctypes.c_uint16
POINTER = ctypes.c_void_p

FUNCTION: Any = getattr(ctypes, "WINFUNCTYPE", ctypes.CFUNCTYPE)
"""The convention of Windows' calls. Away from Windows, where tests stand in for it, C's."""

RELEASE = 2
"""The third method of every COM object, which gives it back."""


class Guid(ctypes.Structure):
    """https://learn.microsoft.com/windows/win32/api/guiddef/ns-guiddef-guid."""

    _fields_ = (
        ("data1", ctypes.c_uint32),
        ("data2", ctypes.c_uint16),
        ("data3", ctypes.c_uint16),
        ("data4", ctypes.c_uint8 * 8),
    )


class Luid(ctypes.Structure):
    """Names an adapter until the next boot.

    https://learn.microsoft.com/windows/win32/api/winnt/ns-winnt-luid
    """

    _fields_ = (("low", DWORD), ("high", LONG))


def guid(text: str) -> Guid:
    """Return the identifier that is written like that."""
    return Guid.from_buffer_copy(uuid.UUID(text).bytes_le)


def to_luid(number: int) -> Luid:
    """Return the LUID of that number. Its upper half is signed, and wraps."""
    return Luid(number & 0xFFFFFFFF, number >> 32 & 0xFFFFFFFF)


def from_luid(luid: Luid) -> int:
    """Return a LUID as one number without a sign."""
    return int(luid.high & 0xFFFFFFFF) << 32 | int(luid.low)


def unsigned(status: int) -> int:
    """Return a status as Microsoft writes it, such as ``0x887A0002``."""
    return status & 0xFFFFFFFF


def failed(status: int) -> bool:
    """Tell whether an ``HRESULT`` or an ``NTSTATUS`` is a failure: its uppermost bit is set."""
    return bool(status & 0x80000000)


def place(value: Any) -> ctypes.c_void_p:
    """Return where *value* lies, for a call to write to. The caller keeps *value* alive."""
    return ctypes.c_void_p(ctypes.addressof(value))


class ComObject:
    """A COM object, which is given back at the end of the ``with``."""

    def __init__(self, address: int) -> None:
        self._address = address

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.call(RELEASE, ULONG)

    def call(self, method: int, result: Any, *arguments: Any) -> Any:
        """Call the method at that place in the object's table.

        Args:
            result: The type of what it returns.
            arguments: Instances of ctypes' types, as the call wants them.
        """
        table = POINTER.from_address(self._address).value or 0
        function = POINTER.from_address(table + method * ctypes.sizeof(POINTER)).value
        prototype = FUNCTION(result, POINTER, *(type(each) for each in arguments))
        return prototype(function)(self._address, *arguments)
