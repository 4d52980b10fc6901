"""The ioctl itself, on a device that every Linux has."""

import errno
import os
import struct
import sys
from collections.abc import Iterator

import pytest

from vramline.machine import LiveMachine

pytestmark = pytest.mark.linux
if sys.platform != "linux":
    pytest.skip("ioctls are asked of Linux alone", allow_module_level=True)
fcntl = pytest.importorskip("fcntl")

TIOCGWINSZ, TIOCSWINSZ = 0x5413, 0x5414


@pytest.fixture
def terminal() -> Iterator[str]:
    """Give the path of a terminal of 24 rows and 80 columns."""
    ours, theirs = os.openpty()
    try:
        fcntl.ioctl(ours, TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        yield os.ttyname(theirs)
    finally:
        os.close(ours)
        os.close(theirs)


def test_the_memory_comes_back_as_the_driver_left_it(terminal: str) -> None:
    answer = LiveMachine().ioctl(terminal, TIOCGWINSZ, bytes(8) + b"rest", {})

    assert answer == struct.pack("HHHH", 24, 80, 0, 0) + b"rest"


def test_where_a_pointer_was_the_offset_is_again(terminal: str) -> None:
    answer = LiveMachine().ioctl(terminal, TIOCGWINSZ, bytes(24), {8: 16})

    assert answer == struct.pack("HHHH", 24, 80, 0, 0) + struct.pack("QQ", 16, 0)


def test_a_device_that_does_not_know_the_request_refuses_it() -> None:
    with pytest.raises(OSError, match=os.strerror(errno.ENOTTY)):
        LiveMachine().ioctl("/dev/null", TIOCGWINSZ, bytes(8), {})


def test_a_device_that_is_not_there_is_the_error_of_opening_it() -> None:
    with pytest.raises(FileNotFoundError):
        LiveMachine().ioctl("/dev/dri/renderD4095", TIOCGWINSZ, bytes(8), {})


def test_no_descriptor_is_left_open(terminal: str) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for path in (terminal, "/dev/null"):
        try:
            LiveMachine().ioctl(path, TIOCGWINSZ, bytes(8), {})
        except OSError:
            continue

    assert len(os.listdir("/proc/self/fd")) == before
