"""Graphs that share no recipe: bert, lfm2, command-r and cohere2.

https://github.com/ggml-org/llama.cpp/tree/master/src/models
"""

from vramline.fit.compute import graph as ops
from vramline.fit.compute.attention import Heads, attend, attend_without_cache, split_heads
from vramline.fit.compute.build import Build
from vramline.fit.compute.feed_forward import (
    Experts,
    feed_forward,
    gating_of,
    mixture,
    scaled_experts,
)
from vramline.fit.compute.graph import F16, F32, Node
from vramline.fit.compute.states import fetch_states, shift_state


def command_r(build: Build) -> None:
    """command-r and cohere2: attention and feed-forward block side by side.

    Of cohere2, the layers that see everything are not turned.
    """
    by_window = build.shape.architecture == "cohere2"
    hidden = build.embed()
    last = len(build.shape.layers) - 1
    for at in range(last + 1):
        normed = build.norm("attn_norm", hidden, at, "NORM")
        query, key, content = split_heads(build, at, normed)
        if build.weight("attn_q_norm.weight", at) is not None:
            query = build.norm("attn_q_norm", query, at, "NORM")
            key = build.norm("attn_k_norm", key, at, "NORM")
        if not by_window or build.layer(at).windowed:
            query, key = build.rope(query), build.rope(key)
        seen = attend(build, at, Heads(query, key, content))
        if at == last:
            seen, hidden, normed = (ops.rows(part, build.chosen) for part in (seen, hidden, normed))
        value = feed_forward(build, at, normed)
        hidden = ops.add(ops.add(value, hidden), seen)
    logits = build.finish(hidden, op="NORM")
    build.give(ops.scale(logits) if build.keys.real("logit_scale", 0.0) else logits)


def lfm2(build: Build) -> None:
    """lfm2 and lfm2moe: short convolutions, and a few layers that attend."""
    rule = Experts(gating=gating_of(build, 0), scaled=scaled_experts(build))
    hidden = build.expand(build.embed())
    last = len(build.shape.layers) - 1
    for at in range(last + 1):
        before, value = hidden, build.norm("attn_norm", hidden, at)
        if build.layer(at).recurs:
            value = short_convolution(build, at, value)
        else:
            query, key, content = split_heads(build, at, value)
            query = build.rope(build.norm("attn_q_norm", query, at))
            key = build.rope(build.norm("attn_k_norm", key, at))
            value = attend(build, at, Heads(query, key, content))
        if at == last:
            value, before = ops.rows(value, build.chosen), ops.rows(before, build.chosen)
        middle = ops.add(before, value)
        value = build.norm("ffn_norm", middle, at)
        if build.weight("ffn_gate_inp.weight", at) is None:
            value = feed_forward(build, at, value)
        else:
            value = mixture(build, at, value, rule)
        hidden = ops.add(middle, value)
    if build.batch.pooling is None:
        build.give(build.finish(hidden, "token_embd_norm"))
    else:
        build.give_embedded(build.norm("token_embd_norm", hidden, None))


def short_convolution(build: Build, at: int, hidden: Node) -> Node:
    """Return a gated convolution over the last few tokens."""
    batch, width = build.batch, build.shape.embedding_length
    each, sequences = batch.tokens_each, batch.sequences
    length = build.shape.states.shortconv - 1
    value = ops.reshape(hidden, hidden.lengths[0], each, sequences)
    whole = build.project("shortconv.in_proj", value, at)
    shape = (whole.lengths[0] // 3, *whole.lengths[1:3])
    gate_in, gate_out, value = (ops.view(whole, shape, *whole.strides[1:3]) for _ in range(3))
    value = ops.transpose(ops.mul(gate_in, value))
    kept = shift_state(build, at)
    before = ops.reshape(fetch_states(build, kept), length, width, sequences)
    seen = ops.concat(before, value, 0)
    for _ in range(min(each, 1 + batch.state_snapshots)):
        last = ops.view(seen, (length, *seen.lengths[1:3]), *seen.strides[1:3])
        place = ops.view(kept, (length * width, sequences), kept.strides[1])
        build.expand(ops.copy_to(last, place))
    kernel = build.need("shortconv.conv.weight", at)
    lengths = (kernel.lengths[1], seen.lengths[0] - kernel.lengths[0] + 1, sequences, 1)
    mixed = ops.mul(gate_out, Node("SSM_CONV", F32, lengths, (seen, kernel)))
    result = build.project("shortconv.out_proj", mixed, at)
    return ops.reshape(result, result.lengths[0], batch.tokens)


def bert(build: Build) -> None:
    """bert: every token sees every other, nothing is kept, and there are no logits."""
    tokens, width = build.batch.tokens, build.shape.embedding_length
    hidden = build.embed()
    types = build.weight("token_types.weight")
    if types is not None:
        hidden = ops.add(hidden, ops.view(types, (width,)))
    hidden = ops.add(ops.rows(build.need("position_embd.weight"), build.positions), hidden)
    hidden = build.pinned_norm("token_embd_norm", hidden, 0)
    mask = build.input("self_kq_mask", F16 if build.batch.flash else F32, tokens, tokens)
    last = len(build.shape.layers) - 1
    for at in range(last + 1):
        value = attend_without_cache(build, at, bert_heads(build, at, hidden), mask)
        if at == last:
            value, hidden = ops.rows(value, build.chosen), ops.rows(hidden, build.chosen)
        middle = build.norm("attn_output_norm", ops.add(value, hidden), at, "NORM")
        value = ops.add(feed_forward(build, at, middle, "GELU"), middle)
        hidden = build.norm("layer_output_norm", value, at, "NORM")
    build.give_embedded(hidden)


def bert_heads(build: Build, at: int, hidden: Node) -> Heads:
    """Return queries, keys and values; some models normalise the first two as a whole."""
    tokens, parts = build.batch.tokens, list(split_heads(build, at, hidden))
    for which, name in enumerate(("attn_q_norm", "attn_k_norm")):
        if build.weight(f"{name}.weight", at) is not None:
            dim, heads, *_ = parts[which].lengths
            flat = ops.reshape(parts[which], dim * heads, tokens)
            parts[which] = ops.reshape(build.norm(name, flat, at, "NORM"), dim, heads, tokens)
    return Heads(*parts)
