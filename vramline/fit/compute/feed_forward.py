"""Feed-forward blocks: plain, gated, and of experts.

https://github.com/ggml-org/llama.cpp/blob/master/src/llama-graph.cpp (``build_ffn``,
``build_moe_ffn``)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from vramline.fit.compute import graph as ops
from vramline.fit.compute.build import Build
from vramline.fit.compute.graph import Node


class Gating(Enum):
    """How experts are weighed."""

    SOFTMAX = auto()
    SIGMOID = auto()
    SOFTMAX_OF_CHOSEN = auto()


def gating_of(build: Build, absent: int) -> Gating:
    """Return how the header says that experts are weighed; *absent* where it does not."""
    named = build.keys.number("expert_gating_func", 0) or absent
    rules = {2: Gating.SIGMOID, 3: Gating.SOFTMAX_OF_CHOSEN}
    return rules.get(named, Gating.SOFTMAX)


GATED: Mapping[str, str] = {"SILU": "SWIGLU", "GELU": "GEGLU", "RELU": "REGLU"}
"""What an activation becomes with a gate beside it."""


def feed_forward(
    build: Build, at: int, hidden: Node, activation: str = "SILU", suffix: str = ""
) -> Node:
    """Return a block's output: with a gate where the model has one."""
    up = build.biased(f"ffn_up{suffix}", build.project(f"ffn_up{suffix}", hidden, at), at)
    if build.weight(f"ffn_gate{suffix}.weight", at) is None:
        inner = activate(up, activation)
    else:
        name = f"ffn_gate{suffix}"
        gate = build.biased(name, build.project(name, hidden, at), at)
        inner = ops.gated(GATED[activation], gate, up)
    name = f"ffn_down{suffix}"
    return build.biased(name, build.project(name, inner, at), at)


def activate(value: Node, activation: str) -> Node:
    """Return what an activation makes of *value*."""
    if activation == "RELU_SQR":
        return ops.alike("SQR", ops.alike("RELU", value))
    if activation in GATED.values():
        return ops.gated(activation, value)
    return ops.alike(activation, value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Experts:
    """How a layer's experts are chosen and used.

    Attributes:
        normed: The chosen ones' weights are made to add up to one.
        scaled: They are multiplied by a number.
        weighed_first: The weights are applied before the experts, not after.
        op: The gated activation.
    """

    gating: Gating = Gating.SOFTMAX
    normed: bool = True
    scaled: bool = False
    weighed_first: bool = False
    op: str = "SWIGLU"


def scaled_experts(build: Build) -> bool:
    """Whether the header has a scale for the experts' weights that changes anything."""
    return build.keys.real("expert_weights_scale", 0.0) not in {0.0, 1.0}


def mixture(build: Build, at: int, hidden: Node, rule: Experts, logits: Node | None = None) -> Node:
    """Return what the chosen experts make of *hidden*."""
    layer, tokens = build.layer(at), hidden.lengths[1]
    if logits is None:
        logits = ops.matmul(build.need("ffn_gate_inp.weight", at), hidden)
    logits = build.biased("ffn_gate_inp", logits, at)
    probabilities = weigh(logits, rule)
    chosen = choose(build, at, logits if rule.weighed_first else probabilities)
    experts = build.shape.experts
    weights = ops.rows(ops.reshape(probabilities, 1, experts, tokens), chosen)
    weights = build.expand(settle(weights, rule, layer.experts_used, tokens))
    value = ops.reshape(hidden, hidden.lengths[0], 1, tokens)
    if rule.weighed_first:
        value = ops.mul(ops.repeat(value, hidden.lengths[0], layer.experts_used, tokens), weights)
    inner = expert_activation(build, at, value, chosen, rule)
    result = by_expert(build, at, "ffn_down_exps", inner, chosen)
    if not rule.weighed_first:
        result = ops.mul(result, weights)
    return gather(build, result, layer.experts_used)


def weigh(logits: Node, rule: Experts) -> Node:
    """Return every expert's weight."""
    if rule.gating is Gating.SOFTMAX:
        return ops.alike("SOFT_MAX", logits)
    return ops.alike("SIGMOID", logits) if rule.gating is Gating.SIGMOID else logits


def choose(build: Build, at: int, weights: Node) -> Node:
    """Return which experts each token uses."""
    bias = build.weight("exp_probs_b.bias", at)
    if bias is not None:
        weights = ops.add(weights, bias)
    groups = build.keys.number("expert_group_count", 0)
    if groups > 1:
        weights = best_groups(build, weights, groups)
    return ops.top(weights, build.layer(at).experts_used)


def best_groups(build: Build, weights: Node, groups: int) -> Node:
    """Return the weights with all but the best groups of experts ruled out."""
    experts, tokens = weights.lengths[:2]
    by_group = ops.reshape(weights, experts // groups, groups, tokens)
    two = ops.top(by_group, 2)
    scores = ops.rows(ops.reshape(by_group, 1, *by_group.lengths[:3]), two)
    scores = ops.sum_rows(ops.reshape(scores, *scores.lengths[1:]))
    scores = ops.reshape(scores, *scores.lengths[1:3])
    best = ops.top(scores, build.keys.number("expert_group_used_count", 0))
    kept = ops.rows(by_group, best)
    masked = ops.set_rows(ops.alike("FILL", by_group), kept, best)
    return ops.reshape(masked, experts, tokens)


def settle(weights: Node, rule: Experts, used: int, tokens: int) -> Node:
    """Return the chosen experts' weights as they are applied."""
    if rule.gating is Gating.SOFTMAX_OF_CHOSEN:
        flat = ops.alike("SOFT_MAX", ops.reshape(weights, used, tokens))
        weights = ops.reshape(flat, 1, used, tokens)
    if rule.normed:
        flat = ops.reshape(weights, used, tokens)
        whole = ops.alike("CLAMP", ops.sum_rows(flat))
        weights = ops.reshape(ops.alike("DIV", flat, whole), 1, used, tokens)
    return ops.scale(weights) if rule.scaled else weights


def by_expert(build: Build, at: int, name: str, value: Node, chosen: Node) -> Node:
    """Return products with the chosen experts' matrices, scaled and biased where they are."""
    result = ops.matmul_by_id(build.need(f"{name}.weight", at), value, chosen)
    factor = build.weight(f"{name}.scale", at)
    if factor is not None:
        count = factor.lengths[0]
        spread = ops.repeat(ops.reshape(factor, 1, count), 1, count, value.lengths[2])
        result = ops.mul(result, ops.rows(spread, chosen))
    bias = build.weight(f"{name}.bias", at)
    return result if bias is None else ops.alike("ADD_ID", result, bias, chosen)


def expert_activation(build: Build, at: int, value: Node, chosen: Node, rule: Experts) -> Node:
    """Return what the experts have between their matrices."""
    if build.weight("ffn_gate_up_exps.weight", at) is not None:
        both = by_expert(build, at, "ffn_gate_up_exps", value, chosen)
        half = (both.lengths[0] // 2, *both.lengths[1:])
        gate = ops.view(both, half, *both.strides[1:3])
        return ops.gated(rule.op, gate, ops.view(both, half, *both.strides[1:3]))
    up = by_expert(build, at, "ffn_up_exps", value, chosen)
    if build.weight("ffn_gate_exps.weight", at) is None:
        return activate(up, rule.op)
    return ops.gated(rule.op, by_expert(build, at, "ffn_gate_exps", value, chosen), up)


def gather(build: Build, result: Node, used: int) -> Node:
    """Return the experts' results added up."""
    build.expand(result)
    one, _, tokens, _ = result.lengths
    parts = [build.expand(ops.view(result, (one, tokens), result.strides[2])) for _ in range(used)]
    total = parts[0]
    for part in parts[1:]:
        total = build.expand(ops.add(total, part))
    return ops.cont(total) if used == 1 else total
