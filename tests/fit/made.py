"""Models made up for one test, by the keys that matter to it."""

from vramline.fit.items import Layout
from vramline.fit.model import Model, Tensor, Value
from vramline.fit.need import lay_out
from vramline.fit.tensor_types import TensorType

PLAIN: dict[str, Value] = {
    "context_length": 131072,
    "embedding_length": 1024,
    "feed_forward_length": 4096,
    "attention.head_count": 8,
    "attention.head_count_kv": 2,
    "attention.key_length": 128,
    "attention.value_length": 128,
    "vocab_size": 1000,
}


def tensor(name: str, *shape: int, kind: TensorType = TensorType.F16) -> Tensor:
    """Make one."""
    return Tensor(name=name, type=kind, shape=shape)


EMBEDDING = tensor("token_embd.weight", 1024, 1000)
OUTPUT = tensor("output.weight", 1024, 1000)


def model(
    architecture: str,
    layers: int,
    keys: dict[str, Value] | None = None,
    tensors: tuple[Tensor, ...] = (EMBEDDING, OUTPUT),
) -> Model:
    """Make a model of *layers* layers: ``PLAIN``'s keys, with *keys* over them."""
    every = {**PLAIN, "block_count": layers, **(keys or {})}
    return Model(
        architecture=architecture,
        metadata={f"{architecture}.{key}": value for key, value in every.items()},
        tensors=tensors,
        file_bytes=0,
    )


def layout(
    architecture: str,
    layers: int,
    keys: dict[str, Value] | None = None,
    tensors: tuple[Tensor, ...] = (EMBEDDING, OUTPUT),
) -> Layout:
    """Make such a model, laid out."""
    return lay_out(model(architecture, layers, keys, tensors))
