"""What a model needs to be loaded, by cause and by place.

Weights, caches, states and the output buffer are exact, but for what is told as a range. What
is computed with in between, and what a runner takes beside the model, the caller adds.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from vramline.fit.amounts import Amount, Item, Part, add
from vramline.fit.cache import lay_out_cache
from vramline.fit.items import (
    Layout,
    cache_items,
    output_item,
    repacked_bytes,
    state_items,
    weight_items,
)
from vramline.fit.model import Model
from vramline.fit.places import host_span, spread
from vramline.fit.refusal import refusal_of
from vramline.fit.settings import Settings, take_effect
from vramline.fit.shape import shape_of
from vramline.fit.weights import Weights
from vramline.readings import FrozenDict

NOTHING_CLAIMED: Mapping[str, int] = FrozenDict()


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryNeed:
    """All that one model needs under one set of settings.

    Attributes:
        refusal: Why the runner would not load it so, whatever memory there is.
        unsupported: What of the model has no rules here; the bounds then allow for it.
        file_cache_bytes: Beside the items: pages of the file that were read once, and stay
            mapped as long as nobody else wants the memory. Where weights are rearranged for
            the processor, that is the file's own copy of them.
        grows: What it may take later, beyond the items, as it is used: each from nothing up to
            its amount's high bound. No part of the totals.
        claims: What the runner wants to find free in a place before it starts, and then takes
            as a whole, whatever the items there add up to. Empty for most.
    """

    items: tuple[Item, ...]
    refusal: str | None = None
    unsupported: str | None = None
    file_cache_bytes: int = 0
    grows: tuple[Item, ...] = ()
    claims: Mapping[str, int] = NOTHING_CLAIMED

    @property
    def total(self) -> Amount:
        """Everything, in all places."""
        return add(item.amount for item in self.items)

    def at(self, place: str) -> Amount:
        """Return what lies in *place*."""
        return add(item.amount for item in self.items if item.place == place)

    def of(self, part: Part) -> Amount:
        """Return what one part takes, in all places."""
        return add(item.amount for item in self.items if item.part is part)

    def growth_bytes(self, place: str) -> int:
        """Return the most that *place* may take later, beyond the items."""
        return sum(item.amount.high_bytes for item in self.grows if item.place == place)


def lay_out(model: Model) -> Layout:
    """Work out what does not depend on settings.

    Raises ``ModelFormatError`` where the header lacks what llama.cpp asks for.
    """
    shape = shape_of(model)
    return Layout(
        model=model, shape=shape, weights=Weights(model, shape), cache=lay_out_cache(shape)
    )


def need_of(
    layout: Layout, settings: Settings, more: Iterable[Item] = (), grows: Iterable[Item] = ()
) -> MemoryNeed:
    """Return what the model needs under *settings*.

    *more* are the items that others work out: what is computed with, and the runner's own.
    *grows* is what may come after the load.
    """
    shape, blocks = layout.shape, layout.weights.block_count
    effect = take_effect(settings, trained_tokens=shape.context_length, causal=shape.causal)
    spans = spread(settings, blocks)
    kept = spans if settings.cache_on_devices else (host_span(blocks, has_output=True),)
    rearranged = repacked_bytes(layout, settings, spans)
    items = (
        *weight_items(layout, settings, spans, rearranged),
        *cache_items(layout, settings, effect, kept),
        *state_items(layout, settings, effect, kept),
        output_item(shape, settings, effect),
        *more,
    )
    unsupported = None
    if not shape.known:
        unsupported = f"there are no rules here for the architecture {shape.architecture}"
    return MemoryNeed(
        items=tuple(item for item in items if item.amount.high_bytes),
        refusal=refusal_of(layout.cache, settings, effect),
        unsupported=unsupported,
        file_cache_bytes=rearranged[0] if settings.map_file else 0,
        grows=tuple(item for item in grows if item.amount.high_bytes),
    )
