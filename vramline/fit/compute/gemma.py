"""Graphs of gemma2 and gemma3: norms before and after each part, and capped logits.

https://github.com/ggml-org/llama.cpp/blob/master/src/models/gemma2.cpp,
https://github.com/ggml-org/llama.cpp/blob/master/src/models/gemma3.cpp
"""

from vramline.fit.compute import graph as ops
from vramline.fit.compute.attention import Heads, attend, split_heads
from vramline.fit.compute.build import Build
from vramline.fit.compute.feed_forward import feed_forward
from vramline.fit.compute.graph import Node


def gemma(build: Build) -> None:
    """gemma2 and gemma3, which normalises queries and keys as well."""
    hidden = ops.scale(build.embed())
    last = len(build.shape.layers) - 1
    for at in range(last + 1):
        query, key, content = split_heads(build, at, build.norm("attn_norm", hidden, at))
        if build.shape.architecture == "gemma3":
            query, key = build.norm("attn_q_norm", query, at), build.norm("attn_k_norm", key, at)
        query, key = build.rope(query), build.rope(key)
        value = attend(build, at, Heads(ops.scale(query), key, content))
        if at == last:
            value, hidden = ops.rows(value, build.chosen), ops.rows(hidden, build.chosen)
        middle = ops.add(build.norm("post_attention_norm", value, at), hidden)
        value = feed_forward(build, at, build.norm("ffn_norm", middle, at), "GELU")
        hidden = ops.add(build.unpinned_norm("post_ffw_norm", value, at), middle)
    logits = build.finish(hidden)
    # gemma2 caps by 30 where the key is absent, gemma3 does not cap then.
    absent = 30.0 if build.shape.architecture == "gemma2" else 0.0
    build.give(capped(logits) if build.keys.real("final_logit_softcapping", absent) else logits)


def capped(value: Node) -> Node:
    """Return *value* squeezed between two bounds."""
    return ops.scale(ops.alike("TANH", ops.scale(value)))
