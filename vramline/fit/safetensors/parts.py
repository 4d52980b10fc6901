"""Which files a safetensors model is in."""

import os
import re
from collections.abc import Collection, Mapping

from vramline.errors import ModelFormatError
from vramline.fit.header_file import AGAIN, OTHER_SOURCE, HeaderFile, shown, shown_path
from vramline.fit.model import Model
from vramline.fit.safetensors.bounded_json import parse_object
from vramline.fit.safetensors.config import read_config
from vramline.fit.safetensors.shard import Shard, read_shard
from vramline.units import MIB

SUFFIX = ".safetensors"
INDEX_SUFFIX = ".safetensors.index.json"
USUAL_NAME = "model"

PARTS_MOST = 1024
"""The largest models published come in some two hundred."""

TENSORS_MOST = 2**19
"""One tensor an expert, matrix and scale makes 210,000 in the largest models published."""

HEADER_BYTES_MOST = 128 * MIB
"""Of all parts together; 210,000 tensors take 30."""

INDEX_BYTES_MOST = 64 * MIB
"""That of 210,000 tensors has 20."""

NAME = re.compile(r"(?P<stem>.*)-(?P<part>[0-9]{5})-of-(?P<count>[0-9]{5})\.safetensors", re.DOTALL)

Index = Mapping[str, Collection[str]]
"""Which tensors the index promises, by the file's name."""


def read_folder(folder: str | os.PathLike[str], *, weights: bool = True) -> Model:
    """Read the headers of the safetensors model that lies in a folder, as from Hugging Face.

    Raises ``ModelFormatError`` where there is none, or more than one.
    """
    folder = os.fspath(folder)
    try:
        names = sorted(each for each in os.listdir(folder) if "." in each)
    except (OSError, ValueError) as error:
        raise ModelFormatError(f"{shown_path(folder)}: cannot be read: {error}") from error
    for usual in (USUAL_NAME + SUFFIX, USUAL_NAME + INDEX_SUFFIX):
        if usual in names:
            return read_safetensors(os.path.join(folder, usual), weights=weights)
    indexes = [each for each in names if each.endswith(INDEX_SUFFIX)]
    files = [each for each in names if each.endswith(SUFFIX)]
    sets = indexes or list({_set_of(each): each for each in files}.values())
    if len(sets) == 1:
        return read_safetensors(os.path.join(folder, sets[0]), weights=weights)
    found = f"{len(sets):,} models" if sets else "no safetensors model"
    raise ModelFormatError(f"{shown_path(folder)}: {found} in this folder. Name the model's file.")


def read_safetensors(path: str | os.PathLike[str], *, weights: bool = True) -> Model:
    """Read the headers of the model that is in this file, or in this one and its other parts.

    Any part will do, and so will the index. Without *weights*, their data need not be in the
    files: ``missing_bytes`` says how much is not.

    Raises ``ModelFormatError`` where a file is not as the format has it, or a part is missing.
    """
    folder, name = os.path.split(os.fspath(path))
    index = _index_of(folder, name)
    promised = read_index(os.path.join(folder, index)) if index else _promised_by_name(folder, name)
    missing = [each for each in promised if not os.path.exists(os.path.join(folder, each))]
    if missing and name not in missing:
        raise ModelFormatError(
            f"{shown_path(os.fspath(path))}: {len(missing)} of {len(promised)} parts are not beside"
            f" it, the first {shown(missing[0])}. Get them as well."
        )
    shards = _read_shards(folder, promised, weights=weights)
    metadata = read_config(folder)
    kind = metadata.get("model_type")
    return Model(
        architecture=kind if isinstance(kind, str) and kind.isprintable() else "",
        metadata=metadata,
        tensors=tuple(tensor for shard in shards for tensor in shard.tensors),
        file_bytes=sum(each.file_bytes for each in shards),
        missing_bytes=sum(each.missing_bytes for each in shards),
    )


def read_index(path: str) -> Index:
    """Return which tensors are in which file. Raises ``ModelFormatError``."""
    with HeaderFile(path, most_bytes=INDEX_BYTES_MOST) as file:
        entries = parse_object(file, file.take(file.size)).get("weight_map")
        if not isinstance(entries, Mapping) or not entries:
            raise file.refusal("the index has no weight_map", AGAIN)
        found: dict[str, set[str]] = {}
        for tensor, name in entries.items():
            if not isinstance(name, str) or not _is_plain(name):
                raise file.refusal(f"{shown(str(name))} is not the name of a file beside it")
            found.setdefault(name, set()).add(tensor)
        if len(found) > PARTS_MOST:
            raise file.refusal(
                f"{len(found):,} files, where {PARTS_MOST:,} is the most that is read"
            )
    return dict(sorted(found.items()))


def _index_of(folder: str, name: str) -> str | None:
    """Return the name of the index that has this file, if one lies beside it."""
    if name.endswith(INDEX_SUFFIX):
        return name
    match = NAME.fullmatch(name)
    index = match["stem"] + INDEX_SUFFIX if match else ""
    return index if match and os.path.exists(os.path.join(folder, index)) else None


def _promised_by_name(folder: str, name: str) -> Index:
    """Return the names of all parts, of which nothing is promised.

    Raises ``ModelFormatError`` where the name is that of a part, and does not tell the others'.
    """
    match = NAME.fullmatch(name)
    count = int(match["count"]) if match else 1
    if not match or count <= 1:
        return {name: ()}
    if not 1 <= int(match["part"]) <= count <= PARTS_MOST:
        raise ModelFormatError(
            f"{shown_path(os.path.join(folder, name))}: it is one of {count:,} parts, and by its"
            f" name the others are not to be found. Get {shown(match['stem'])}{INDEX_SUFFIX} as"
            " well."
        )
    return {f"{match['stem']}-{part:05}-of-{count:05}{SUFFIX}": () for part in range(1, count + 1)}


def _set_of(name: str) -> str:
    """Return what the parts of one model have in common."""
    match = NAME.fullmatch(name)
    return match["stem"] + match["count"] if match else name


def _is_plain(name: str) -> bool:
    return name not in ("", ".", "..") and not set(name) & set("/\\:\0")


def _read_shards(folder: str, promised: Index, *, weights: bool) -> list[Shard]:
    """Read every part, each with what the ones before it left of the most that is read."""
    shards: list[Shard] = []
    seen: set[str] = set()
    left_bytes = HEADER_BYTES_MOST
    for name, expected in promised.items():
        path = os.path.join(folder, name)
        shard = read_shard(path, weights=weights, most_bytes=left_bytes)
        left_bytes -= shard.header_bytes
        names = {each.name for each in shard.tensors}
        _check_shard(path, names, seen, expected)
        seen |= names
        shards.append(shard)
    return shards


def _check_shard(path: str, names: set[str], seen: set[str], expected: Collection[str]) -> None:
    """Raise where the part does not belong to those that were seen before it."""
    if not names.isdisjoint(seen):
        raise ModelFormatError(
            f"{shown_path(path)}: tensor {shown(min(names & seen))} is in another part too."
            f" {AGAIN}."
        )
    if absent := set(expected) - names:
        raise ModelFormatError(
            f"{shown_path(path)}: tensor {shown(min(absent))} is not in it, where the index has it."
            f" {AGAIN}."
        )
    if len(names) + len(seen) > TENSORS_MOST:
        raise ModelFormatError(
            f"{shown_path(path)}: with this part there are more than {TENSORS_MOST:,} tensors,"
            f" which is the most that is read. {OTHER_SOURCE}."
        )
