"""The items of what is computed with: one buffer a place, by replaying llama.cpp's allocator.

llama.cpp reserves for the largest batch of a prompt, then for a single token of each sequence,
and keeps the larger buffer of each place.
https://github.com/ggml-org/llama.cpp/blob/master/src/llama-context.cpp (``sched_reserve``)
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial

from vramline.errors import ModelFormatError
from vramline.fit.amounts import Amount, Item, Part
from vramline.fit.compute.allocator import peaks
from vramline.fit.compute.batches import prompt_batch, single_batch
from vramline.fit.compute.bounds import REPLAYED, RULE, compute_bounds
from vramline.fit.compute.build import Batch
from vramline.fit.compute.flash import uses_flash
from vramline.fit.compute.graph import Graph
from vramline.fit.compute.graphs import BUILDERS, graph_of, operations
from vramline.fit.compute.placement import Placement
from vramline.fit.compute.schedule import Schedule
from vramline.fit.compute.splits import Splits
from vramline.fit.compute.supported import OFFLOADED_BATCH
from vramline.fit.items import Layout
from vramline.fit.settings import HOST, Settings, take_effect
from vramline.fit.tensor_types import TensorType

log = logging.getLogger(__name__)

MOST_EXPERTS = 8192
"""Used by a token, in all layers: models have up to some 2000. A header may say anything, and a
graph has some operations for each."""

FLOAT = 4


def compute_items(layout: Layout, settings: Settings) -> tuple[Item, ...]:
    """Return what every place needs to compute in."""
    bounds = compute_bounds(layout, settings)
    shape = layout.shape
    used = sum(layer.experts_used for layer in shape.layers)
    if shape.architecture not in BUILDERS or used > MOST_EXPERTS:
        return bounds
    try:
        replay = Figures(layout, settings)
        figures = {item.place: item for item in replay.items()}
    except (ModelFormatError, ArithmeticError, LookupError) as error:
        # The header lacks what the graph is built from, or has what no model has.
        log.debug("the graph of %s cannot be built: %r", shape.architecture, error)
        return bounds
    if any(device.backend not in REPLAYED for device in settings.devices):
        return tuple(with_bounds(figures[item.place], item) for item in bounds)
    if replay.may_read_cache_as_it_is:
        lows = {item.place: item.amount.low_bytes for item in bounds if item.place != HOST}
        return tuple(with_low_bound(figures[item.place], lows) for item in bounds)
    return tuple(figures[item.place] for item in bounds)


def with_low_bound(figure: Item, lows: Mapping[str, int]) -> Item:
    """Return *figure* with its place's low bound, if it has one."""
    amount = figure.amount
    low = min(amount.low_bytes, lows.get(figure.place, amount.low_bytes))
    return replace(figure, amount=replace(amount, low_bytes=low))


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
        self._graphs: dict[Batch, Graph] = {}
        self._schedules: dict[tuple[Batch, bool], Schedule] = {}
        batch = prompt_batch(layout.model, shape, layout.cache, settings, effect)
        probe = partial(self._schedule, single_batch(batch), asked=True)
        self._batch = replace(batch, flash=uses_flash(shape, settings, self._placement, probe))

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

    @property
    def may_read_cache_as_it_is(self) -> bool:
        """Whether CUDA may do without F16 copies of the cache, for one or two tokens a stream.

        Which kernel it takes then depends on the device, and on what it was compiled for.
        https://github.com/ggml-org/llama.cpp/blob/master/ggml/src/ggml-cuda/fattn.cu
        (``ggml_cuda_flash_attn_ext_get_alloc_size``)
        """
        batch = self._batch
        copied = {batch.cache_type_k, batch.cache_type_v} != {TensorType.F16}
        return copied and batch.flash and batch.tokens <= 2 * batch.streams

    def _peaks(self, batch: Batch, *, asked: bool) -> list[int]:
        """Return every place's peak for a batch."""
        if not self._placement.host:
            return peaks(operations(self._graph(batch)))
        schedule = self._schedule(batch, asked=asked)
        return peaks(Splits(schedule).operations(), len(self._placement.places))

    def _graph(self, batch: Batch) -> Graph:
        """Return a batch's graph, built once."""
        found = self._graphs.get(batch)
        if found is None:
            found = graph_of(self._layout.model, self._layout.shape, batch)
            self._graphs[batch] = found
        return found

    def _schedule(self, batch: Batch, *, asked: bool) -> Schedule:
        """Return where a batch's operations run, worked out once."""
        found = self._schedules.get((batch, asked))
        if found is None:
            graph = self._graph(batch)
            found = Schedule(graph, self._placement, tokens=batch.tokens, asked=asked)
            self._schedules[batch, asked] = found
        return found

    def _asks(self) -> bool:
        """Whether the places that llama.cpp asks for change anything.

        Its dry run forgets them, and so do the figures of ``llama-fit-params``.
        """
        placement, batch = self._placement, self._batch
        if not placement.host:
            return False
        several = placement.host > 1 and placement.whole
        by_steps = not placement.caches_on_devices and not batch.flash
        if not (several or by_steps or (batch.tokens < OFFLOADED_BATCH and not placement.whole)):
            return False
        asked, forgotten = (self._schedule(batch, asked=each) for each in (True, False))
        return asked.where != forgotten.where

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
