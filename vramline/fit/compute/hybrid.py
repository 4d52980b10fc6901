"""Graphs with recurrent layers, alone or among layers that attend.

https://github.com/ggml-org/llama.cpp/tree/master/src/models (mamba, granite-hybrid, jamba,
falcon-h1, nemotron-h)
"""

from vramline.fit.compute import graph as ops
from vramline.fit.compute.attention import Heads, attend, split_heads
from vramline.fit.compute.build import Build
from vramline.fit.compute.feed_forward import (
    Experts,
    Gating,
    feed_forward,
    mixture,
    scaled_experts,
)
from vramline.fit.compute.graph import Node
from vramline.fit.compute.states import mamba, mamba2


def recurrent(build: Build) -> None:
    """mamba and mamba2: nothing but recurrent layers."""
    layer = mamba2 if build.shape.architecture == "mamba2" else mamba
    hidden = build.embed()
    last = len(build.shape.layers) - 1
    for at in range(last + 1):
        value = layer(build, at, build.norm("attn_norm", hidden, at))
        if at == last:
            value, hidden = ops.rows(value, build.chosen), ops.rows(hidden, build.chosen)
        hidden = ops.add(value, hidden)
    build.give(build.finish(hidden))


def attended(build: Build, at: int, value: Node, *, turned: bool) -> Node:
    """Return plain attention."""
    query, key, content = split_heads(build, at, value)
    if turned:
        query, key = build.rope(query), build.rope(key)
    return attend(build, at, Heads(query, key, content))


def granite_hybrid(build: Build) -> None:
    """granitehybrid: Mamba 2 or attention, then experts or a plain block; both are scaled."""
    turned = build.keys.truth("rope.scaling.finetuned", absent=True)
    scaled = build.keys.real("residual_scale", 0.0) != 0.0
    hidden = build.embed_scaled()
    last = len(build.shape.layers) - 1
    for at in range(last + 1):
        before = hidden
        value = build.norm("attn_norm", hidden, at)
        if build.layer(at).recurs:
            value = mamba2(build, at, value)
        else:
            value = attended(build, at, value, turned=turned)
        if at == last:
            value, before = ops.rows(value, build.chosen), ops.rows(before, build.chosen)
        middle = ops.add(ops.scale(value) if scaled else value, before)
        value = granite_feed(build, at, build.norm("ffn_norm", middle, at))
        hidden = ops.add(ops.scale(value) if scaled else value, middle)
    logits = build.finish(hidden)
    build.give(ops.scale(logits) if build.keys.real("logit_scale", 0.0) else logits)


def granite_feed(build: Build, at: int, value: Node) -> Node:
    """Return what experts make of it, with those that all share; or a plain block."""
    if build.weight("ffn_gate_inp.weight", at) is None:
        return feed_forward(build, at, value)
    result = mixture(build, at, value, Experts(scaled=scaled_experts(build)))
    if build.keys.number("expert_shared_feed_forward_length", 0):
        result = ops.add(result, feed_forward(build, at, value, suffix="_shexp"))
    return result


def jamba(build: Build) -> None:
    """jamba: Mamba or attention that does not turn, then experts or a plain block."""
    rule = Experts(normed=False, scaled=scaled_experts(build))
    hidden = build.embed()
    last = len(build.shape.layers) - 1
    for at in range(last + 1):
        value = build.norm("attn_norm", hidden, at)
        if build.layer(at).recurs:
            value = mamba(build, at, value)
        else:
            value = attended(build, at, value, turned=False)
        if at == last:
            value, hidden = ops.rows(value, build.chosen), ops.rows(hidden, build.chosen)
        middle = ops.add(hidden, value)
        value = build.norm("ffn_norm", middle, at)
        if build.weight("ffn_gate_inp.weight", at) is None:
            value = feed_forward(build, at, value)
        else:
            value = mixture(build, at, value, rule)
        hidden = ops.add(middle, value)
    build.give(build.finish(hidden))


def falcon_h1(build: Build) -> None:
    """falcon-h1: attention and Mamba 2 side by side in every layer."""
    hidden = build.embed()
    last = len(build.shape.layers) - 1
    for at in range(last + 1):
        seen = attended(build, at, build.norm("attn_norm", hidden, at), turned=True)
        kept = mamba2(build, at, build.norm("attn_norm", hidden, at))
        middle = ops.add(ops.add(seen, kept), hidden)
        if at == last:
            middle = ops.rows(middle, build.chosen)
        value = feed_forward(build, at, build.norm("ffn_norm", middle, at))
        hidden = ops.add(value, middle)
    build.give(build.finish(hidden))


def nemotron_h(build: Build) -> None:
    """nemotron_h: Mamba 2, attention, or a feed-forward block in each layer."""
    hidden = build.embed()
    for at in range(len(build.shape.layers)):
        layer, value = build.layer(at), build.norm("attn_norm", hidden, at)
        if layer.recurs:
            value = mamba2(build, at, value)
        elif layer.attends:
            value = attended(build, at, value, turned=False)
        else:
            value = nemotron_feed(build, at, value)
        hidden = ops.add(value, hidden)
    build.give_chosen(hidden)


def nemotron_feed(build: Build, at: int, value: Node) -> Node:
    """Return a squared activation's block, or what experts make of a narrower copy."""
    if build.weight("ffn_gate_inp.weight", at) is None:
        return feed_forward(build, at, value, "RELU_SQR")
    rule = Experts(
        gating=Gating.SIGMOID,
        normed=build.keys.truth("expert_weights_norm", absent=False),
        scaled=scaled_experts(build),
        op="RELU_SQR",
    )
    narrow = build.weight("ffn_latent_down.weight", at)
    latent = value if narrow is None else ops.matmul(narrow, value)
    logits = ops.matmul(build.need("ffn_gate_inp.weight", at), value)
    result = mixture(build, at, latent, rule, logits)
    wide = build.weight("ffn_latent_up.weight", at)
    result = result if wide is None else ops.matmul(wide, result)
    return ops.add(result, feed_forward(build, at, value, "RELU_SQR", "_shexp"))
