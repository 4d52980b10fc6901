"""Graphs of gemma3n and gemma4, whose layers have embeddings of their own.

https://github.com/ggml-org/llama.cpp/blob/master/src/models/gemma3n.cpp,
https://github.com/ggml-org/llama.cpp/blob/master/src/models/gemma4.cpp
"""

from vramline.fit.compute import graph as ops
from vramline.fit.compute.attention import Heads, attend
from vramline.fit.compute.build import Build
from vramline.fit.compute.feed_forward import Experts, feed_forward, mixture
from vramline.fit.compute.gemma import capped
from vramline.fit.compute.graph import I32, Node

COPIES = 4
"""Of what runs through gemma3n, kept side by side (``n_altup``)."""

SPARSE_LAYERS = 10
"""Of gemma3n, whose gates are cut off below a threshold (``n_layer_sparsity``)."""


def slice_of(value: Node) -> Node:
    """Return one matrix of a stack."""
    row = value.kind.row_bytes(value.lengths[0])
    return ops.view(value, value.lengths[:2], row)


def layer_inputs(build: Build, hidden: Node) -> Node:
    """Return every layer's own embeddings, mixed with the first hidden ones."""
    layers, tokens = len(build.shape.layers), build.batch.tokens
    table = build.need("per_layer_token_embd.weight")
    width = table.lengths[0] // layers
    # Tokens are filled in once more for them: it is an input of its own.
    value = ops.rows(table, build.input("inp_tokens_per_layer", I32, tokens))
    value = build.expand(ops.scale(ops.reshape(value, width, layers, tokens)))
    mixed = ops.scale(ops.matmul(build.need("per_layer_model_proj.weight"), hidden))
    mixed = ops.reshape(mixed, width, layers, tokens)
    mixed = build.norm("per_layer_proj_norm", mixed, None)
    return ops.cont(ops.permute(ops.scale(ops.add(mixed, value)), 0, 2, 1, 3))


def layer_heads(build: Build, at: int, hidden: Node, factors: Node | None = None) -> Heads:
    """Return queries, keys and values; without the last two where another layer's are read."""
    layer, tokens = build.layer(at), build.batch.tokens
    dim = layer.head_dim_k
    names = ("attn_q", "attn_k", "attn_v") if layer.cached else ("attn_q",)
    counts = (layer.heads, layer.kv_heads, layer.kv_heads)
    whole = None
    if build.weight("attn_qkv.weight", at) is not None:
        whole = build.project("attn_qkv", hidden, at)
    parts: list[Node] = []
    for name, count in zip(names, counts, strict=False):
        if whole is not None:
            shape = (dim * count, tokens)
            part = ops.cont(ops.view(whole, shape, whole.strides[1]))
        elif name == "attn_v" and build.weight("attn_v.weight", at) is None:
            parts.append(parts[1])
            continue
        else:
            part = build.biased(name, build.project(name, hidden, at), at)
        parts.append(part)
    split = [ops.reshape(p, dim, n, tokens) for p, n in zip(parts, counts, strict=False)]
    query = build.rope(build.norm("attn_q_norm", split[0], at), factors)
    if not layer.cached:
        return Heads(query, query, query)
    key = build.rope(build.norm("attn_k_norm", split[1], at), factors)
    return Heads(query, key, ops.alike("RMS_NORM", split[2]))


def gemma4(build: Build) -> None:
    """gemma4: with or without experts, with or without embeddings for each layer."""
    hidden = ops.scale(build.embed())
    own = None
    if build.weight("per_layer_token_embd.weight") is not None:
        own = layer_inputs(build, hidden)
    for at in range(len(build.shape.layers)):
        factors = None if build.layer(at).windowed else build.shared("rope_freqs.weight", at)
        value = build.norm("attn_norm", hidden, at)
        value = attend(build, at, layer_heads(build, at, value, factors))
        middle = ops.add(build.norm("post_attention_norm", value, at), hidden)
        value = build.unpinned_norm("post_ffw_norm", gemma4_feed(build, at, middle), at)
        hidden = ops.add(value, middle)
        if own is not None:
            value = ops.alike("GELU", build.project("inp_gate", hidden, at))
            value = build.project("proj", ops.mul(value, slice_of(own)), at)
            hidden = ops.add(hidden, build.norm("post_norm", value, at))
        factor = build.weight("layer_output_scale.weight", at)
        hidden = hidden if factor is None else ops.mul(hidden, factor)
    build.give_chosen(hidden, cap=bool(build.keys.real("final_logit_softcapping", 30.0)))


def gemma4_feed(build: Build, at: int, value: Node) -> Node:
    """Return a plain block's output, with experts' beside it where the layer has them."""
    plain = feed_forward(build, at, build.norm("ffn_norm", value, at), "GELU")
    router = build.weight("ffn_gate_inp.weight", at)
    if router is None:
        return plain
    plain = build.norm("post_ffw_norm_1", plain, at)
    narrow = build.norm("pre_ffw_norm_2", value, at)
    routed = ops.scale(ops.alike("RMS_NORM", value))
    logits = ops.matmul(router, ops.mul(routed, build.need("ffn_gate_inp.scale", at)))
    mixed = mixture(build, at, narrow, Experts(op="GEGLU"), logits)
    return ops.add(plain, build.norm("post_ffw_norm_2", mixed, at))


def gemma3n(build: Build) -> None:
    """gemma3n: four copies of what runs through, of which one is worked on at a time."""
    hidden = ops.scale(build.embed())
    own = layer_inputs(build, hidden)
    tokens, width = build.batch.tokens, build.shape.embedding_length
    rest = ops.matmul(
        build.need("altup_proj.weight"), ops.repeat(hidden, width, tokens, COPIES - 1)
    )
    hidden = ops.concat(hidden, evened(rest, magnitude(hidden)), 2)
    for at in range(len(build.shape.layers)):
        hidden = gemma3n_layer(build, at, hidden, own)
    size = magnitude(slice_of(hidden))
    back = ops.matmul(build.need("altup_unembd_proj.weight"), all_but_first(hidden))
    back = evened(back, size)
    total = slice_of(hidden)
    for _ in range(COPIES - 1):
        total = ops.add(total, slice_of(back))
    chosen = ops.rows(ops.scale(total), build.chosen)
    build.give(capped(build.finish(chosen)))


def magnitude(value: Node) -> Node:
    """Return each vector's length."""
    return ops.alike("SQRT", ops.sum_rows(ops.alike("SQR", value)))


def evened(value: Node, size: Node) -> Node:
    """Return vectors of the lengths that *size* has."""
    return ops.alike("DIV", ops.mul(value, size), magnitude(value))


def all_but_first(value: Node) -> Node:
    """Return all copies but the one that is worked on."""
    one, two, three, _ = value.lengths
    row = value.kind.row_bytes(one)
    return ops.view(value, (one, two, three - 1), row, row * two)


def gemma3n_layer(build: Build, at: int, hidden: Node, own: Node) -> Node:
    """Return what one layer makes of all copies."""
    predicted = predict(build, at, hidden)
    active = slice_of(predicted)
    value = build.norm("attn_norm", active, at)
    narrow = build.project("laurel_r", build.project("laurel_l", value, at), at)
    narrow = ops.add(build.norm("laurel_post_norm", narrow, at), value)
    seen = attend(build, at, layer_heads(build, at, value))
    seen = ops.add(build.norm("post_attention_norm", seen, at), active)
    middle = ops.scale(ops.add(seen, narrow))
    value = gemma3n_feed(build, at, build.norm("ffn_norm", middle, at))
    value = ops.add(build.unpinned_norm("post_ffw_norm", value, at), middle)
    corrected = correct(build, at, predicted, value)
    first = ops.mul(slice_of(corrected), build.need("altup_correct_scale.weight", at))
    first = ops.alike("GELU", build.project("inp_gate", first, at))
    first = build.project("proj", ops.mul(first, slice_of(own)), at)
    first = build.norm("post_norm", first, at)
    return ops.concat(slice_of(corrected), ops.add(all_but_first(corrected), first), 2)


def gemma3n_feed(build: Build, at: int, value: Node) -> Node:
    """Return the feed-forward block's output; the first layers cut their gates off."""
    up, gate = build.project("ffn_up", value, at), build.project("ffn_gate", value, at)
    if at < SPARSE_LAYERS:
        mean = ops.mean(gate)
        spread = ops.sum_rows(ops.alike("SQR", ops.alike("SUB", gate, mean)))
        spread = ops.alike("SQRT", ops.scale(spread))
        bound = ops.add(mean, ops.scale(spread))
        gate = ops.alike("RELU", ops.alike("SUB", gate, bound))
    return build.project("ffn_down", ops.mul(up, ops.alike("GELU", gate)), at)


def route(build: Build, at: int, value: Node) -> Node:
    """Return how the copies are mixed, for each token."""
    value = ops.scale(build.norm("altup_router_norm", value, at))
    return ops.alike("TANH", ops.matmul(build.need("altup_router.weight", at), value))


def predict(build: Build, at: int, hidden: Node) -> Node:
    """Return every copy as the others let expect it."""
    factors = build.project("altup_predict_coef", route(build, at, slice_of(hidden)), at)
    factors = ops.reshape(factors, COPIES, COPIES, build.batch.tokens)
    turned = ops.cont(ops.permute(hidden, 1, 2, 0, 3))
    mixed = ops.cont(ops.permute(ops.matmul(turned, factors), 0, 2, 1, 3))
    return ops.add(mixed, hidden)


def correct(build: Build, at: int, predicted: Node, value: Node) -> Node:
    """Return every copy, corrected by what the layer made of one."""
    tokens, width = build.batch.tokens, build.shape.embedding_length
    factors = route(build, at, value)
    change = ops.alike("SUB", value, slice_of(predicted))
    factors = ops.scale(build.project("altup_correct_coef", factors, at))
    factors = ops.cont(ops.transpose(factors), 1, tokens, COPIES)
    change = ops.repeat(change, width, tokens, COPIES)
    return ops.add(ops.mul(change, factors), predicted)
