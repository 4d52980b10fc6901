"""Graphs of rwkv7.

https://github.com/ggml-org/llama.cpp/blob/master/src/models/rwkv7.cpp,
https://github.com/ggml-org/llama.cpp/blob/master/src/models/rwkv7-base.cpp
"""

from typing import NamedTuple

from vramline.fit.compute import graph as ops
from vramline.fit.compute.build import Build
from vramline.fit.compute.graph import F32, Node
from vramline.fit.compute.states import fetch_states, main_state, shift_state, store


def rwkv7(build: Build) -> None:
    """Build the graph: each token is mixed with the one before it, in time, then in channels."""
    batch, width = build.batch, build.shape.embedding_length
    each, sequences = batch.tokens_each, batch.sequences
    hidden = build.pinned_norm("token_embd_norm", build.embed(), 0)
    last, first_value = len(build.shape.layers) - 1, None
    for at in range(last + 1):
        hidden = ops.reshape(hidden, width, each, sequences)
        kept = shift_state(build, at)
        shifts = build.keys.number("token_shift_count", 2)
        before = ops.reshape(fetch_states(build, kept), width, shifts, sequences)
        shifted = [ops.view(before, (width, 1, sequences), *before.strides[1:3]) for _ in range(2)]
        normed = build.norm("attn_norm", hidden, at, "NORM")
        value, first_value = time_mix(build, at, normed, behind(shifted[0], normed), first_value)
        middle = ops.add(value, hidden)
        mixed = build.norm("attn_norm_2", middle, at, "NORM")
        previous = behind(shifted[1], mixed)
        ends = [
            ops.view(part, (width, 1, sequences), *part.strides[1:3]) for part in (normed, mixed)
        ]
        size = width * sequences * shifts
        new = ops.view(ops.concat(ends[0], ends[1], 1), (size,))
        store(build, new, kept, size)
        parts = [ops.reshape(part, width, batch.tokens) for part in (middle, mixed, previous)]
        if at == last:
            parts = [ops.rows(part, build.chosen) for part in parts]
        hidden = ops.add(channel_mix(build, at, parts[1], parts[2]), parts[0])
    build.give(build.finish(hidden, op="NORM"))


def behind(before: Node, value: Node) -> Node:
    """Return every token's predecessor."""
    width, each, sequences, _ = value.lengths
    rest = ops.view(value, (width, each - 1, sequences), *value.strides[1:3])
    return ops.concat(before, rest, 1)


def channel_mix(build: Build, at: int, value: Node, previous: Node) -> Node:
    """Return the feed-forward part."""
    change = ops.alike("SUB", previous, value)
    mixed = ops.add(ops.mul(change, build.need("channel_mix_lerp_k.weight", at)), value)
    inner = ops.alike("RELU", build.project("channel_mix_key", mixed, at))
    return build.project("channel_mix_value", ops.alike("SQR", inner), at)


def low_rank(build: Build, at: int, name: str, value: Node, op: str | None = None) -> Node:
    """Return a product with two narrow matrices, and an activation between them."""
    inner = ops.matmul(build.need(f"time_mix_{name}1.weight", at), value)
    if op is not None:
        inner = ops.alike(op, inner)
    return ops.matmul(build.need(f"time_mix_{name}2.weight", at), inner)


def offset(build: Build, at: int, name: str, value: Node) -> Node:
    """Return the same with its bias."""
    return ops.add(value, build.need(f"time_mix_{name}0.weight", at))


def time_mix(
    build: Build, at: int, value: Node, previous: Node, first: Node | None
) -> tuple[Node, Node]:
    """Return the recurrent part, and the first layer's values, which all layers use."""
    batch, width = build.batch, build.shape.embedding_length
    gated = build.weight("time_mix_g1.weight", at) is not None
    change = ops.alike("SUB", previous, value)
    wide = ops.repeat(change, width, batch.tokens_each, batch.sequences, 6 if gated else 5)
    mixed = ops.add(ops.mul(wide, build.need("time_mix_lerp_fused.weight", at)), value)
    parts = [
        ops.view(mixed, (width, batch.tokens), mixed.strides[1]) for _ in range(6 if gated else 5)
    ]
    receptance = build.project("time_mix_receptance", parts[0], at)
    decay = offset(build, at, "w", low_rank(build, at, "w", parts[1], "TANH"))
    decay = ops.alike("EXP", ops.scale(ops.alike("SIGMOID", decay)))
    key = build.project("time_mix_key", parts[2], at)
    content = build.project("time_mix_value", parts[3], at)
    if first is None:
        first = content
    else:
        share = ops.alike("SIGMOID", offset(build, at, "v", low_rank(build, at, "v", parts[3])))
        content = ops.add(content, ops.mul(ops.alike("SUB", first, content), share))
    gate = low_rank(build, at, "g", parts[5], "SIGMOID") if gated else None
    rate = ops.alike("SIGMOID", offset(build, at, "a", low_rank(build, at, "a", parts[4])))
    result = recurred(build, at, Turn(receptance, decay, key, content, rate))
    if gate is not None:
        result = ops.mul(result, gate)
    result = build.project("time_mix_output", result, at)
    return ops.reshape(result, width, batch.tokens_each, batch.sequences), first


class Turn(NamedTuple):
    """What the state is turned with: one row a token, named as in the paper on RWKV-7."""

    receptance: Node
    decay: Node
    key: Node
    content: Node
    rate: Node


def recurred(build: Build, at: int, turn: Turn) -> Node:
    """Return what the state gives for each token."""
    receptance, decay, key, content, rate = turn
    batch, width = build.batch, build.shape.embedding_length
    head = build.shape.states.wkv_head
    heads = width // head
    shape = (head, heads, batch.tokens)
    removed = ops.reshape(ops.mul(key, build.need("time_mix_k_k.weight", at)), *shape)
    removed = ops.alike("L2_NORM", removed)
    scaled = ops.mul(key, build.need("time_mix_k_a.weight", at))
    key = ops.add(key, ops.alike("SUB", ops.mul(rate, scaled), scaled))
    receptance, decay, key, content, rate = (
        ops.reshape(part, *shape) for part in (receptance, decay, key, content, rate)
    )
    kept = main_state(build, at)
    state = fetch_states(build, kept)
    sources = (
        receptance, decay, key, content, ops.alike("NEG", removed), ops.mul(removed, rate), state
    )  # fmt: skip
    rows = batch.tokens + head * state.lengths[1]
    whole = Node("RWKV_WKV7", F32, (width, rows, 1, 1), sources)
    result = ops.view(whole, (width * batch.tokens,))
    size = width * head * batch.sequences
    store(build, ops.view(whole, (size,)), kept, size)
    if build.weight("time_mix_ln.weight", at) is not None:
        result = ops.alike("NORM", ops.reshape(result, head, heads, batch.tokens))
        result = ops.reshape(result, width, batch.tokens)
        result = ops.mul(result, build.need("time_mix_ln.weight", at))
        result = ops.add(result, build.need("time_mix_ln.bias", at))
    else:
        result = ops.reshape(result, width, batch.tokens)
    bonus = ops.reshape(build.need("time_mix_r_k.weight", at), head, heads)
    share = ops.sum_rows(ops.mul(ops.mul(key, receptance), bonus))
    return ops.add(result, ops.reshape(ops.mul(content, share), width, batch.tokens))
