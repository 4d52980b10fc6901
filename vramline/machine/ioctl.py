"""One ioctl on a device file. Linux only.

Not by ``fcntl.ioctl``: that hands the kernel a copy of a small argument, into which
no pointer can point.

https://man7.org/linux/man-pages/man2/ioctl.2.html
"""

import ctypes
import os
from collections.abc import Mapping

POINTER = ctypes.sizeof(ctypes.c_uint64)
"""DRM's arguments have 64 bits for a pointer on every system."""


def call(path: str, request: int, memory: bytes, pointers: Mapping[int, int]) -> bytes:
    """Make the call that ``Machine.ioctl`` explains. Raises ``OSError``."""
    buffer = ctypes.create_string_buffer(memory, len(memory))
    start = ctypes.addressof(buffer)
    for place, target in pointers.items():
        ctypes.c_uint64.from_buffer(buffer, place).value = start + target
    descriptor = os.open(path, os.O_RDWR | getattr(os, "O_CLOEXEC", 0))
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.ioctl(descriptor, ctypes.c_ulong(request), buffer) == -1:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), path)
    finally:
        os.close(descriptor)
    for place, target in pointers.items():
        ctypes.c_uint64.from_buffer(buffer, place).value = target
    return buffer.raw
