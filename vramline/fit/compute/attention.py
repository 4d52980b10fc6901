"""Attention, from queries, keys and values to its output.

https://github.com/ggml-org/llama.cpp/blob/master/src/llama-graph.cpp (``build_qkv``,
``build_attn``, ``build_attn_mha``),
https://github.com/ggml-org/llama.cpp/blob/master/src/llama-kv-cache.cpp (``get_k``, ``cpy_k``)
"""

from typing import NamedTuple

from vramline.fit.compute import graph as ops
from vramline.fit.compute.build import Build
from vramline.fit.compute.graph import F16, F32, Node


class Heads(NamedTuple):
    """Queries, keys and values of one layer."""

    query: Node
    key: Node
    value: Node


def split_heads(
    build: Build, at: int, hidden: Node, *, query_scale: int = 1, split: bool = True
) -> Heads:
    """Return a layer's queries, keys and values, by head unless *split* is false."""
    layer = build.layer(at)
    sizes = (
        (layer.head_dim_k * query_scale, layer.heads),
        (layer.head_dim_k, layer.kv_heads),
        (layer.head_dim_v, layer.kv_heads),
    )
    if build.weight("attn_qkv.weight", at) is not None:
        return fused_heads(build, at, hidden, sizes, split=split)
    clamped = split and build.keys.real("attention.clamp_kqv", 0.0) > 0
    parts = []
    for name in ("attn_q", "attn_k", "attn_v"):
        part = build.biased(name, build.project(name, hidden, at), at)
        parts.append(ops.alike("CLAMP", part) if clamped else part)
    if split:
        tokens = build.batch.tokens
        parts = [ops.reshape(p, *size, tokens) for p, size in zip(parts, sizes, strict=True)]
    return Heads(*parts)


def fused_heads(
    build: Build,
    at: int,
    hidden: Node,
    sizes: tuple[tuple[int, int], ...],
    *,
    split: bool,
) -> Heads:
    """Return the same from one product of all three."""
    whole = build.project("attn_qkv", hidden, at)
    bias = build.weight("attn_qkv.bias", at)
    biases = [build.weight(f"attn_{part}.bias", at) for part in "qkv"]
    if bias is None and biases[0] and biases[1] and biases[2]:
        bias = ops.concat(ops.concat(biases[0], biases[1], 0), biases[2], 0)
    if bias is not None:
        whole = ops.add(whole, bias)
    if split and build.keys.real("attention.clamp_kqv", 0.0) > 0:
        whole = ops.alike("CLAMP", whole)
    tokens, step = build.batch.tokens, whole.strides[1]
    if split:
        parts = [ops.view(whole, (dim, heads, tokens), 4 * dim, step) for dim, heads in sizes]
    else:
        parts = [ops.cont(ops.view(whole, (dim * heads, tokens), step)) for dim, heads in sizes]
    return Heads(*parts)


def rotate(value: Node, matrix: Node | None) -> Node:
    """Return *value* times a matrix that spreads outliers, in pieces as long as its rows."""
    if matrix is None:
        return value
    size = matrix.lengths[0]
    if value.contiguous:
        pieces = ops.reshape(value, size, value.count // size)
    else:
        pieces = ops.cont(value, size, value.count // size)
    return ops.reshape(ops.matmul(matrix, pieces), *value.lengths)


def key_cache(build: Build, at: int) -> Node:
    """Return the tensor that a layer's keys are kept in."""
    layer, batch = build.layer(at), build.batch
    cells = batch.window_cells if layer.windowed else batch.cells
    source = build.layer(layer.cached_by)
    return build.state(
        "cache_k", layer.cached_by, batch.cache_type_k, source.key_length, cells, batch.streams
    )


def value_cache(build: Build, at: int) -> Node:
    """Return the tensor that a layer's values are kept in."""
    layer, batch = build.layer(at), build.batch
    cells = batch.window_cells if layer.windowed else batch.cells
    length = build.layer(layer.cached_by).value_length if batch.by_token else build.widest_value
    return build.state("cache_v", layer.cached_by, batch.cache_type_v, length, cells, batch.streams)


def store_keys(build: Build, at: int, key: Node) -> None:
    """Write new keys into the cache."""
    cache, batch = key_cache(build, at), build.batch
    length = key.lengths[0] * key.lengths[1]
    new = ops.view(key, (length, key.lengths[2]), key.strides[2])
    if batch.streams > 1:
        cache = ops.reshape(cache, length, cache.lengths[1] * batch.streams)
    indices = build.rows_of_keys(windowed=build.layer(at).windowed)
    build.expand(ops.set_rows(cache, new, indices))


def store_values(build: Build, at: int, value: Node) -> None:
    """Write new values into the cache, by token or by dimension."""
    cache, batch = value_cache(build, at), build.batch
    length, tokens = value.lengths[0] * value.lengths[1], value.lengths[2]
    indices = build.rows_of_values(windowed=build.layer(at).windowed)
    if batch.by_token:
        new = ops.view(value, (length, tokens), value.strides[2])
        if batch.streams > 1:
            cache = ops.reshape(cache, length, cache.lengths[1] * batch.streams)
        build.expand(ops.set_rows(cache, new, indices))
        return
    if value.kind.row_bytes(length) == value.strides[2]:
        new = ops.reshape(value, length, tokens)
    else:
        new = ops.cont(value, length, tokens)
    if length < cache.lengths[0]:
        new = ops.pad(new, cache.lengths[0] - length)
    by_element = ops.reshape(cache, 1, cache.count)
    build.expand(ops.set_rows(by_element, ops.reshape(new, 1, new.count), indices))


def kept_keys(build: Build, at: int) -> Node:
    """Return all keys in the cache."""
    cache, layer = key_cache(build, at), build.layer(at)
    kind, (length, cells, streams, _) = cache.kind, cache.lengths
    lengths = (layer.head_dim_k, layer.kv_heads, cells, streams)
    row = kind.row_bytes(length)
    return ops.view(cache, lengths, kind.row_bytes(layer.head_dim_k), row, row * cells)


def kept_values(build: Build, at: int) -> Node:
    """Return all values in the cache."""
    cache, layer = value_cache(build, at), build.layer(at)
    kind, (length, cells, streams, _) = cache.kind, cache.lengths
    if build.batch.by_token:
        lengths = (layer.head_dim_v, layer.kv_heads, cells, streams)
        row = kind.row_bytes(length)
        return ops.view(cache, lengths, kind.row_bytes(layer.head_dim_v), row, row * cells)
    lengths = (cells, layer.kv_heads, layer.head_dim_v, streams)
    return ops.view(
        cache,
        lengths,
        kind.row_bytes(cells * layer.head_dim_v),
        kind.row_bytes(cells),
        kind.row_bytes(cells * length),
    )


def attend(
    build: Build,
    at: int,
    heads: Heads,
    *,
    out: str | None = "attn_output",
    sinks: Node | None = None,
) -> Node:
    """Return a layer's attention with a cache, and its output where it has a weight.

    A layer that has no keys and values of its own reads another's: its heads' are left out.
    """
    windowed = build.layer(at).windowed
    by_window = build.shape.window_cells > 0
    turn_k = build.rotation("k", windowed=windowed)
    turn_v = build.rotation("v", windowed=windowed)
    query = rotate(heads.query, turn_k)
    own = build.layer(at).cached
    key, value = heads.key, heads.value
    if own:
        key, value = rotate(key, turn_k), rotate(value, turn_v)
    build.expand(query)
    # Where windows are mixed, llama.cpp takes them in another order.
    for part in ((key, value) if by_window else (value, key)) if own else ():
        build.expand(part)
    if own:
        store_keys(build, at, key)
        store_values(build, at, value)
    mask = build.mask(windowed=windowed)
    parts = Mixture(query, kept_keys(build, at), kept_values(build, at), mask, sinks)
    result = mix(build, parts)
    return project_out(build, at, rotate(result, turn_v), out)


def attend_without_cache(build: Build, at: int, heads: Heads, mask: Node) -> Node:
    """Return a layer's attention among the batch's tokens alone."""
    for part in heads:
        build.expand(part)
    return project_out(build, at, mix(build, Mixture(*heads, mask)), "attn_output")


def project_out(build: Build, at: int, value: Node, out: str | None) -> Node:
    """Return attention's output."""
    if out is None:
        return value
    return build.biased(out, build.project(out, value, at), at)


class Mixture(NamedTuple):
    """What attention mixes.

    Attributes:
        mask: Which keys each query sees.
        sinks: What it may turn to in place of any token.
        latent: Unfolds the mixed values, where those are kept as one latent row.
    """

    query: Node
    key: Node
    value: Node
    mask: Node
    sinks: Node | None = None
    latent: Node | None = None


def mix(build: Build, parts: Mixture) -> Node:
    """Return the values mixed by how queries and keys agree."""
    query, key, value = parts.query, parts.key, parts.value
    transposed = value.strides[1] > value.strides[2]
    streams = key.lengths[3]
    one, two, three, _ = query.lengths
    _, by_head, by_token, _ = query.strides
    tokens = three // streams
    query = ops.view(query, (one, two, tokens, streams), by_head, by_token, by_token * tokens)
    query, key, value = (ops.permute(part, 0, 2, 1, 3) for part in (query, key, value))
    if transposed == build.batch.flash:
        value = ops.transpose(value)
    parts = parts._replace(query=query, key=key, value=value)
    if build.batch.flash:
        return build.expand(mix_at_once(parts))
    if not transposed:
        parts = parts._replace(value=ops.cont(value))
    return build.expand(mix_by_steps(build, parts))


def mix_at_once(parts: Mixture) -> Node:
    """Flash attention."""
    key, value, latent = parts.key, parts.value, parts.latent
    if key.kind is F32:
        key = ops.cast(key, F16)
    if value.kind is F32:
        value = ops.cast(value, F16)
    result = ops.flash_attention(parts.query, key, value, parts.mask, parts.sinks)
    if latent is not None:
        result = ops.matmul(latent, ops.permute(result, 0, 2, 1, 3))
        result = ops.cont(ops.permute(result, 0, 2, 1, 3))
    one, two, three, four = result.lengths
    return ops.reshape(result, one * two, three * four)


def mix_by_steps(build: Build, parts: Mixture) -> Node:
    """Attention as its formula has it."""
    weights = ops.matmul(parts.key, parts.query)
    if build.shape.architecture == "gemma2":
        weights = ops.scale(ops.alike("TANH", ops.scale(weights)))
    weights = ops.alike("SOFT_MAX", weights, parts.mask, parts.sinks)
    result = ops.matmul(parts.value, weights)
    if parts.latent is not None:
        result = ops.matmul(parts.latent, result)
    result = ops.permute(result, 0, 2, 1, 3)
    one, two, three, four = result.lengths
    result = ops.cont(result, one * two, three * four)
    # Without a layer: on the host, where the caches are kept there.
    result.pinned = True
    return result
