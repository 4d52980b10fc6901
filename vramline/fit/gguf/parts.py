"""A GGUF model that was split over several files.

Part n of N is named ``<name>-0000n-of-0000N.gguf``, and says so inside (``split.no``, from
zero, and ``split.count``). The first has all the metadata.
https://github.com/ggml-org/llama.cpp/tree/master/tools/gguf-split
"""

import os
import re
from dataclasses import replace
from itertools import chain

from vramline.errors import ModelFormatError
from vramline.fit.gguf.header import Header, read_header
from vramline.fit.gguf.tensors import TENSORS_MOST
from vramline.fit.header_file import AGAIN, HEADER_BYTES_MOST, OTHER_SOURCE, shown, shown_path
from vramline.fit.model import Model, Tensor

PARTS_MOST = 1024
"""The largest models published come in some fifty."""

ARCHITECTURE = "general.architecture"
NAME = re.compile(r"(?P<stem>.*)-(?P<part>[0-9]{5})-of-(?P<count>[0-9]{5})\.gguf", re.DOTALL)


def read_gguf(path: str | os.PathLike[str], *, weights: bool = True) -> Model:
    """Read the header of a model that is in this file, or in this one and its other parts.

    Any part will do. Without *weights*, their data need not be in the files: ``missing_bytes``
    says how much is not.

    Raises ``ModelFormatError`` where a file is not as the format has it, or a part is missing.
    """
    header = read_header(path, weights=weights)
    count = _number(header, "split.count", default=1)
    headers = [header] if count <= 1 else _read_parts(header, count, weights=weights)
    architecture = headers[0].metadata.get(ARCHITECTURE)
    if not isinstance(architecture, str) or not architecture or not architecture.isprintable():
        raise ModelFormatError(
            f"{shown_path(headers[0].path)}: it names no architecture ({ARCHITECTURE}), so it is"
            " not a model that can be run. Give the model's own file."
        )
    return Model(
        architecture=architecture,
        metadata=headers[0].metadata,
        tensors=_joined(headers),
        file_bytes=sum(each.file_bytes for each in headers),
        missing_bytes=sum(each.missing_bytes for each in headers),
    )


def _read_parts(given: Header, count: int, *, weights: bool) -> list[Header]:
    """Read every part, each with what the ones before it left of the most that is read."""
    headers: list[Header] = []
    left_bytes, left_tensors = HEADER_BYTES_MOST, TENSORS_MOST
    for number, path in enumerate(_part_paths(given, count)):
        header = read_header(path, weights=weights, most_bytes=left_bytes)
        left_bytes -= header.header_bytes
        left_tensors -= len(header.tensors)
        if left_tensors < 0:
            raise ModelFormatError(
                f"{shown_path(path)}: with this part there are more than {TENSORS_MOST:,} tensors,"
                f" which is the most that is read. {OTHER_SOURCE}."
            )
        _check_part(header, number, count, headers)
        headers.append(replace(header, metadata={}) if headers else header)
    return headers


def _check_part(header: Header, number: int, count: int, before: list[Header]) -> None:
    """Raise where the part is another than its name says, or of another model."""
    found = (_number(header, "split.no"), _number(header, "split.count"))
    if found != (number, count):
        raise ModelFormatError(
            f"{shown_path(header.path)}: by its name it is part {number + 1} of {count}, and"
            f" inside it says part {found[0] + 1:,} of {found[1]:,}. {AGAIN}."
        )
    architecture = header.metadata.get(ARCHITECTURE)
    if before and architecture not in (None, before[0].metadata.get(ARCHITECTURE)):
        raise ModelFormatError(
            f"{shown_path(header.path)}: its architecture is not that of the first part. {AGAIN}."
        )


def _part_paths(given: Header, count: int) -> list[str]:
    folder, name = os.path.split(given.path)
    match = NAME.fullmatch(name)
    if not match or int(match["count"]) != count or count > PARTS_MOST:
        raise ModelFormatError(
            f"{shown_path(given.path)}: it is one of {count:,} parts, and by its name the others"
            f" are not to be found. Name them ...-00001-of-{count:05}.gguf and so on."
        )
    paths = [
        os.path.join(folder, f"{match['stem']}-{number:05}-of-{count:05}.gguf")
        for number in range(1, count + 1)
    ]
    missing = [os.path.basename(each) for each in paths if not os.path.exists(each)]
    if missing:
        raise ModelFormatError(
            f"{shown_path(given.path)}: {len(missing)} of {count} parts are not beside it, the"
            f" first {shown(missing[0])}. Get them as well."
        )
    return paths


def _number(header: Header, key: str, default: int = -1) -> int:
    value = header.metadata.get(key, default)
    if type(value) is not int:
        raise ModelFormatError(
            f"{shown_path(header.path)}: {key} is {shown(repr(value))}, not a number. {AGAIN}."
        )
    return value


def _joined(headers: list[Header]) -> tuple[Tensor, ...]:
    """Return the tensors of all parts. Raises where they are not the parts of one model."""
    tensors = tuple(chain.from_iterable(each.tensors for each in headers))
    expected = _number(headers[0], "split.tensors.count", default=len(tensors))
    if len(tensors) != expected:
        problem = f"they have {len(tensors):,} tensors together, not {expected:,}"
    elif len({each.name for each in tensors}) != len(tensors):
        problem = "two of them have a tensor of the same name"
    else:
        return tensors
    raise ModelFormatError(
        f"{shown_path(headers[0].path)}: its parts do not belong to one model: {problem}. {AGAIN}."
    )
