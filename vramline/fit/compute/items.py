"""The items of what is computed with: one buffer a place, by replaying llama.cpp's allocator.

llama.cpp reserves for the largest batch of a prompt, then for a single token of each sequence,
and keeps the larger buffer of each place.
https://github.com/ggml-org/llama.cpp/blob/master/src/llama-context.cpp (``sched_reserve``)
"""

from collections.abc import Iterator
from dataclasses import replace

from vramline.errors import ModelFormatError
from vramline.fit.amounts import Amount, Item, Part
from vramline.fit.compute.allocator import peaks
from vramline.fit.compute.batches import prompt_batch, single_batch
from vramline.fit.compute.bounds import REPLAYED, RULE, compute_bounds
from vramline.fit.compute.build import Batch
from vramline.fit.compute.flash import uses_flash
from vramline.fit.compute.graphs import BUILDERS, graph_of, operations
from vramline.fit.compute.placement import Placement
from vramline.fit.compute.schedule import Schedule
from vramline.fit.compute.splits import Splits
from vramline.fit.compute.supported import OFFLOADED_BATCH
from vramline.fit.items import Layout
from vramline.fit.settings import Settings, take_effect

MOST_EXPERTS = 1024
"""llama.cpp refuses more (``LLAMA_MAX_EXPERTS``)."""

FLOAT = 4


def compute_items(layout: Layout, settings: Settings) -> tuple[Item, ...]:
    """Return what every place needs to compute in."""
    bounds = compute_bounds(layout, settings)
    shape = layout.shape
    if shape.architecture not in BUILDERS or shape.widest.experts_used > MOST_EXPERTS:
        return bounds
    try:
        figures = {item.place: item for item in Figures(layout, settings).items()}
    except (ModelFormatError, ArithmeticError, LookupError):
        # The header lacks what the graph is built from, or has what no model has.
        return bounds
    if all(device.backend in REPLAYED for device in settings.devices):
        return tuple(figures[item.place] for item in bounds)
    return tuple(with_bounds(figures[item.place], item) for item in bounds)


def with_bounds(figure: Item, bounds: Item) -> Item:
    """Return *figure* with the bounds of the closed form."""
    low, high = bounds.amount.low_bytes, bounds.amount.high_bytes
    size = min(max(figure.amount.bytes, low), high)
    return replace(figure, amount=Amount(bytes=size, low_bytes=low, high_bytes=high))


class Figures:
    """The replay for one model and settings."""

    def __init__(self, layout: Layout, settings: Settings) -> None:
        shape = layout.shape
        effect = take_effect(settings, trained_tokens=shape.context_length, causal=shape.causal)
        self._layout, self._settings = layout, settings
        self._placement = Placement(settings, layout.weights.block_count, shape.architecture)
        batch = prompt_batch(layout.model, shape, layout.cache, settings, effect)
        if settings.devices:
            batch = replace(batch, flash=uses_flash(layout, settings, self._placement, batch))
        self._batch = batch

    def items(self) -> Iterator[Item]:
        """Give every place's item."""
        dry = self._peaks(self._batch, asked=False)
        real = self._peaks(self._batch, asked=True) if self._asks() else dry
        single = [0] * len(dry)
        if self._single_may_be_larger(dry):
            single = self._peaks(single_batch(self._batch), asked=True)
        fused = self._fused_bytes()
        for number, place in enumerate(self._placement.places):
            sizes = (dry[number], real[number], single[number])
            more = fused if sizes[0] and number < self._placement.host else 0
            amount = Amount(
                bytes=max(sizes[0], sizes[2]),
                low_bytes=min(sizes[0], max(sizes[1:])),
                high_bytes=max(sizes) + more,
            )
            yield Item(part=Part.COMPUTE, place=place, amount=amount, rule=RULE)

    def _peaks(self, batch: Batch, *, asked: bool) -> list[int]:
        """Return every place's peak for a batch."""
        graph = graph_of(self._layout.model, self._layout.shape, batch)
        placement = self._placement
        if not placement.host:
            return peaks(operations(graph))
        schedule = Schedule(graph, placement, tokens=batch.tokens, asked=asked)
        return peaks(Splits(schedule).operations(), len(placement.places))

    def _asks(self) -> bool:
        """Whether the places that llama.cpp asks for may change anything.

        Its dry run forgets them, and so do the figures of ``llama-fit-params``.
        """
        placement, batch = self._placement, self._batch
        if not placement.host:
            return False
        several = placement.host > 1 and placement.whole
        by_steps = not placement.caches_on_devices and not batch.flash
        return several or by_steps or (batch.tokens < OFFLOADED_BATCH and not placement.whole)

    def _single_may_be_larger(self, dry: list[int]) -> bool:
        """Whether some place may need more for a single token of each sequence."""
        tokens = self._batch.sequences
        small = replace(self._settings, micro_batch_tokens=tokens, outputs=tokens)
        if self._batch.tokens == tokens:
            return False
        most = {item.place: item.amount.high_bytes for item in compute_bounds(self._layout, small)}
        places = self._placement.places
        return any(most[place] > size for place, size in zip(places, dry, strict=True))

    def _fused_bytes(self) -> int:
        """Return by how much a device may need more where experts' results are added at once.

        ggml-cuda then keeps what the experts gave until their sum is there.
        https://github.com/ggml-org/llama.cpp/blob/master/ggml/src/ggml-cuda/ggml-cuda.cu
        (``ggml_backend_cuda_graph_optimize``)
        """
        shape, tokens = self._layout.shape, self._batch.tokens
        return FLOAT * tokens * shape.widest.experts_used * shape.embedding_length
