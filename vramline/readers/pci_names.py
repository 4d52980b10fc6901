"""What a device is called, from the list of PCI ids that most systems have.

https://pci-ids.ucw.cz/
"""

import re

from vramline.machine import Machine
from vramline.machine.files import read
from vramline.readers.drm import Card

LISTS = ("/usr/share/hwdata/pci.ids", "/usr/share/misc/pci.ids", "/usr/share/pci.ids")


def name_of(machine: Machine, card: Card, maker: str) -> str | None:
    """Return the card's name, with who made the chip before it."""
    if card.vendor_id is None or card.device_id is None:
        return None
    name = device_name(machine, card.vendor_id, card.device_id)
    return None if name is None else f"{maker} {marketing_name(name)}"


def device_name(machine: Machine, vendor_id: str, device_id: str) -> str | None:
    """Return the name that the list has for the device, or ``None``.

    Args:
        vendor_id: With *device_id* four hex digits, in lower case.
    """
    for path in LISTS:
        if found := _search(read(machine, path), vendor_id, device_id):
            return found
    return None


def marketing_name(name: str) -> str:
    """Return what the device is sold as: the list has it in brackets after the chip's name."""
    sold_as = re.search(r"\[(.+)\]\s*$", name)
    return sold_as[1] if sold_as else name


def _search(names: str, vendor_id: str, device_id: str) -> str | None:
    # By two searches in one string: taking 40 000 lines apart would cost a hundred times that.
    start = f"\n{names}".find(f"\n{vendor_id}  ")
    if start < 0:
        return None
    end = re.compile(r"\n[0-9a-fC]").search(names, start + 1)
    section = names[start : end.start() if end else len(names)]
    line = re.search(rf"^\t{device_id}  (.+)$", section, re.MULTILINE)
    return line[1].strip() if line else None
