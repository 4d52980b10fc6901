"""Small model files for tests, as the formats have them, or as they should not be."""

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vramline.fit.model import Tensor
from vramline.fit.tensor_types import GGUF_TYPES

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
CODES = {U8: "B", I8: "b", U16: "H", I16: "h", U32: "I", I32: "i", F32: "f", BOOL: "?"} | {
    U64: "Q",
    I64: "q",
    F64: "d",
}
TYPE_NUMBERS = {each: number for number, each in GGUF_TYPES.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """A value of metadata with its type, where that is not the usual one for Python's."""

    kind: int
    value: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufFile:
    """What a GGUF file says; ``to_bytes`` writes it down, true or not.

    Attributes:
        offsets: By the tensor's name, where the data does not begin where it should.
        type_numbers: Likewise, for a type that there is not.
        tensor_count: Where it is not that of the tensors; so is ``key_count``.
        weights: The tensors' data follows, as zeros.
    """

    metadata: Mapping[str, object] = field(default_factory=dict)
    tensors: Sequence[Tensor] = ()
    version: int = 3
    order: str = "<"
    alignment: int = 32
    offsets: Mapping[str, int] = field(default_factory=dict)
    type_numbers: Mapping[str, int] = field(default_factory=dict)
    tensor_count: int | None = None
    key_count: int | None = None
    weights: bool = True

    def to_bytes(self) -> bytes:
        """Return the whole file."""
        counts = (
            len(self.tensors) if self.tensor_count is None else self.tensor_count,
            len(self.metadata) if self.key_count is None else self.key_count,
        )
        pieces = [b"GGUF", struct.pack(f"{self.order}IQQ", self.version, *counts)]
        for key, value in self.metadata.items():
            pieces += self.string(key), self._value(value)
        offset = 0
        for tensor in self.tensors:
            pieces.append(self._entry(tensor, self.offsets.get(tensor.name, offset)))
            offset += -(-tensor.byte_count // self.alignment) * self.alignment
        text = b"".join(pieces)
        if not self.weights:
            return text
        return text + bytes(-len(text) % self.alignment + offset)

    def string(self, text: str | bytes) -> bytes:
        """Return a string with its length before it."""
        content = text.encode() if isinstance(text, str) else text
        return struct.pack(f"{self.order}Q", len(content)) + content

    def _entry(self, tensor: Tensor, offset: int) -> bytes:
        number = self.type_numbers.get(tensor.name, TYPE_NUMBERS.get(tensor.type, 0))
        layout = f"{self.order}I{len(tensor.shape)}QIQ"
        fields = struct.pack(layout, len(tensor.shape), *tensor.shape, number, offset)
        return self.string(tensor.name) + fields

    def _value(self, value: object) -> bytes:
        typed = typed_value(value)
        return struct.pack(f"{self.order}I", typed.kind) + self._content(typed)

    def _content(self, typed: Typed) -> bytes:
        if typed.kind == STRING:
            return self.string(typed.value)
        if typed.kind == ARRAY:
            entries = [typed_value(each) for each in typed.value]
            head = struct.pack(f"{self.order}IQ", entries[0].kind if entries else U32, len(entries))
            return head + b"".join(map(self._content, entries))
        return struct.pack(self.order + CODES[typed.kind], typed.value)


def typed_value(value: object) -> Typed:
    """Return a value with its type: a number is ``uint32`` or ``float32`` unless it says more."""
    usual = {bool: BOOL, int: U32, float: F32, str: STRING, bytes: STRING, list: ARRAY}
    return value if isinstance(value, Typed) else Typed(kind=usual[type(value)], value=value)


def write(path: Path, content: bytes | str) -> Path:
    """Write a file, and return where."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def safetensors_bytes(header: object, *, data_bytes: int | None = None) -> bytes:
    """Return a safetensors file with that header, and the data that it names, as zeros."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    if data_bytes is None:
        entries = header.values() if isinstance(header, dict) else ()
        ends = [each["data_offsets"][1] for each in entries if "data_offsets" in each]
        data_bytes = max(ends, default=0)
    return struct.pack("<Q", len(text)) + text + bytes(data_bytes)


def entry(dtype: str, shape: Sequence[int], begin: int, end: int) -> dict[str, object]:
    """Return a tensor's entry in a safetensors header."""
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}
