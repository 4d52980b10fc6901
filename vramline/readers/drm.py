"""The graphics cards that Linux's DRM drivers have taken, without waking any of them.

https://docs.kernel.org/gpu/drm-uapi.html
"""

import re
from collections.abc import Container
from dataclasses import dataclass

from vramline.machine import Machine
from vramline.machine.files import read
from vramline.readers.pci import ADDRESS, is_suspended, normal_address, read_id

CARDS = "/sys/class/drm"
LONGEST_VERSION = 100

_CARD = re.compile(r"card[0-9]+")  # card1-DP-1 is a connector
_NODE = re.compile(r"(?:card|renderD)[0-9]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One card.

    Attributes:
        folder: Such as ``/sys/class/drm/card0``. The number may change at the next boot.
        device: The folder of the device itself.
        driver: The kernel driver bound to it.
        address: On the PCI bus.
        vendor_id: With the three after it as PCI has them: four hex digits in
            lower case; ``None`` where the system does not tell.
        nodes: The device files through which programs use it.
    """

    folder: str
    device: str
    driver: str
    address: str
    vendor_id: str | None
    device_id: str | None
    subsystem: tuple[str, str] | None
    revision: str | None
    nodes: tuple[str, ...]

    @property
    def render_node(self) -> str | None:
        """The device file that needs no rights over a display."""
        return next((node for node in self.nodes if "/renderD" in node), None)


def find_cards(machine: Machine, drivers: Container[str]) -> list[Card]:
    """Return the cards on the PCI bus that one of *drivers* is bound to, by address."""
    try:
        names = machine.list(CARDS)
    except OSError:
        return []
    owners = {name: _address(machine, name) for name in names if _NODE.fullmatch(name)}
    cards = (
        _card(machine, name, address, owners)
        for name, address in owners.items()
        if address is not None and _CARD.fullmatch(name)
    )
    return sorted((each for each in cards if each.driver in drivers), key=lambda each: each.address)


def is_asleep(machine: Machine, card: Card) -> bool:
    """Tell whether the card is suspended. Reading that wakes nothing."""
    return is_suspended(machine, card.device)


def driver_version(machine: Machine, driver: str) -> str | None:
    """Return the driver's version: the kernel's own, for a driver that comes with the kernel."""
    for path in (f"/sys/module/{driver}/version", "/proc/sys/kernel/osrelease"):
        version = read(machine, path)
        if version.isprintable() and 0 < len(version) <= LONGEST_VERSION:
            return version
    return None


def _card(machine: Machine, name: str, address: str, owners: dict[str, str | None]) -> Card:
    device = f"{CARDS}/{name}/device"
    facts = _uevent(machine, name)
    vendor_id, device_id = _pair(facts.get("PCI_ID", "")) or (
        read_id(machine, f"{device}/vendor"),
        read_id(machine, f"{device}/device"),
    )
    return Card(
        folder=f"{CARDS}/{name}",
        device=device,
        driver=facts.get("DRIVER") or _last_of_link(machine, f"{device}/driver"),
        address=address,
        vendor_id=vendor_id,
        device_id=device_id,
        subsystem=_pair(facts.get("PCI_SUBSYS_ID", "")),
        revision=read_id(machine, f"{device}/revision", digits=2),
        nodes=tuple(f"/dev/dri/{node}" for node, owner in owners.items() if owner == address),
    )


def _address(machine: Machine, name: str) -> str | None:
    """Return where on the PCI bus the node's device sits; ``None`` where it is elsewhere."""
    told = _uevent(machine, name).get("PCI_SLOT_NAME")
    address = (told or _last_of_link(machine, f"{CARDS}/{name}/device")).lower()
    return normal_address(address) if ADDRESS.fullmatch(address) else None


def _uevent(machine: Machine, name: str) -> dict[str, str]:
    lines = read(machine, f"{CARDS}/{name}/device/uevent").splitlines()
    return {key: value for key, _, value in (line.partition("=") for line in lines)}


def _pair(text: str) -> tuple[str, str] | None:
    found = re.fullmatch(r"([0-9A-Fa-f]{1,4}):([0-9A-Fa-f]{1,4})", text)
    return (found[1].lower().zfill(4), found[2].lower().zfill(4)) if found else None


def _last_of_link(machine: Machine, path: str) -> str:
    try:
        return machine.readlink(path).rsplit("/", 1)[-1]
    except (OSError, ValueError):
        return ""
