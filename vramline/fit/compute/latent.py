"""Graphs of deepseek2: keys and values as one latent row, and many small experts.

https://github.com/ggml-org/llama.cpp/blob/master/src/models/deepseek2.cpp
"""

from vramline.fit.compute import graph as ops
from vramline.fit.compute.attention import (
    Heads,
    Mixture,
    attend,
    kept_keys,
    mix,
    project_out,
    store_keys,
)
from vramline.fit.compute.build import Build
from vramline.fit.compute.feed_forward import (
    Experts,
    feed_forward,
    gating_of,
    mixture,
    scaled_experts,
)
from vramline.fit.compute.graph import F32, Node


def deepseek2(build: Build) -> None:
    """deepseek2, and what is converted to it: Kimi K2, GigaChat, Mistral Large 3, GLM 4.7."""
    rule = Experts(
        gating=gating_of(build, unsaid_gating(build)),
        normed=build.keys.truth("expert_weights_norm", absent=False),
        scaled=scaled_experts(build),
    )
    hidden = build.embed()
    last = len(build.shape.layers) - 1
    for at in range(last + 1):
        before = hidden
        value = latent_attention(build, at, build.norm("attn_norm", hidden, at))
        if at == last:
            value, before = ops.rows(value, build.chosen), ops.rows(before, build.chosen)
        middle = ops.add(value, before)
        value = build.norm("ffn_norm", middle, at)
        if at < build.shape.dense_layers:
            value = feed_forward(build, at, value)
        else:
            shared = feed_forward(build, at, value, suffix="_shexp")
            value = ops.add(mixture(build, at, value, rule), shared)
        hidden = ops.add(value, middle)
    build.give(build.finish(hidden))


def unsaid_gating(build: Build) -> int:
    """Return how experts are weighed where the header does not say: GLM 4.7 Lite is told apart."""
    lite = len(build.shape.layers) in {47, 48} and build.shape.vocabulary == 154880
    return 2 if lite else 1


def latent_attention(build: Build, at: int, hidden: Node) -> Node:
    """Return a layer's attention."""
    shape, layer, tokens = build.shape, build.layer(at), build.batch.tokens
    rank, turned = shape.kv_lora_rank, layer.rope_dim
    dim = shape.mla_head_dim_k if shape.mla else layer.head_dim_k
    query = ops.reshape(latent_query(build, at, hidden), dim, layer.heads, tokens)
    whole = ops.matmul(build.need("attn_kv_a_mqa.weight", at), hidden)
    step = 4 * (rank + turned)
    content = ops.view(whole, (rank, tokens), step)
    position = build.rope(ops.view(whole, (turned, 1, tokens), step, step))
    content = build.norm("attn_kv_a_norm", content, at)
    if not shape.mla:
        return unfolded(build, at, query, content, position)
    plain = ops.view(query, (dim - turned, layer.heads, tokens), *query.strides[1:3])
    turning = build.rope(ops.view(query, (turned, layer.heads, tokens), *query.strides[1:3]))
    folded = ops.matmul(build.need("attn_k_b.weight", at), ops.permute(plain, 0, 2, 1, 3))
    query = tempered(build, ops.concat(ops.permute(folded, 0, 2, 1, 3), turning, 0))
    content = ops.reshape(content, rank, 1, tokens)
    key = ops.concat(content, position, 0)
    return attend_by_keys(build, at, Heads(query, key, content))


def latent_query(build: Build, at: int, hidden: Node) -> Node:
    """Return the queries, by way of a latent row where the model has one."""
    direct = build.weight("attn_q.weight", at)
    if direct is not None:
        return ops.matmul(direct, hidden)
    narrow = ops.matmul(build.need("attn_q_a.weight", at), hidden)
    return ops.matmul(build.need("attn_q_b.weight", at), build.norm("attn_q_a_norm", narrow, at))


def tempered(build: Build, query: Node) -> Node:
    """Return the query scaled by its position, as Mistral Large does."""
    if not build.keys.real("attention.temperature_scale", 0.0):
        return query
    return ops.mul(query, build.input("inp_attn_scale", F32, 1, 1, build.batch.tokens))


def unfolded(build: Build, at: int, query: Node, content: Node, position: Node) -> Node:
    """Return attention with full keys and values, as older files have it."""
    layer, tokens = build.layer(at), build.batch.tokens
    turned, plain = layer.rope_dim, layer.head_dim_k - layer.rope_dim
    both = ops.matmul(build.need("attn_kv_b.weight", at), content)
    step = 4 * (plain + layer.head_dim_v)
    strides = (step, step * layer.heads)
    key = ops.view(both, (plain, layer.heads, tokens), *strides)
    value = ops.cont(ops.view(both, (layer.head_dim_v, layer.heads, tokens), *strides))
    query = tempered(build, build.rope(query))
    key = ops.concat(key, ops.repeat(position, turned, layer.heads, tokens), 0)
    return attend(build, at, Heads(query, key, value))


def attend_by_keys(build: Build, at: int, heads: Heads) -> Node:
    """Return attention whose values are the first part of its keys."""
    build.expand(heads.query)
    build.expand(heads.value)
    build.expand(heads.key)
    store_keys(build, at, heads.key)
    keys = kept_keys(build, at)
    lengths = (heads.value.lengths[0], *keys.lengths[1:])
    values = ops.view(keys, lengths, *keys.strides[1:])
    mask = build.mask(windowed=False)
    latent = build.need("attn_v_b.weight", at)
    result = mix(build, Mixture(heads.query, keys, values, mask, latent=latent))
    return project_out(build, at, result, "attn_output")
