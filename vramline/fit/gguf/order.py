"""The byte order of a file, and the layouts of its numbers in it."""

from collections.abc import Mapping
from dataclasses import dataclass
from struct import Struct
from types import MappingProxyType

STRING, ARRAY, BOOL = 8, 9, 7

TYPE_NAMES = (
    "uint8",
    "int8",
    "uint16",
    "int16",
    "uint32",
    "int32",
    "float32",
    "bool",
    "string",
    "array",
    "uint64",
    "int64",
    "float64",
)
"""By the number that GGUF gives a type of metadata."""

CODES: Mapping[int, str] = MappingProxyType(
    {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", BOOL: "?", 10: "Q", 11: "q", 12: "d"}
)
"""How ``struct`` calls the types that are numbers."""

DIMENSIONS_MOST = 4
"""ggml has no more (``GGML_MAX_DIMS``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The layouts of what a header is made of.

    Attributes:
        prefix: For ``struct``.
        tensors: What follows a tensor's name, by its number of dimensions: that number, the
            dimensions, the type, the offset.
    """

    prefix: str
    u32: Struct
    u64: Struct
    counts: Struct
    array: Struct
    numbers: Mapping[int, Struct]
    tensors: tuple[Struct, ...]


def order_of(prefix: str) -> Order:
    """Return the layouts of one byte order."""
    return Order(
        prefix=prefix,
        u32=Struct(f"{prefix}I"),
        u64=Struct(f"{prefix}Q"),
        counts=Struct(f"{prefix}QQ"),
        array=Struct(f"{prefix}IQ"),
        numbers={number: Struct(prefix + code) for number, code in CODES.items()},
        tensors=tuple(Struct(f"{prefix}I{n}QIQ") for n in range(DIMENSIONS_MOST + 1)),
    )


LITTLE = order_of("<")
BIG = order_of(">")
