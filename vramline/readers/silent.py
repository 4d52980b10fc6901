"""Cards whose kernel driver reports no figures: they are listed, with that reason.

``nouveau`` and ``radeon`` have sensors for temperature at the most.
https://docs.kernel.org/gpu/index.html
"""

import errno
from collections.abc import Sequence

from vramline.errors import ReadError
from vramline.machine import Machine
from vramline.readers.causes import cause_of, settle
from vramline.readers.drm import Card, driver_version, is_asleep
from vramline.readers.hwmon import Hwmon
from vramline.readers.pci import DEVICES, normal_address, read_id
from vramline.readers.pci_names import name_of
from vramline.readers.unread import LASTING, MOMENTARY, unread
from vramline.readings import Cause, GpuReading, GpuState


class SilentCards:
    """Reads the temperature of cards whose drivers tell nothing else.

    Args:
        maker: What the cards' names begin with.
        first_index: The number of the first of them, behind the vendor's other GPUs.
    """

    def __init__(
        self, machine: Machine, vendor: str, maker: str, cards: Sequence[Card], first_index: int = 0
    ) -> None:
        self._machine = machine
        self._cards = {card.address: card for card in cards}
        self._figures = {
            card.address: _figures(machine, vendor, maker, card, index)
            for index, card in enumerate(cards, first_index)
        }
        self._lost: set[str] = set()

    def devices(self) -> Sequence[str]:
        return tuple(self._cards)

    def read(self, device: str) -> Sequence[GpuReading]:
        card, figures = self._cards[device], self._figures[device]
        changed: dict[str, object]
        if is_asleep(self._machine, card):
            changed = {"state": GpuState.ASLEEP, "temperature_celsius": Cause.ASLEEP}
        elif not _is_there(self._machine, card):
            return [self._gone(device)]
        else:
            changed = {"temperature_celsius": _celsius(self._machine, card)}
        self._lost.discard(device)
        return [settle(GpuReading, {**figures, **changed})]

    def describe(self, device: str, cause: Cause) -> GpuReading:
        return unread(settle(GpuReading, self._figures[device]), GpuState.ACTIVE, cause)

    def arrange(self, readings: Sequence[GpuReading]) -> tuple[GpuReading, ...]:
        return tuple(readings)

    def close(self) -> None:
        """Nothing is held open between reads."""

    def _gone(self, device: str) -> GpuReading:
        """Return that the card is lost. With the last one it is time to look for all anew."""
        self._lost.add(device)
        if len(self._lost) == len(self._cards):
            raise ReadError(f"{self._cards[device].driver} has no card any more")
        return unread(settle(GpuReading, self._figures[device]), GpuState.LOST, Cause.LOST)


def _figures(
    machine: Machine, vendor: str, maker: str, card: Card, index: int
) -> dict[str, object]:
    return {
        **dict.fromkeys((*MOMENTARY, *LASTING), Cause.DRIVER_EXPOSES_NOTHING),
        "uid": card.address,
        "vendor": vendor,
        "index": index,
        "name": name_of(machine, card, maker) or Cause.NOT_SUPPORTED,
        "pci_address": card.address,
        "driver_version": driver_version(machine, card.driver) or Cause.NOT_SUPPORTED,
    }


def card_without_node(machine: Machine, address: str, driver: str) -> Card:
    """Return a card that its driver has given no node in DRM, as ``nouveau.modeset=0`` has it."""
    folder = f"{DEVICES}/{address}"
    return Card(
        folder=folder,
        device=folder,
        driver=driver,
        address=normal_address(address),
        vendor_id=read_id(machine, f"{folder}/vendor"),
        device_id=read_id(machine, f"{folder}/device"),
        subsystem=None,
        revision=None,
        nodes=(),
    )


def _celsius(machine: Machine, card: Card) -> float | Cause:
    celsius = Hwmon(machine, card.device, name=card.driver, explain=_explain).celsius("temp1")
    # nouveau gives the number of an error for a temperature that it does not know:
    # https://github.com/torvalds/linux/blob/v6.6/drivers/gpu/drm/nouveau/nouveau_hwmon.c
    if not isinstance(celsius, Cause) and -1 < celsius < 0:
        return Cause.NOT_SUPPORTED
    return celsius


def _explain(error: OSError) -> Cause:
    """Both drivers refuse a card that is switched off; it may have been so since it was asked."""
    return Cause.ASLEEP if error.errno == errno.EINVAL else cause_of(error)


def _is_there(machine: Machine, card: Card) -> bool:
    try:
        return bool(machine.list(card.device))
    except OSError:
        return False
