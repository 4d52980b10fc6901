"""Which of a folder's files are a safetensors model's."""

import os
from collections.abc import Collection

from vramline.fit.library.found import Candidate, FileFormat, Source

SUFFIX = ".safetensors"
INDEX = ".safetensors.index.json"
CONFIG = "config.json"
ADAPTER = "adapter_config.json"


def safetensors_candidate(
    names: Collection[str], folder: str, name: str, source: Source
) -> Candidate | None:
    """Return the model whose files lie in *folder*, if one does.

    Without ``config.json`` they are not a language model's, and with ``adapter_config.json``
    only what is laid over one.
    """
    if CONFIG not in names or ADAPTER in names:
        return None
    weights = sorted(each for each in names if each.endswith(SUFFIX))
    indexes = sorted(each for each in names if each.endswith(INDEX))
    if not weights and not indexes:
        return None
    return Candidate(
        name=name,
        source=source,
        format=FileFormat.SAFETENSORS,
        path=folder,
        paths=tuple(os.path.join(folder, each) for each in (*weights, *indexes, CONFIG)),
        hint="",
    )
