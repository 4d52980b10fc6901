"""Ollama's models: manifests that say which blobs a name stands for.

``manifests/<host>/<namespace>/<model>/<tag>`` is JSON; ``blobs/sha256-<digest>`` are the files.
https://github.com/ollama/ollama/blob/main/server/internal/manifest/manifest.go
"""

import json
import os
import re
from collections.abc import Iterator

from vramline.fit.header_file import read_small, reason_of
from vramline.fit.library.folders import Folders
from vramline.fit.library.found import Candidate, FileFormat, Source
from vramline.fit.library.gguf_files import unfinished
from vramline.fit.library.kept import Kept, file_key, load

HOST = "registry.ollama.ai"
NAMESPACE = "library"
MEDIA = "application/vnd.ollama.image."
DIGEST = re.compile(r"sha256[:-]([0-9a-f]{64})")
PARTIAL = re.compile(r"(sha256-[0-9a-f]{64})-partial")
MANIFEST_BYTES_MOST = 2**22
"""One has a few hundred bytes, or, with a layer a tensor, some hundred thousand."""

Layers = dict[str, list[str]]
"""The blobs' names by kind: ``model``, ``projector``, ``adapter``..."""


def ollama_candidates(root: str, folders: Folders, kept: Kept) -> Iterator[Candidate]:
    """Give the models that Ollama's folder has."""
    present = {entry.name for entry in folders.entries(root, Source.OLLAMA)}
    if not present & {"manifests", "blobs"}:  # or it is told why that is not known
        return
    blobs = os.path.join(root, "blobs")
    manifests = os.path.join(root, "manifests")
    for folder, files in folders.walk(manifests, Source.OLLAMA, depth=4):
        parts = os.path.relpath(folder, manifests).split(os.sep)
        for entry in files if len(parts) == 3 else ():
            name = shown_name(parts[0], parts[1], parts[2], entry.name)
            layers = read_manifest(entry.path, kept)
            if isinstance(layers, str):
                folders.tell(entry.path, Source.OLLAMA, layers)
            elif found := _candidate(name, blobs, layers):
                yield found
    for entry in folders.entries(blobs, Source.OLLAMA):
        if PARTIAL.fullmatch(entry.name):
            yield unfinished(entry.name[:19], Source.OLLAMA, entry.path)


def shown_name(host: str, namespace: str, model: str, tag: str) -> str:
    """Return the name as ``ollama list`` has it."""
    if host != HOST:
        return f"{host}/{namespace}/{model}:{tag}"
    return f"{model}:{tag}" if namespace == NAMESPACE else f"{namespace}/{model}:{tag}"


def _candidate(name: str, blobs: str, layers: Layers) -> Candidate | None:
    """Return the model. One that Ollama runs elsewhere has no weights here, and is none."""
    models = [os.path.join(blobs, each) for each in layers.get("model", ())]
    projectors = [os.path.join(blobs, each) for each in layers.get("projector", ())]
    tensors = [os.path.join(blobs, each) for each in layers.get("tensor", ())]
    if not models and not tensors:
        return None
    problem = None
    if not models:
        problem = "Ollama keeps it as one file a tensor, which is not read here"
    return Candidate(
        name=name,
        source=Source.OLLAMA,
        format=FileFormat.GGUF if models else FileFormat.SAFETENSORS,
        path=(models or tensors)[0],
        paths=tuple(models or tensors),
        projector_path=projectors[0] if projectors else None,
        adapter_paths=tuple(os.path.join(blobs, each) for each in layers.get("adapter", ())),
        hint=name,
        problem=problem,
    )


def read_manifest(path: str, kept: Kept) -> Layers | str:
    """Return a manifest's layers, or why it cannot be read."""
    try:
        key = file_key((os.stat(path),))
        content = kept.get(path, key)
        if content is not None and isinstance(layers := load(content), dict):
            return layers
        found = parse_manifest(read_small(path, MANIFEST_BYTES_MOST))
    except (OSError, ValueError) as error:
        return reason_of(error)
    kept.put(path, key, json.dumps(found).encode())
    return found


def parse_manifest(text: bytes) -> Layers:
    """Return the blobs' names by kind. Raises ``ValueError``."""
    try:
        document = json.loads(text)
        entries = [(each["mediaType"], each["digest"]) for each in document["layers"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError("this is no manifest of Ollama's") from error
    layers: Layers = {}
    for media, digest in entries:
        if isinstance(media, str) and media.startswith(MEDIA):
            found = DIGEST.fullmatch(digest) if isinstance(digest, str) else None
            if found is None:  # a path could be written here
                raise ValueError("a layer's digest is none")
            kind = media.removeprefix(MEDIA).partition(";")[0]
            layers.setdefault(kind, []).append(f"sha256-{found[1]}")
    return layers
