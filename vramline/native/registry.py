r"""What the drivers of display adapters left in the registry.

HKLM\SYSTEM\CurrentControlSet\Control\Class\{4d36e968-e325-11ce-bfc1-08002be10318}\0000 and so on:
https://learn.microsoft.com/windows-hardware/drivers/install/system-defined-device-setup-classes-available-to-vendors
https://learn.microsoft.com/windows-hardware/drivers/display/registering-hardware-information
"""

from itertools import count
from typing import Any

DISPLAY = r"SYSTEM\CurrentControlSet\Control\Class\{4d36e968-e325-11ce-bfc1-08002be10318}"
MATCHING_DEVICE = "MatchingDeviceId"
MEMORY_SIZE = "HardwareInformation.qwMemorySize"
MOST = 256


def display_adapters(winreg: Any) -> list[dict[str, Any]]:
    """Return of each adapter that was ever installed its device and the size of its memory.

    The size is all 64 bits of it. ``HardwareInformation.MemorySize``, and AdapterRAM
    in WMI, have 32: a card of 32 GB has 4293918720 there
    (https://github.com/AlexsJones/llmfit/issues/830).

    Args:
        winreg: Python's module.
    """
    found = []
    try:
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, DISPLAY) as display:
            for index in count():
                name = winreg.EnumKey(display, index)  # raises OSError behind the last
                if index >= MOST:
                    break
                found.append(_adapter(winreg, display, name))
    except OSError:
        pass
    return [each for each in found if each is not None]


def _adapter(winreg: Any, display: Any, name: str) -> dict[str, Any] | None:
    try:
        with winreg.OpenKey(display, name) as key:
            device = _value(winreg, key, MATCHING_DEVICE)
            size = _value(winreg, key, MEMORY_SIZE)
    except OSError:  # "Properties" is the system's alone
        return None
    if isinstance(size, bytes):  # some drivers write the same number as bytes
        size = int.from_bytes(size[:8], "little")
    return {
        "device": device if isinstance(device, str) else None,
        "memory_bytes": size if isinstance(size, int) else None,
    }


def _value(winreg: Any, key: Any, name: str) -> Any:
    try:
        return winreg.QueryValueEx(key, name)[0]
    except OSError:
        return None
