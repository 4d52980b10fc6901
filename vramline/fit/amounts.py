"""So many bytes of something, somewhere."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Part(StrEnum):
    """What memory is needed for."""

    WEIGHTS = "weights"
    KV_CACHE = "kv_cache"
    RECURRENT_STATE = "recurrent_state"
    COMPUTE = "compute"
    OUTPUT = "output"
    RUNTIME = "runtime"
    PROMPT_CACHE = "prompt_cache"
    """Prompts seen before, kept beside the model after it is loaded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """So many bytes: what is expected, and between what bounds it lies.

    Attributes:
        padding_bytes: How many of the expected ones lie behind what is kept, unused.
    """

    bytes: int
    low_bytes: int
    high_bytes: int
    padding_bytes: int = 0

    @property
    def exact(self) -> bool:
        """Whether the bounds leave nothing open."""
        return self.low_bytes == self.high_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One part in one place.

    Attributes:
        place: ``HOST``, or a device's uid.
        rule: Where it can be read how this is decided.
        mapped: These are a file's own pages: they count as cache, not as anybody's memory.
    """

    part: Part
    place: str
    amount: Amount
    rule: str
    mapped: bool = False


def about(size: int, loose: int = 0, padding: int = 0) -> Amount:
    """Return *size*, give or take *loose*."""
    return Amount(
        bytes=size,
        low_bytes=max(size - loose, 0),
        high_bytes=size + loose,
        padding_bytes=padding,
    )


def add(amounts: Iterable[Amount]) -> Amount:
    """Add up."""
    every = tuple(amounts)
    return Amount(
        bytes=sum(amount.bytes for amount in every),
        low_bytes=sum(amount.low_bytes for amount in every),
        high_bytes=sum(amount.high_bytes for amount in every),
        padding_bytes=sum(amount.padding_bytes for amount in every),
    )
