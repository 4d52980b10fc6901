"""Small models on a disk, where programs would have put them."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from tests.fit.files import GgufFile, Typed, entry, safetensors_bytes
from vramline.fit.library import NAME, VERSION, Library, Place, Progress, Source, look
from vramline.fit.model import Tensor
from vramline.fit.tensor_types import TensorType
from vramline.store import HOME, Store, open_store

TENSOR = Tensor(name="blk.0.attn_q.weight", type=TensorType.F16, shape=(32, 2))


def store_in(folder: Path) -> Store:
    """Return the store that is kept in *folder*."""
    return open_store(NAME, version=VERSION, environ={HOME: str(folder)}, platform="linux")


def gguf(
    name: str = "", *, layers: int = 2, split: tuple[int, int] | None = None, **keys: object
) -> bytes:
    """Return a whole GGUF file, of *layers* tensors, or a part of one."""
    metadata: dict[str, object] = {
        "general.architecture": "llama",
        "general.name": name,
        "llama.context_length": 4096,
        "llama.block_count": layers,
        **{key.replace("__", "."): value for key, value in keys.items()},
    }
    if split:
        metadata |= {"split.no": split[0], "split.count": split[1]}
    at = split[0] if split else 0
    tensors = [
        Tensor(name=f"blk.{layer}.{at}.weight", type=TensorType.F16, shape=(32, 2))
        for layer in range(layers)
    ]
    return GgufFile(metadata=metadata, tensors=tensors).to_bytes()


def put(path: Path, content: bytes | str) -> Path:
    """Write a file, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def safetensors_folder(folder: Path, **config: object) -> Path:
    """Write a safetensors model's folder."""
    put(folder / "config.json", json.dumps({"model_type": "qwen2", **config}))
    header = {"model.layers.0.weight": entry("BF16", (2, 3), 0, 12)}
    put(folder / "model.safetensors", safetensors_bytes(header))
    return folder


def ollama_model(root: Path, name: str, model: bytes | None, **layers: bytes) -> Path | None:
    """Put a model into Ollama's folder, as ``ollama pull`` does; return its blob.

    *name* is ``<host>/<namespace>/<model>/<tag>``.
    """
    entries = []
    paths = {}
    for kind, content in {**({} if model is None else {"model": model}), **layers}.items():
        digest = hashlib.sha256(content).hexdigest()
        paths[kind] = put(root / "blobs" / f"sha256-{digest}", content)
        media = f"application/vnd.ollama.image.{kind}"
        entries.append({"mediaType": media, "digest": f"sha256:{digest}", "size": len(content)})
    put(root / "manifests" / name, json.dumps({"schemaVersion": 2, "layers": entries}))
    return paths.get("model")


def see(
    source: Source, path: Path, store: Store | None = None, progress: Progress | None = None
) -> Library:
    """Look at one place."""
    places: Sequence[Place] = [Place(source=source, path=str(path))]
    kept = store or Store(folder=str(path.parent / f"kept-{path.name}"), name=NAME)
    return look(places, kept, progress=progress)


def names(library: Library) -> list[str]:
    """Name what was found."""
    return [model.name for model in library.models]


def typed_u32(value: int) -> Typed:
    """Return a number as GGUF's ``uint32``."""
    return Typed(kind=4, value=value)
