"""One GGUF file's header, checked."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from vramline.fit.gguf.metadata import read_metadata
from vramline.fit.gguf.order import BIG, LITTLE, Order
from vramline.fit.gguf.tensors import read_tensors
from vramline.fit.header_file import AGAIN, HEADER_BYTES_MOST, HeaderFile, shown
from vramline.fit.model import Tensor, Value

MAGIC = b"GGUF"
VERSIONS = (2, 3)
ALIGNMENT = 32
"""Where ``general.alignment`` is absent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What one file's header says.

    Attributes:
        header_bytes: From the start of the file to the end of the list of tensors.
        missing_bytes: How far the data that it names goes on behind the end of the file.
    """

    path: str
    metadata: Mapping[str, Value]
    tensors: tuple[Tensor, ...]
    header_bytes: int
    file_bytes: int
    missing_bytes: int


def read_header(
    path: str | os.PathLike[str], *, weights: bool = True, most_bytes: int = HEADER_BYTES_MOST
) -> Header:
    """Read one file's header. With *weights*, their data has to be in the file.

    Raises ``ModelFormatError``.
    """
    with HeaderFile(path, most_bytes=most_bytes) as file:
        order = _order(file)
        file.reading = "the counts"
        tensor_count, key_count = file.unpack(order.counts)
        metadata = read_metadata(file, order, key_count)
        alignment = _alignment(file, metadata)
        tensors, data_bytes = read_tensors(file, order, tensor_count, alignment)
        data_end = -(-file.position // alignment) * alignment + data_bytes
        missing = max(0, data_end - file.size) if data_bytes else 0
        if missing and weights:
            raise file.refusal(
                f"the tensors go on to byte {data_end:,}, and the file ends at"
                f" {file.size:,}: {missing:,} bytes are missing",
                AGAIN,
            )
        return Header(
            path=file.path,
            metadata=metadata,
            tensors=tensors,
            header_bytes=file.position,
            file_bytes=file.size,
            missing_bytes=missing,
        )


def _order(file: HeaderFile) -> Order:
    """Return the byte order, by which the version is a small number."""
    file.reading = "the start"
    if file.take(len(MAGIC)) != MAGIC:
        raise file.refusal("this is not a GGUF file")
    file.need(LITTLE.u32.size)
    little, big = (each.u32.unpack_from(file.data, file.at)[0] for each in (LITTLE, BIG))
    order, version = (LITTLE, little) if little <= big else (BIG, big)
    if version not in VERSIONS:
        advice = (
            "Convert the model anew, or get a newer file"
            if version < min(VERSIONS)
            else "If the file is newer than this program, update the program"
        )
        raise file.refusal(f"GGUF version {version:,}, where 2 and 3 are read", advice)
    file.skip(order.u32.size)
    return order


def _alignment(file: HeaderFile, metadata: Mapping[str, Value]) -> int:
    value = metadata.get("general.alignment", ALIGNMENT)
    if type(value) is not int or value < 1 or value & (value - 1):
        raise file.refusal(
            f"general.alignment is {shown(repr(value))}, and has to be a power of two"
        )
    return value
