"""Which card this is, across reboots, and what it is called."""

import re
from collections import Counter
from collections.abc import Sequence

from vramline.machine import Machine
from vramline.machine.files import read
from vramline.readers.drm import Card
from vramline.readers.pci_names import name_of

MARKETING_NAMES = "/usr/share/libdrm/amdgpu.ids"
LONGEST_NAME = 100


def uids(machine: Machine, cards: Sequence[Card]) -> dict[str, str]:
    """Return each card's uid, by address: ROCm's UUID of it, else the address.

    The driver tells the number from Vega on; reading it wakes nothing. ROCm puts
    ``GPU-`` before its 16 hex digits
    (https://rocm.docs.amd.com/en/latest/conceptual/gpu-isolation.html).
    A number that is zero, or that two cards share, is none.
    """
    numbers = {card.address: _unique_id(machine, card) for card in cards}
    times = Counter(numbers.values())
    return {
        address: f"GPU-{number:016x}" if number and times[number] == 1 else address
        for address, number in numbers.items()
    }


def name(machine: Machine, card: Card) -> str | None:
    """Return what the card is sold as: as it says itself, else by its ids."""
    own = read(machine, f"{card.device}/product_name")  # empty on all but servers' cards
    if own.isprintable() and 0 < len(own) <= LONGEST_NAME:
        return own if own.upper().startswith("AMD") else f"AMD {own}"
    return _marketing_name(machine, card) or name_of(machine, card, "AMD")


def _unique_id(machine: Machine, card: Card) -> int | None:
    text = read(machine, f"{card.device}/unique_id")
    return int(text, 16) if re.fullmatch(r"(?:0x)?[0-9a-fA-F]{1,16}", text) else None


def _marketing_name(machine: Machine, card: Card) -> str | None:
    """Return the name that libdrm's list has: it tells apart what shares a device id."""
    if card.device_id is None or card.revision is None:
        return None
    line = rf"^{card.device_id},\s*{card.revision},\s*(\S.*)$"
    found = re.search(line, read(machine, MARKETING_NAMES), re.MULTILINE | re.IGNORECASE)
    return found[1].strip() if found else None
