"""When the loss of a card, which hides no other, means that all are to be looked for anew."""

from collections.abc import Container

from vramline.errors import ReadError
from vramline.machine import Machine
from vramline.readers.drm import Card, find_cards


def check_lost(
    machine: Machine, card: Card, drivers: Container[str], maker: str, *, is_last: bool
) -> None:
    """Raise ``ReadError`` where all cards are to be looked for anew, as *card* is lost.

    That is when no other is left, and when it is back by other names.
    """
    if is_last:
        raise ReadError(
            f"no {maker} GPU answers any more: see what the kernel says of it (dmesg), "
            "as it was pulled out, lost its driver or failed to reset"
        )
    for each in find_cards(machine, drivers):
        if each.address == card.address and _names(each) != _names(card):
            raise ReadError(f"the {maker} GPU at {card.address} is back: all are looked for again")


def _names(card: Card) -> tuple[str, ...]:
    return (card.driver, card.folder, *card.nodes)
