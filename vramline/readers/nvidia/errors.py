"""What NVML's error codes mean here.

https://docs.nvidia.com/deploy/nvml-api/group__nvmlDeviceEnumvs.html
"""

from vramline.readings import Cause

UNINITIALIZED = 1
INVALID_ARGUMENT = 2
NOT_SUPPORTED = 3
NO_PERMISSION = 4
NOT_FOUND = 6
DRIVER_NOT_LOADED = 9
LIBRARY_NOT_FOUND = 12
FUNCTION_NOT_FOUND = 13
GPU_IS_LOST = 15
RESET_REQUIRED = 16
OPERATING_SYSTEM = 17
LIB_RM_VERSION_MISMATCH = 18
ARGUMENT_VERSION_MISMATCH = 25
GPU_NOT_FOUND = 28
UNKNOWN = 999

_CAUSES = {
    NOT_SUPPORTED: Cause.NOT_SUPPORTED,
    FUNCTION_NOT_FOUND: Cause.DRIVER_TOO_OLD,
    ARGUMENT_VERSION_MISMATCH: Cause.DRIVER_TOO_OLD,
    NO_PERMISSION: Cause.NO_PERMISSION,
    OPERATING_SYSTEM: Cause.NO_PERMISSION,
    GPU_IS_LOST: Cause.LOST,
    RESET_REQUIRED: Cause.LOST,
    GPU_NOT_FOUND: Cause.LOST,
    10: Cause.TIMEOUT,
}

FOR_GOOD = (Cause.NOT_SUPPORTED, Cause.DRIVER_TOO_OLD)
"""Asking again helps only when the driver has changed."""

_WHY_CLOSED = {
    UNINITIALIZED: "another part of this program shut NVML down; it will be opened again",
    DRIVER_NOT_LOADED: (
        "the NVIDIA driver is not loaded: reboot if it was just installed, "
        "on Linux run `sudo modprobe nvidia`"
    ),
    LIBRARY_NOT_FOUND: (
        "the driver's library libnvidia-ml is not installed: install NVIDIA's driver, "
        "or start the container with access to the GPU"
    ),
    LIB_RM_VERSION_MISMATCH: (
        "the NVIDIA driver and its library libnvidia-ml are of different versions, "
        "as after a driver update: reboot, or on Linux unload and load the kernel module"
    ),
    NO_PERMISSION: (
        "this user may not open the NVIDIA driver: on Linux see who may read and write "
        "/dev/nvidiactl"
    ),
    OPERATING_SYSTEM: (
        "the system blocks the NVIDIA driver's devices, as a container that was not "
        "started with access to the GPU does"
    ),
    GPU_IS_LOST: "a GPU fell off the bus: reboot, on Linux after a look for Xid 79 in `dmesg`",
    UNKNOWN: (
        "NVML fails with an unknown error, as in a container that has lost its GPU: "
        "restart the container; on Linux look for Xid lines in `dmesg`"
    ),
}


def why_closed(code: int) -> str:
    """Return why nothing of the driver can be read, and what would mend it."""
    return _WHY_CLOSED.get(
        code, f"NVML fails with error {code}: on Linux look for NVRM lines in `dmesg`"
    )


ENDS_SESSION = (UNINITIALIZED, DRIVER_NOT_LOADED, LIB_RM_VERSION_MISMATCH)
"""With these no device can be read any more, whichever call they came from."""


def cause_of(code: int) -> Cause:
    """Return why a value is not known, given the NVML error code that came in its place."""
    return _CAUSES.get(code, Cause.DRIVER_ERROR)
