"""The 128 graphs that llama.cpp made, as they were recorded."""

import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.fit.truth import DATA

INPUT, OUTPUT = 1, 2
"""Flags of a tensor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One graph.

    Attributes:
        header: The model's, by name.
        setting: ``default``, ``one_output``, ``fa_off`` or ``long``.
        compute_bytes: What llama.cpp reported for it.
        tensors: Leaves first, then nodes in their order.
    """

    header: str
    setting: str
    compute_bytes: int
    tensors: tuple[dict[str, Any], ...]


def graphs() -> Iterator[Measured]:
    """Give every recorded graph."""
    with tarfile.open(DATA / "graphs.tar.xz") as archive:
        for member in archive:
            content = archive.extractfile(member)
            if content is None:
                continue
            head, *tensors = (json.loads(line) for line in content.read().splitlines())
            model, setting, _ = member.name.rsplit("/", 1)[-1].rsplit(".", 2)
            yield Measured(
                header=f"{model}.gguf",
                setting=setting,
                compute_bytes=head["compute"],
                tensors=tuple(tensors),
            )
