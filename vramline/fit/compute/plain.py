"""Graphs of plain transformers: attention, then a feed-forward block, added to what runs through.

https://github.com/ggml-org/llama.cpp/tree/master/src/models has a file for each.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from vramline.fit.compute import graph as ops
from vramline.fit.compute.attention import Heads, attend, split_heads
from vramline.fit.compute.build import Build
from vramline.fit.compute.feed_forward import (
    Experts,
    Gating,
    feed_forward,
    gating_of,
    mixture,
    scaled_experts,
)
from vramline.fit.compute.graph import F32, Node
from vramline.fit.layers import Window

PLAIN_EXPERTS = Experts()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What one architecture does of what others do not.

    Attributes:
        norm: The operation that norms are.
        feed_norm: The name of the norm before the feed-forward block.
        whole_norms: Queries and keys are normalised before they are split into heads.
        head_norms: Where queries and keys are normalised head by head.
        scales_query: The query is scaled before attention, not within.
        activation: Of the feed-forward block.
        experts: How its experts work; ``None``: it has none.
        shared_experts: Every token also goes through experts that all share, where there are.
        said_gating: The header says how experts are weighed; this is meant where it does not.
        scales: Embeddings, each part's output and the logits are scaled.
        early: Tokens that ask for no logits are left out in the last layer, not behind it.
        adds_last: The block's output is the sum's second term.
    """

    norm: str = "RMS_NORM"
    feed_norm: str = "ffn_norm"
    head_norms: bool = False
    whole_norms: bool = False
    factors: bool = False
    scales_query: bool = False
    activation: str = "SILU"
    experts: Experts = PLAIN_EXPERTS
    shared_experts: bool = False
    said_gating: int = 0
    scales: bool = False
    early: bool = True
    adds_last: bool = False


RECIPES: Mapping[str, Recipe] = {
    "glm4moe": Recipe(
        feed_norm="post_attention_norm", head_norms=True, said_gating=2, shared_experts=True
    ),
    "granite": Recipe(factors=True, scales=True, shared_experts=True),
    "granitemoe": Recipe(factors=True, scales=True, shared_experts=True),
    "gpt-oss": Recipe(
        feed_norm="post_attention_norm",
        experts=Experts(gating=Gating.SOFTMAX_OF_CHOSEN, normed=False, op="SWIGLU_OAI"),
        early=False,
    ),
    "llama": Recipe(factors=True),
    "llama4": Recipe(
        factors=True,
        experts=Experts(gating=Gating.SIGMOID, normed=False, weighed_first=True),
        shared_experts=True,
    ),
    "olmoe": Recipe(whole_norms=True, experts=Experts(normed=False)),
    "phi3": Recipe(factors=True, scales_query=True, activation="SWIGLU", adds_last=True),
    "qwen2": Recipe(),
    "qwen3": Recipe(head_norms=True),
    "qwen3moe": Recipe(head_norms=True),
    "smollm3": Recipe(),
    "starcoder2": Recipe(norm="NORM", activation="GELU"),
}


def plain(build: Build) -> None:
    """Build the graph of an architecture that has a recipe."""
    recipe = RECIPES[build.shape.architecture]
    hidden = build.embed_scaled() if recipe.scales else build.embed()
    last = len(build.shape.layers) - 1
    for at in range(last + 1):
        before = hidden
        value = build.norm("attn_norm", hidden, at, recipe.norm)
        value = attend(build, at, turned_heads(build, at, value, recipe), sinks=sinks_of(build, at))
        if at == last and recipe.early:
            value, before = ops.rows(value, build.chosen), ops.rows(before, build.chosen)
        middle = ops.add(scaled(build, value, recipe), before)
        value = build.norm(recipe.feed_norm, middle, at, recipe.norm)
        value = scaled(build, feed(build, at, value, recipe), recipe)
        hidden = ops.add(middle, value) if recipe.adds_last else ops.add(value, middle)
    if not recipe.early:
        hidden.output = True
        hidden = ops.rows(hidden, build.chosen)
    logits = build.finish(hidden, op=recipe.norm)
    build.give(ops.scale(logits) if recipe.scales else logits)


def scaled(build: Build, value: Node, recipe: Recipe) -> Node:
    """Return a part's output, scaled where the header says so."""
    if recipe.scales and build.keys.real("residual_scale", 0.0):
        return ops.scale(value)
    return value


def sinks_of(build: Build, at: int) -> Node | None:
    """Return what attention may turn to in place of any token."""
    return build.weight("attn_sinks.weight", at)


def factors_of(build: Build, at: int) -> Node | None:
    """Return the rotation's factors for long contexts, where the model has them."""
    for name in ("rope_freqs", "rope_factors_long"):
        factors = build.shared(f"{name}.weight", at)
        if factors is not None:
            return factors
    return None


def turned_heads(build: Build, at: int, value: Node, recipe: Recipe) -> Heads:
    """Return queries, keys and values, normalised and turned as the architecture has it."""
    query, key, content = split_heads(build, at, value, split=not recipe.whole_norms)
    if recipe.whole_norms:
        layer, tokens = build.layer(at), build.batch.tokens
        query, key = build.norm("attn_q_norm", query, at), build.norm("attn_k_norm", key, at)
        query = ops.reshape(query, layer.head_dim_k, layer.heads, tokens)
        key = ops.reshape(key, layer.head_dim_k, layer.kv_heads, tokens)
        content = ops.reshape(content, layer.head_dim_v, layer.kv_heads, tokens)
    if recipe.head_norms and build.weight("attn_q_norm.weight", at) is not None:
        query, key = build.norm("attn_q_norm", query, at), build.norm("attn_k_norm", key, at)
    factors = factors_of(build, at) if recipe.factors else None
    if turns(build, at):
        query, key = build.rope(query, factors), build.rope(key, factors)
    if build.shape.architecture == "llama4":
        query, key = tuned(build, at, query, key)
    if recipe.scales_query:
        query = ops.scale(query)
    return Heads(query, key, content)


def turns(build: Build, at: int) -> bool:
    """Whether a layer's queries and keys are turned: of some models', every fourth is not."""
    match build.shape.architecture:
        case "granite" | "granitemoe":
            return build.keys.truth("rope.scaling.finetuned", absent=True)
        case "smollm3":
            return (at + 1) % 4 != 0
        case "llama4":
            whole = build.shape.window is Window.NONE
            return (at + 1) % (len(build.shape.layers) if whole else 4) != 0
    return True


def tuned(build: Build, at: int, query: Node, key: Node) -> tuple[Node, Node]:
    """Return llama4's queries and keys: normalised where they turn, else by position."""
    if not turns(build, at):
        factors = build.input("inp_attn_scale", F32, 1, 1, build.batch.tokens)
        return ops.mul(query, factors), key
    if build.shape.experts == UNNORMED_EXPERTS:
        return query, key
    return ops.alike("RMS_NORM", query), ops.alike("RMS_NORM", key)


UNNORMED_EXPERTS = 128
"""llama4 with so many experts does not normalise queries and keys."""


def feed(build: Build, at: int, value: Node, recipe: Recipe) -> Node:
    """Return the feed-forward block's output: of experts where the layer has them."""
    if build.weight("ffn_gate_inp.weight", at) is None:
        return feed_forward(build, at, value, recipe.activation)
    result = mixture(build, at, value, expert_rule(build, recipe))
    if recipe.shared_experts and build.weight("ffn_up_shexp.weight", at) is not None:
        result = ops.add(result, feed_forward(build, at, value, suffix="_shexp"))
    return result


def expert_rule(build: Build, recipe: Recipe) -> Experts:
    """Return how the experts work, with what the header says of it."""
    rule = replace(recipe.experts, scaled=scaled_experts(build))
    if not recipe.said_gating:
        return rule
    return replace(
        rule,
        gating=gating_of(build, recipe.said_gating),
        normed=build.keys.truth("expert_weights_norm", absent=False),
    )
