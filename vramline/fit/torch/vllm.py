"""vLLM: what it keeps of a sequence, what it computes with, and what it asks for at the start.

It takes a share of each device's whole memory, refuses to start where that is not free, runs
the largest batch once, and makes all that is left the cache:
https://github.com/vllm-project/vllm/blob/main/vllm/v1/worker/utils.py (``request_memory``),
https://github.com/vllm-project/vllm/blob/main/vllm/v1/worker/gpu_worker.py
(``determine_available_memory``). The cache is cut into blocks, which all layers' groups share:
https://github.com/vllm-project/vllm/blob/main/vllm/v1/core/kv_cache_planning.py
"""

import math
from collections import Counter
from dataclasses import dataclass, replace

from vramline.fit.amounts import Amount
from vramline.fit.settings import Settings, padded
from vramline.fit.tensor_types import TensorType
from vramline.fit.torch.layout import TorchLayout
from vramline.fit.torch.shape import Keeps, TorchLayer
from vramline.units import GIB, MIB

BLOCK_TOKENS = 16
"""``CacheConfig.DEFAULT_BLOCK_SIZE``"""

CONCURRENT_BATCHES = 2
"""Scheduled at once, as it schedules beside computing."""

LARGE_DEVICE_BYTES = 70 * GIB
HUGE_DEVICE_BYTES = 160 * GIB
"""From where the default batch is larger.
https://github.com/vllm-project/vllm/blob/main/vllm/engine/arg_utils.py (``get_batch_defaults``)"""

VOCABULARY_PADDING = 64
"""``DEFAULT_VOCAB_PADDING_SIZE``"""

CUDA_GRAPHS = Amount(bytes=512 * MIB, low_bytes=0, high_bytes=3 * GIB)
"""Recorded once for each size of batch; part of what is set aside since 0.21."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The most that is computed at once."""

    tokens: int
    sequences: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What vLLM makes of one device.

    Attributes:
        claim_bytes: What it asks for at the start.
        cache_bytes: What of it is left for the cache.
        least_bytes: What the cache has to have for one sequence of full length.
        tokens: That fit into the cache, as it logs it: ``GPU KV cache size``.
    """

    claim_bytes: int
    cache_bytes: Amount
    least_bytes: Amount
    tokens: Amount


def as_served(layout: TorchLayout) -> TorchLayout:
    """Return the model as vLLM takes it where nobody says: one of 32 bits is made one of 16.

    https://docs.vllm.ai/en/latest/configuration/engine_args.html (``--dtype auto``)
    """
    if layout.shape.dtype is not TensorType.F32 or layout.quantised:
        return layout
    return replace(
        layout,
        shape=replace(layout.shape, dtype=TensorType.F16),
        weight_bytes=layout.weight_bytes // 2,
        kept_bytes=layout.kept_bytes // 2,
        segment_bytes=layout.segment_bytes // 2,
    )


def batch_of(settings: Settings, device_bytes: int) -> Batch:
    """Return the settings' batch, or what vLLM's server takes on such a device."""
    tokens, sequences = 2048, 256
    if device_bytes >= LARGE_DEVICE_BYTES:
        tokens, sequences = 8192, 1024
    if device_bytes >= HUGE_DEVICE_BYTES:
        tokens = 16384
    return Batch(tokens=settings.batch_tokens or tokens, sequences=settings.sequences or sequences)


def cache_type(layout: TorchLayout, settings: Settings) -> TensorType:
    """Return what keys and values are kept in: the model's own type, unless another is said."""
    if settings.cache_type_k is TensorType.F16:
        return layout.shape.dtype
    return settings.cache_type_k


def weight_amount(layout: TorchLayout, shards: int) -> Amount:
    """Return what the weights take on each of so many devices.

    With the table of rotations, and a vocabulary that is padded. Small tensors are on every
    device whole.
    """
    shape = layout.shape
    size = -(-layout.weight_bytes // shards)
    rows = padded(shape.vocabulary, VOCABULARY_PADDING * shards) - shape.vocabulary
    size += layout.heads * shape.dtype.row_bytes(shape.hidden) * rows // shards
    table = shape.most_tokens * shape.rotary_elements
    low = size
    size += shape.dtype.row_bytes(table)
    high = max(layout.kept_bytes, layout.weight_bytes) // shards + 2 * 4 * table
    spare = size // (50 if layout.quantised or shards > 1 else 200)
    return Amount(bytes=size, low_bytes=low - spare, high_bytes=max(high, size) + spare)


def request_amount(
    layout: TorchLayout, settings: Settings, tokens: int, batch: Batch, shards: int
) -> Amount:
    """Return what the cache needs on each device for one sequence of *tokens*.

    Exact where all layers keep rows of one size; the others share blocks in ways that follow
    the attention's own kernels.
    """
    kind = cache_type(layout, settings)
    flight = CONCURRENT_BATCHES * batch.tokens
    layers = [layer for layer in layout.shape.layers if layer.keeps is not Keeps.NOTHING]
    pages = [page_bytes(layer, kind, shards, layout.shape.dtype) for layer in layers]
    blocks = [blocks_of(layer, tokens, flight) for layer in layers]
    if not layers:
        return Amount(bytes=0, low_bytes=0, high_bytes=0)
    states = any(layer.keeps is Keeps.STATE for layer in layers)
    kinds = Counter((layer.keeps, layer.window) for layer in layers)
    if len(kinds) == 1 and not states:
        size = sum(pages) * blocks[0]
        return Amount(bytes=size, low_bytes=size, high_bytes=size)
    if len(set(pages)) == 1 and not states:
        counts = [(count, kept, window) for (kept, window), count in kinds.items()]
        group = group_size([count for count, _, _ in counts])
        each = {(layer.keeps, layer.window): n for layer, n in zip(layers, blocks, strict=True)}
        total = sum(-(-count // group) * each[kept, window] for count, kept, window in counts)
        size = group * pages[0] * total
        return Amount(bytes=size, low_bytes=size, high_bytes=size)
    low = sum(page * count for page, count in zip(pages, blocks, strict=True))
    longest = -(-tokens // BLOCK_TOKENS)
    return Amount(
        bytes=low + low // 10, low_bytes=low, high_bytes=2 * len(layers) * max(pages) * longest
    )


def group_size(counts: list[int]) -> int:
    """Return how many layers share a table of blocks.

    As many as the rarest kind has, or the commonest where that is not half as many more.
    """
    least, most = min(counts), max(counts)
    return most if most < least * 1.5 else least


def page_bytes(layer: TorchLayer, kind: TensorType, shards: int, dtype: TensorType) -> int:
    """Return one block of one layer, on each of so many devices."""
    if layer.keeps is Keeps.STATE:
        return dtype.row_bytes(-(-layer.state_elements // shards))
    heads = max(layer.kv_heads // shards, 1)
    return BLOCK_TOKENS * heads * kind.row_bytes(layer.key_dim + layer.value_dim)


def blocks_of(layer: TorchLayer, tokens: int, flight: int) -> int:
    """Return how many blocks of one layer a sequence holds at most.

    https://github.com/vllm-project/vllm/blob/main/vllm/v1/kv_cache_interface.py
    (``max_admission_blocks_per_request``)
    """
    if layer.keeps is Keeps.STATE:
        return 1
    if layer.keeps is Keeps.WINDOW:
        return -(-min(layer.window - 1 + flight, tokens) // BLOCK_TOKENS) + 1
    if layer.keeps is Keeps.CHUNK:
        return -(-min(layer.window + flight, tokens) // BLOCK_TOKENS)
    return -(-tokens // BLOCK_TOKENS)


def compute_amount(layout: TorchLayout, batch: Batch, shards: int) -> Amount:
    """Return what the largest batch is computed with: the widest layer, or the logits.

    What is expected was logged for Llama 3.1 8B, to a hundredth:
    https://github.com/vllm-project/vllm/issues/10517
    """
    shape = layout.shape
    wide = 3 * -(-shape.feed_forward // shards) + 3 * shape.hidden
    layer = batch.tokens * shape.dtype.row_bytes(wide)
    logits = min(batch.sequences, batch.tokens) * shape.vocabulary * (4 + 4)
    size = max(layer, logits)
    return Amount(bytes=size, low_bytes=size // 3, high_bytes=2 * (layer + logits))


def claim_bytes(settings: Settings, device_bytes: int) -> int:
    """Return what vLLM asks for at the start."""
    return math.ceil(device_bytes * settings.memory_share)


def capacity_of(*, claim: int, taken: Amount, least: Amount, tokens: int) -> Capacity:
    """Return what is left for the cache of a *claim* where *taken* is not cache.

    *least* is what one sequence of *tokens* needs of it.
    """
    left = Amount(
        bytes=max(claim - taken.bytes, 0),
        low_bytes=max(claim - taken.high_bytes, 0),
        high_bytes=max(claim - taken.low_bytes, 0),
    )
    return Capacity(
        claim_bytes=claim,
        cache_bytes=left,
        least_bytes=least,
        tokens=Amount(
            bytes=tokens_in(left.bytes, least.bytes, tokens),
            low_bytes=tokens_in(left.low_bytes, least.high_bytes, tokens),
            high_bytes=tokens_in(left.high_bytes, least.low_bytes, tokens),
        ),
    )


def tokens_in(cache: int, one: int, tokens: int) -> int:
    """Return how many tokens go into a cache, where a sequence of *tokens* takes *one*."""
    return cache * tokens // one if one else 0
