"""A model's files, whatever their format: what they are is told by how they begin."""

import os
from collections.abc import Mapping
from types import MappingProxyType

from vramline.errors import ModelFormatError
from vramline.fit.gguf import read_gguf
from vramline.fit.header_file import HeaderFile, shown_path
from vramline.fit.model import Model
from vramline.fit.safetensors import read_folder, read_safetensors

GGUF = b"GGUF"

OTHERS: Mapping[bytes, str] = MappingProxyType(
    {
        b"version https://git-lfs": "a pointer of Git LFS in place of the model: git lfs pull",
        b"<!DOCTYPE": "a web page in place of the model: get the file itself",
        b"<!doctype": "a web page in place of the model: get the file itself",
        b"<html": "a web page in place of the model: get the file itself",
        b"PK\x03\x04": "PyTorch's format or an archive: get the model as GGUF or safetensors",
        b"\x80\x02": "a Python pickle: get the model as GGUF or safetensors",
        b"lmgg": "the format before GGUF: convert it anew, or get a newer file",
        b"fmgg": "the format before GGUF: convert it anew, or get a newer file",
        b"tjgg": "the format before GGUF: convert it anew, or get a newer file",
    }
)
"""What else lies where a model should be, by its first bytes, and what to do."""


def read_model(path: str | os.PathLike[str], *, weights: bool = True) -> Model:
    """Read the header of the model that is at *path*.

    That is a GGUF or safetensors file, any part of one that was split, its
    ``.safetensors.index.json``, or the folder of a safetensors model. Without *weights*, their
    data need not be in the files: ``missing_bytes`` says how much is not.

    Raises ``ModelFormatError``.
    """
    if os.path.isdir(path):
        return read_folder(path, weights=weights)
    with HeaderFile(path) as file:
        if not file.size:
            raise file.refusal("the file is empty", "Get it again from where it came from")
        begin = file.take(min(file.size, max(map(len, OTHERS))))
    if begin.startswith(GGUF):
        return read_gguf(path, weights=weights)
    for magic, what in OTHERS.items():
        if begin.startswith(magic):
            raise ModelFormatError(f"{shown_path(os.fspath(path))}: this is {what}")
    return read_safetensors(path, weights=weights)
