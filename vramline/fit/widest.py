"""How wide a model's layers are at most, for bounds that are told from that alone."""

from collections.abc import Sequence
from dataclasses import dataclass

from vramline.fit.layers import LayerShape

Heads = tuple[int, int, int]
"""A head's keys, its values, and how many heads share one of keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Widest:
    """The most elements that one token has in any layer.

    Attributes:
        query: Of all heads; so are the others of attention.
        output: What attention gives, before it is projected.
        feed_forward: Of a dense block; ``experts`` of all experts that a token uses.
        early_feed_forward: The same without the last layer, which not every token may reach;
            so is ``early_experts``.
        rope: The part of a head that is turned, of the first layer.
        head_kinds: The kinds of heads that there are.
        full: Some layer sees every cell; ``windowed``: some sees the window.
        beside: Some layer attends and recurs.
        sharing: How many layers read another's keys and values.
        alike: No layer is unlike another.
    """

    query: int
    key: int
    value: int
    output: int
    heads: int
    rope: int
    head_kinds: frozenset[Heads]
    feed_forward: int
    early_feed_forward: int
    experts: int
    early_experts: int
    experts_used: int
    full: bool
    windowed: bool
    recurrent: bool
    beside: bool
    sharing: int
    alike: bool


def widest_of(layers: Sequence[LayerShape]) -> Widest:
    """Return the most of all *layers*."""
    attending = [layer for layer in layers if layer.attends]
    feeds = [layer.feed_forward for layer in layers]
    experts = [layer.expert_feed_forward * layer.experts_used for layer in layers]
    heads = {
        (each.head_dim_k, each.head_dim_v, each.heads // max(each.kv_heads, 1))
        for each in attending
    }
    kinds = {(layer.attends, layer.recurs, layer.feed_forward) for layer in layers}
    return Widest(
        query=max((layer.heads * layer.head_dim_k for layer in attending), default=0),
        key=max((layer.key_length for layer in attending), default=0),
        value=max((layer.value_length for layer in attending), default=0),
        output=max((layer.heads * layer.head_dim_v for layer in attending), default=0),
        heads=max((layer.heads for layer in attending), default=0),
        rope=layers[0].rope_dim if layers else 0,
        head_kinds=frozenset(heads),
        feed_forward=max(feeds, default=0),
        early_feed_forward=max(feeds[:-1], default=0),
        experts=max(experts, default=0),
        early_experts=max(experts[:-1], default=0),
        experts_used=max((layer.experts_used for layer in layers), default=0),
        full=any(not layer.windowed for layer in attending),
        windowed=any(layer.windowed for layer in attending),
        recurrent=any(layer.recurs for layer in layers),
        beside=any(layer.recurs for layer in attending),
        sharing=sum(not layer.cached for layer in attending),
        alike=len(kinds) == 1,
    )
