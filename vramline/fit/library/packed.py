"""A header in few bytes, from which the same ``Model`` comes back in a fraction of the time.

A model's tensors are the same few in every layer, so each kind is written once, with the
numbers of its layers and experts.
"""

import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

from vramline.fit.library.kept import load
from vramline.fit.model import ArraySummary, Model, Tensor, Value
from vramline.fit.tensor_types import TensorType

NUMBER = re.compile(r"(?<![^.])(0|[1-9][0-9]{0,8})(?![^.])")
"""A whole part of a name, between dots, that is written as numbers are."""

COMPRESSED_FROM_BYTES = 2**15
"""What is this long compresses to a tenth, and would make the database slow."""

UNPACKED_BYTES_MOST = 2**26
PLAIN, COMPRESSED = b"=", b"~"
NO_HEADER = "this is no header that was packed"


def pack(model: Model) -> bytes:
    """Write *model* down."""
    kinds: dict[tuple[object, ...], tuple[int, list[str], list[int], Tensor]] = {}
    order = []
    for tensor in model.tensors:
        pieces = NUMBER.split(tensor.name)
        key = (*pieces[::2], tensor.type, tensor.shape)
        kind = kinds.setdefault(key, (len(kinds), pieces[::2], [], tensor))
        kind[2].extend(map(int, pieces[1::2]))
        order.append(kind[0])
    document = {
        "architecture": model.architecture,
        "metadata": {key: _plain(value) for key, value in model.metadata.items()},
        "kinds": [
            [pieces, tensor.type.value, tensor.shape, numbers]
            for _, pieces, numbers, tensor in kinds.values()
        ],
        "bytes": [model.file_bytes, model.missing_bytes],
    }
    # The order is asked for last, and by few.
    lines = (json.dumps(each, separators=(",", ":")) for each in (document, order))
    text = "\n".join(lines).encode()
    if len(text) < COMPRESSED_FROM_BYTES:
        return PLAIN + text
    return COMPRESSED + zlib.compress(text, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorKind:
    """Tensors that differ in the numbers of their names alone.

    Attributes:
        pieces: Of the name; between them belong the numbers of one tensor.
        numbers: Of all of these tensors, one after the other.
    """

    pieces: tuple[str, ...]
    type: TensorType
    shape: tuple[int, ...]
    numbers: tuple[int, ...]

    def tensors(self) -> list[Tensor]:
        """Make them all."""
        names = _names(self.pieces, self.numbers)
        return [Tensor(name=name, type=self.type, shape=self.shape) for name in names]


class PackedTensors(Sequence[Tensor]):
    """A model's tensors, made when they are first asked for."""

    def __init__(self, kinds: Sequence[TensorKind], order: bytes) -> None:
        """Take the kinds, and the JSON that says of which kind each tensor is."""
        self.kinds = kinds
        self._order = order
        self._made: tuple[Tensor, ...] | None = None

    def all(self) -> tuple[Tensor, ...]:
        """Return them all. Raises ``ValueError`` where they were not packed here."""
        if self._made is None:
            following = [iter(kind.tensors()).__next__ for kind in self.kinds]
            try:
                self._made = tuple([following[at]() for at in load(self._order)])
            except (StopIteration, ValueError, IndexError, TypeError) as error:
                raise ValueError(NO_HEADER) from error
        return self._made

    @overload
    def __getitem__(self, at: int) -> Tensor: ...

    @overload
    def __getitem__(self, at: slice) -> tuple[Tensor, ...]: ...

    def __getitem__(self, at: int | slice) -> Tensor | tuple[Tensor, ...]:
        return self.all()[at]

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self.all())

    def __len__(self) -> int:
        return len(self.all())

    def __eq__(self, other: object) -> bool:
        return self.all() == (other.all() if isinstance(other, PackedTensors) else other)

    def __hash__(self) -> int:
        return hash(self.all())


def unpack(packed: bytes) -> Model:
    """Return the model that was packed. Raises ``ValueError`` where that is none."""
    found, tensors = unpack_lazily(packed)
    return replace(found, tensors=tensors.all())


def unpack_lazily(packed: bytes) -> tuple[Model, PackedTensors]:
    """Return the model without its tensors, and those. Raises ``ValueError``."""
    try:
        first, _, order = _text(packed).partition(b"\n")
        document = load(first)
        file_bytes, missing_bytes = document["bytes"]
        kinds = [
            TensorKind(
                pieces=tuple(pieces),
                type=TensorType(kind),
                shape=tuple(shape),
                numbers=tuple(numbers),
            )
            for pieces, kind, shape, numbers in document["kinds"]
        ]
        found = Model(
            architecture=document["architecture"],
            metadata={key: _value(value) for key, value in document["metadata"].items()},
            tensors=(),
            file_bytes=file_bytes,
            missing_bytes=missing_bytes,
        )
        return found, PackedTensors(kinds, order)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(NO_HEADER) from error


def _text(packed: bytes) -> bytes:
    if packed[:1] == PLAIN:
        return packed[1:]
    try:
        return zlib.decompressobj().decompress(packed[1:], UNPACKED_BYTES_MOST)
    except zlib.error as error:
        raise ValueError(str(error)) from error


def _names(pieces: Sequence[str], numbers: Sequence[int]) -> Sequence[str]:
    if len(pieces) == 1:
        return pieces
    if len(pieces) == 2:
        begin, end = pieces
        return [f"{begin}{number}{end}" for number in numbers]
    holes = len(pieces) - 1
    form = "{}".join(piece.replace("{", "{{").replace("}", "}}") for piece in pieces)
    return [
        form.format(*numbers[at : at + holes]) for at in range(0, len(numbers) - holes + 1, holes)
    ]


def _plain(value: Value) -> object:
    """Return what JSON has for a value: an object for a summary, a list for a tuple."""
    if isinstance(value, ArraySummary):
        return {"type": value.type, "count": value.count}
    return value


def _value(value: Any) -> Value:
    if type(value) is list:
        return tuple(value)
    if isinstance(value, Mapping):
        return ArraySummary(type=value["type"], count=value["count"])
    found: Value = value
    return found
