"""What a context keeps of the tokens it has seen: keys and values, and recurrent states.

Keys and values: one tensor of each a layer, a row a cell.
https://github.com/ggml-org/llama.cpp/blob/master/src/llama-kv-cache.cpp; layers with a sliding
window have a cache of their own, https://github.com/ggml-org/llama.cpp/blob/master/src/llama-kv-cache-iswa.cpp.
States: two tensors a layer, a row a sequence, always of 32-bit floats.
https://github.com/ggml-org/llama.cpp/blob/master/src/llama-memory-recurrent.cpp
Which layers have which: ``create_memory`` in
https://github.com/ggml-org/llama.cpp/blob/master/src/llama-model.cpp
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate

from vramline.fit.buffers import Buffer
from vramline.fit.keys import LARGEST
from vramline.fit.model import Model
from vramline.fit.settings import CELLS_PADDING, Effect, Settings, padded
from vramline.fit.shape import Shape
from vramline.fit.tensor_types import TensorType

NO_CACHE = frozenset(
    (
        "bert",
        "dream",
        "eurobert",
        "gemma-embedding",
        "jina-bert-v2",
        "jina-bert-v3",
        "llada",
        "llada-moe",
        "modern-bert",
        "neo-bert",
        "nomic-bert",
        "nomic-bert-moe",
        "rnd1",
        "wavtokenizer-dec",
    )
)
"""They see all tokens at once, and keep nothing."""

ROLLED_BACK = frozenset(("lfm2", "lfm2moe", "nemotron_h", "nemotron_h_moe", "qwen35", "qwen35moe"))
"""States of these can be kept to go back to; the setting is ignored for others.
https://github.com/ggml-org/llama.cpp/blob/master/src/llama-arch.cpp
(``llm_arch_supports_rs_rollback``)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedLayers:
    """Layers whose keys and values are of one size.

    Attributes:
        running: At *n*: how many of the first *n* layers are among them.
    """

    windowed: bool
    key_length: int
    value_length: int
    running: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """What one model's layers keep, once for all settings.

    Attributes:
        widest_value: Of any layer, with or without a cache.
        head_dims_k: Every length of a head's keys, and likewise of its values.
        recurring: At *n*: how many of the first *n* layers keep a state.
    """

    groups: tuple[CachedLayers, ...]
    widest_value: int
    head_dims_k: frozenset[int]
    head_dims_v: frozenset[int]
    window_cells: int
    keys_only: bool
    recurring: tuple[int, ...]
    shift_length: int
    state_length: int
    can_roll_back: bool


def lay_out_cache(shape: Shape) -> Cache:
    """Group *shape*'s layers."""
    layers = shape.layers
    cached = shape.architecture not in NO_CACHE
    sizes = dict.fromkeys(
        (layer.windowed, layer.key_length, layer.value_length)
        for layer in layers
        if layer.cached and cached
    )
    rest = len(shape.nextn_layers)
    return Cache(
        groups=tuple(
            CachedLayers(
                windowed=size[0],
                key_length=size[1],
                value_length=size[2],
                running=count(
                    (
                        layer.cached
                        and (layer.windowed, layer.key_length, layer.value_length) == size
                        for layer in layers
                    ),
                    rest,
                ),
            )
            for size in sizes
        ),
        widest_value=max(layer.value_length for layer in (*layers, *shape.nextn_layers)),
        head_dims_k=frozenset(layer.head_dim_k for layer in layers),
        head_dims_v=frozenset(layer.head_dim_v for layer in layers),
        window_cells=shape.window_cells,
        keys_only=shape.mla,
        recurring=count((layer.recurs for layer in layers), rest),
        shift_length=shape.states.shift_length,
        state_length=shape.states.state_length,
        can_roll_back=shape.architecture in ROLLED_BACK,
    )


def count(chosen: Iterable[bool], rest: int) -> tuple[int, ...]:
    """Return how many of the first *n* are chosen, for every *n*; none of the *rest* is."""
    running = tuple(accumulate(map(int, chosen), initial=0))
    return running + running[-1:] * rest


def window_cells(cache: Cache, effect: Effect, settings: Settings) -> int:
    """Return the cells that a layer with a sliding window keeps, one stream.

    The window of every sequence that shares the cache, and what is computed at once.
    https://github.com/ggml-org/llama.cpp/issues/17037 for the padding.
    """
    if settings.full_window_cache:
        return effect.cells
    sequences = effect.sequences if effect.unified else 1
    seen = cache.window_cells * sequences + effect.micro_batch_tokens
    return padded(min(effect.cells, seen), CELLS_PADDING)


def cache_bytes(
    cache: Cache, effect: Effect, settings: Settings, layers: range, buffer: Buffer
) -> int:
    """Return what the keys and values of *layers* take in *buffer*."""
    size = 0
    for group in cache.groups:
        present = group.running[layers.stop] - group.running[layers.start]
        if not present:
            continue
        rows = effect.cells * effect.streams
        if group.windowed:
            rows = window_cells(cache, effect, settings) * effect.streams
        size += present * buffer.tensor_bytes(settings.cache_type_k, group.key_length, rows)
        if not cache.keys_only:
            value = cache.widest_value if effect.values_transposed else group.value_length
            size += present * buffer.tensor_bytes(settings.cache_type_v, value, rows)
    return size


def state_bytes(
    cache: Cache, effect: Effect, settings: Settings, layers: range, buffer: Buffer
) -> int:
    """Return what the recurrent states of *layers* take in *buffer*."""
    present = cache.recurring[layers.stop] - cache.recurring[layers.start]
    if not present:
        return 0
    rows = effect.sequences
    if cache.can_roll_back:
        rows *= 1 + settings.state_snapshots
    shift = buffer.tensor_bytes(TensorType.F32, cache.shift_length, rows)
    return present * (shift + buffer.tensor_bytes(TensorType.F32, cache.state_length, rows))


def most_cached(model: Model, shape: Shape, effect: Effect, settings: Settings) -> int:
    """Return what a layer of an architecture whose rules are not known could keep at most.

    Every cell, of the widest keys and values and those of an index for sparse attention.
    """
    layers = (*shape.layers, *shape.nextn_layers)
    rows = effect.context_tokens
    index = model.metadata.get(f"{shape.architecture}.attention.indexer.key_length", 0)
    keys = max(layer.head_dim_k * max(layer.kv_heads, 1) for layer in layers)
    keys += index if isinstance(index, int) and 0 < index <= LARGEST else 0
    values = max(layer.head_dim_v * max(layer.kv_heads, 1) for layer in layers)
    kept = settings.cache_type_k.row_bytes(keys) + settings.cache_type_v.row_bytes(values)
    return rows * kept


def most_states(shape: Shape, effect: Effect) -> int:
    """Return what the state of such a layer could take at most."""
    states = shape.states
    return effect.sequences * 4 * (states.shift_length + states.state_length)
