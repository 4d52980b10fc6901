"""One safetensors file's header, checked."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from operator import itemgetter
from struct import Struct
from typing import Any, TypeGuard

from vramline.fit.header_file import AGAIN, HeaderFile, shown
from vramline.fit.model import Tensor
from vramline.fit.safetensors.bounded_json import parse_object
from vramline.fit.tensor_types import SAFETENSORS_TYPES
from vramline.units import MIB

HEADER_BYTES_MOST = 32 * MIB
"""A header of the largest models' shards is below one; safetensors itself stops at 95."""

DIMENSIONS_MOST = 64
NUMBER_MOST = 2**63 - 1

LENGTH = Struct("<Q")
METADATA = "__metadata__"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """What one file's header says.

    Attributes:
        missing_bytes: How far the data that it names goes on behind the end of the file.
    """

    path: str
    tensors: tuple[Tensor, ...]
    header_bytes: int
    file_bytes: int
    missing_bytes: int


def read_shard(path: str | os.PathLike[str], *, weights: bool, most_bytes: int) -> Shard:
    """Read one file's header. With *weights*, their data has to be in the file.

    Raises ``ModelFormatError``.
    """
    with HeaderFile(path, most_bytes=LENGTH.size + min(most_bytes, HEADER_BYTES_MOST)) as file:
        file.reading = "the header's length"
        (length,) = file.unpack(LENGTH)
        file.reading = "the header"
        text = _read_text(file, length)
        tensors, end = _tensors(file, parse_object(file, text))
        missing = LENGTH.size + length + end - file.size
        if missing > 0 and weights:
            raise file.refusal(
                f"the tensors go on to byte {file.size + missing:,}, and the file ends at"
                f" {file.size:,}: {missing:,} bytes are missing",
                AGAIN,
            )
        if missing < 0:
            raise file.refusal(f"{-missing:,} bytes behind the last tensor belong to none", AGAIN)
        return Shard(
            path=file.path,
            tensors=tensors,
            header_bytes=length,
            file_bytes=file.size,
            missing_bytes=missing,
        )


def _read_text(file: HeaderFile, length: int) -> bytes:
    """Return the header's text. A file that is none of safetensors is told as early as can be."""
    begin = file.position
    if length < 2 or (file.size > begin and _peek(file) != b"{"):
        raise file.refusal("this is neither a GGUF file nor one of safetensors")
    return file.take(length)


def _peek(file: HeaderFile) -> bytes:
    file.need(1)
    return file.data[file.at : file.at + 1]


def _tensors(file: HeaderFile, header: Mapping[str, Any]) -> tuple[tuple[Tensor, ...], int]:
    """Return the tensors in the order of their data, and where that ends.

    They have to follow one another without a gap, as safetensors itself demands.
    """
    places = []
    for name, entry in header.items():
        if name != METADATA:
            tensor, begin, end = _tensor(file, name, entry)
            places.append((begin, end, tensor))
    places.sort(key=itemgetter(0, 1))
    after = 0
    for begin, end, tensor in places:
        if begin != after:
            raise file.refusal(
                f"the data of tensor {shown(tensor.name)} begins at {begin:,}, and that of the"
                f" one before it ends at {after:,}"
            )
        after = end
    return tuple(tensor for _, _, tensor in places), after


def _tensor(file: HeaderFile, name: str, entry: object) -> tuple[Tensor, int, int]:
    fields = entry if isinstance(entry, Mapping) else {}
    dtype, shape, offsets = (fields.get(key) for key in ("dtype", "shape", "data_offsets"))
    if not _are_counts(shape) or not _are_counts(offsets) or len(offsets) != 2:
        raise file.refusal(f"the shape or the offsets of tensor {shown(name)} are none")
    kind = SAFETENSORS_TYPES.get(dtype) if isinstance(dtype, str) else None
    if kind is None:
        raise file.refusal(
            f"tensor {shown(name)} is of type {shown(str(dtype))}, which is not known",
            "If the file is newer than this program, update the program",
        )
    tensor = Tensor(name=name, type=kind, shape=tuple(reversed(shape)))
    if tensor.element_count > NUMBER_MOST:
        raise file.refusal(f"tensor {shown(name)} has more elements than can be counted")
    begin, end = offsets
    if end - begin != tensor.byte_count or tensor.element_count % kind.elements_per_block:
        raise file.refusal(
            f"tensor {shown(name)} has {end - begin:,} bytes of data, and its shape and type take"
            f" {tensor.byte_count:,}"
        )
    return tensor, begin, end


def _are_counts(value: object) -> TypeGuard[list[int]]:
    return (
        isinstance(value, list)
        and len(value) <= DIMENSIONS_MOST
        and all(type(each) is int and 0 <= each <= NUMBER_MOST for each in value)
    )
