"""Bounds of what is computed with, in a closed form.

The low one is what must lie side by side at some time: inputs, and the widest operation's
sources and result. The high one counts the results of a layer as if hardly one made room for
another, and whatever may be copied between places. That they enclose what the allocator makes
of it is no theorem: they do in every measured run, and did in thousands that were replayed.
"""

from operator import sub

from vramline.fit.amounts import Amount, Item, Part
from vramline.fit.buffers import HOST_BUFFER
from vramline.fit.cache import NO_CACHE, window_cells
from vramline.fit.compute.flash import attends_everywhere
from vramline.fit.compute.placement import copies_of_inputs
from vramline.fit.compute.supported import OFFLOADED_BATCH
from vramline.fit.items import Layout
from vramline.fit.places import Span, all_on_devices, spread
from vramline.fit.settings import HOST, Backend, FlashAttention, Settings, padded, take_effect
from vramline.fit.tensor_types import TensorType

RULE = "https://github.com/ggml-org/ggml/blob/master/src/ggml-alloc.c"

FLOAT, HALF = 4, 2

UNGATED = frozenset(("bert", "nemotron_h", "nemotron_h_moe", "starcoder2"))
"""Their feed-forward blocks have no gate: one result in place of three."""

HEADLESS = frozenset(("lfm2", "lfm2moe"))
"""They give no logits where embeddings are asked for."""

MIXED = frozenset(("gemma3n", "gemma4"))
"""Weights that lie elsewhere than their neighbours let other operations follow them."""

NO_FLASH = frozenset(("grok",))
"""llama.cpp turns flash attention off for them.
https://github.com/ggml-org/llama.cpp/blob/master/src/llama-context.cpp"""

NOT_HALVES = tuple(kind for kind in TensorType if kind is not TensorType.F16)

SMALL = 1 << 20
"""For what the alignment adds, and inputs that do not grow with anything."""

REPLAYED = frozenset((Backend.CUDA, Backend.ROCM))
"""ggml-hip compiles ggml-cuda's files. Vulkan, Metal and SYCL run other operations, and some of
theirs want room behind the result (``ggml_backend_metal_buffer_type_get_alloc_size``)."""

UNKNOWN_FACTOR = 4
"""An architecture that has no rules here may be so much wider or narrower."""


def compute_bounds(layout: Layout, settings: Settings) -> tuple[Item, ...]:
    """Return between what bounds every place's buffer lies."""
    closed = Closed(layout, settings)
    held = {span.place: span for span in closed.spans}
    bounds = [(HOST, *closed.host())]
    for number, device in enumerate(settings.devices):
        low, high = closed.device(number, held.get(device.uid))
        if device.backend not in REPLAYED:
            high += high // 4
        bounds.append((device.uid, low, high))
    # The exact figure is nearer to the low bound, mostly.
    return tuple(
        Item(
            part=Part.COMPUTE,
            place=place,
            amount=Amount(bytes=low + (high - low) // 4, low_bytes=low, high_bytes=high),
            rule=RULE,
        )
        for place, low, high in bounds
    )


class Closed:
    """The closed form, for one model and settings.

    Attributes:
        spans: Which layers lie where.
    """

    def __init__(self, layout: Layout, settings: Settings) -> None:
        shape = self._shape = layout.shape
        self._layout, self._settings = layout, settings
        effect = take_effect(settings, trained_tokens=shape.context_length, causal=shape.causal)
        self._effect = effect
        tokens = min(effect.context_tokens, effect.micro_batch_tokens)
        self._outputs = min(tokens, effect.outputs)
        self._tokens = tokens = padded(tokens, effect.sequences)
        self._hidden = FLOAT * tokens * shape.embedding_length
        blocks = layout.weights.block_count
        self.spans = spread(settings, blocks)
        self._apart = all_on_devices(settings, blocks)
        self._copies = copies_of_inputs(settings, blocks)
        self._runs = attends_everywhere(shape, settings)
        self._mixed = shape.widest.recurrent or shape.architecture in MIXED
        self._on, self._off = self._flash()
        cells = self._mask_cells() * tokens
        self._masks = (
            cells * (HALF if self._on else FLOAT),
            cells * (FLOAT if self._off else HALF),
        )
        self._inputs = self._masks[1] + self._small()
        self._section = self._high_section()

    def host(self) -> tuple[int, int]:
        """Return the host's bounds."""
        shape, hidden = self._shape, self._hidden
        own = 2 * FLOAT * shape.embedding_length_per_layer * len(shape.layers) * self._tokens
        high = self._copies * (self._inputs + hidden) + 3 * hidden + own
        if not self._settings.devices:
            low = hidden + max(self._low_section(), self._low_logits())
            return low, high + self._section + self._halves(TensorType.F32)
        low = self._copies * (self._masks[0] + hidden) if shape.known else 0
        if not (self._apart and self._runs):
            high += self._section + self._halves(TensorType.F32)
            if self._mixed or self._off or not self._runs:
                high += self._caches_brought()
        return low, high + self._copied_for_attention(self._caches_brought())

    def device(self, number: int, span: Span | None) -> tuple[int, int]:
        """Return one device's bounds. The first one computes for the host too."""
        if span is None and number:
            return 0, 0
        shape = self._shape
        high = self._copies * (self._inputs + 3 * self._handed_on())
        high += self._section + self._halves(*NOT_HALVES)
        if not self._apart:
            high += self._caches_brought() + (0 if number else self._weights_brought())
        elif len(self.spans) > 2 and shape.widest.sharing:
            high += self._caches_brought()
        if self._copies > 1 and shape.widest.recurrent:
            # What is handed on is held with the states' copies.
            high += self._section // 4
        high += self._copied_for_attention(0)
        low = 0
        if span is not None and self._apart and len(self.spans) == 2:
            low = max(self._low_section(), self._low_logits())
        elif span is not None and span.has_output and not shape.experts:
            low = self._low_logits()
        return low, high

    def _flash(self) -> tuple[bool, bool]:
        """Return whether flash attention may be on, and may be off."""
        settings, shape = self._settings, self._shape
        if shape.architecture in NO_FLASH:
            return False, True
        if settings.flash_attention is not FlashAttention.AUTO:
            on = settings.flash_attention is FlashAttention.ON
            return on, not on
        if not settings.devices or settings.cache_type_v.elements_per_block > 1:
            return True, False
        if self._runs and settings.cache_on_devices and (self._apart or not self._mixed):
            return True, False
        return self._runs or not self._apart, True

    def _mask_cells(self) -> int:
        """Return the columns of all masks."""
        widest, effect = self._shape.widest, self._effect
        if self._shape.architecture in NO_CACHE:
            return self._tokens
        cells = effect.cells if widest.full else 0
        if widest.windowed:
            cells += window_cells(self._layout.cache, effect, self._settings)
        return cells

    def _small(self) -> int:
        """Return the most that all other inputs take."""
        effect, widest, settings = self._effect, self._shape.widest, self._settings
        size = SMALL + self._tokens * 64 + self._outputs * 8 + effect.sequences * 64
        if effect.values_transposed:
            size += 16 * self._tokens * widest.value
        if settings.embeddings:
            size += FLOAT * self._tokens * effect.sequences
        if settings.cache_type_k.elements_per_block + settings.cache_type_v.elements_per_block > 2:
            size += 8 * max((each[0] ** 2 for each in widest.head_kinds), default=0)
        return size

    def _low_section(self) -> int:
        """Return the least that computing all layers takes, with the masks."""
        shape, widest, tokens = self._shape, self._shape.widest, self._tokens
        times = 1 if shape.architecture in UNGATED else 3
        rows = widest.early_experts
        if not shape.experts or shape.dense_layers:
            rows = max(rows, widest.early_feed_forward)
        low = self._hidden + FLOAT * tokens * times * rows
        if not self._on and widest.full and shape.architecture not in NO_CACHE:
            low = max(low, FLOAT * tokens * self._effect.cells * widest.heads)
        elsewhere = self._on and not self._runs
        if not elsewhere and (widest.alike or not (widest.full and widest.windowed)):
            low += self._masks[0]
        return low if shape.known else low // UNKNOWN_FACTOR

    def _low_logits(self) -> int:
        """Return the least that the output layer takes."""
        architecture = self._shape.architecture
        if architecture in NO_CACHE or not self._shape.known:
            return 0
        if self._settings.embeddings and architecture in HEADLESS:
            return 0
        return FLOAT * self._outputs * (self._shape.vocabulary + self._shape.embedding_length)

    def _most_elements(self) -> int:
        """Return the most elements that one token has at one time in a layer."""
        shape, widest = self._shape, self._shape.widest
        width, states = shape.embedding_length, self._shape.states
        query, output = widest.query, widest.output
        if shape.mla:
            row = shape.kv_lora_rank + widest.rope
            query += widest.heads * row * 2
            output = widest.heads * (shape.kv_lora_rank + shape.mla_head_dim_v)
        attention = 3 * (query + widest.key + widest.value) + 2 * output
        feed = 3 * widest.feed_forward + 6 * shape.experts
        feed += 3 * widest.experts + (3 * width + 16) * widest.experts_used
        recurrent = 0
        if widest.recurrent:
            channels = 2 * states.inner + 2 * states.groups * states.state
            recurrent = max(
                5 * channels + 8 * states.time_step_rank,
                30 * width if states.wkv_head else 0,
                10 * width if states.shortconv else 0,
            )
        if widest.beside:
            recurrent += attention
        most = max(attention, feed, recurrent) + 5 * width
        if shape.embedding_length_per_layer:
            most += 3 * shape.embedding_length_per_layer * len(shape.layers) + 16 * width
        return most

    def _high_section(self) -> int:
        """Return the most that computing all layers takes beside the inputs."""
        shape, effect, widest = self._shape, self._effect, self._shape.widest
        size = FLOAT * self._tokens * self._most_elements()
        if self._off:
            cells = self._tokens if shape.architecture in NO_CACHE else effect.cells
            size += 2 * FLOAT * self._tokens * cells * widest.heads
            # Values that are kept by token are turned first.
            size += (
                FLOAT * effect.context_tokens * (shape.kv_lora_rank if shape.mla else widest.value)
            )
        if widest.recurrent:
            size += size // 8
            states = shape.states.shift_length + shape.states.state_length
            size += FLOAT * effect.sequences * states * (4 + self._settings.state_snapshots)
        logits = FLOAT * self._outputs * (shape.vocabulary + 3 * shape.embedding_length)
        # What is still held from before may split the room that was made.
        logits += size // (2 if widest.recurrent else 8)
        size = max(size, logits) + self._hidden
        return size if shape.known else size * UNKNOWN_FACTOR

    def _halves(self, *kinds: TensorType) -> int:
        """Return what F16 copies of one layer's keys and values take, if they are of *kinds*."""
        settings, widest = self._settings, self._shape.widest
        length = 0
        if settings.cache_type_k in kinds:
            length += widest.key
        if settings.cache_type_v in kinds:
            length += widest.value
        return HALF * length * self._effect.context_tokens

    def _handed_on(self) -> int:
        """Return the bytes that go from one layer to the next."""
        shape = self._shape
        own = shape.embedding_length_per_layer
        if not own:
            return self._hidden
        return 5 * self._hidden + FLOAT * self._tokens * own * len(shape.layers)

    def _caches_brought(self) -> int:
        """Return the most that is read of caches in other places at one time."""
        settings, widest = self._settings, self._shape.widest
        row = settings.cache_type_k.row_bytes(widest.key)
        row += settings.cache_type_v.row_bytes(widest.value)
        return self._copies * self._effect.context_tokens * row * (2 + widest.sharing)

    def _copied_for_attention(self, caches: int) -> int:
        """Return what is copied, and never freed, for attention that only the host computes.

        *caches* is what a layer reads there of caches in other places.
        """
        if self._copies == 1 or self._runs or not self._on:
            return 0
        widest = self._shape.widest
        handed = FLOAT * self._tokens * (widest.query + widest.output)
        return len(self._shape.layers) * (caches + self._copies * handed)

    def _weights_brought(self) -> int:
        """Return the most that weights brought from the host take at one time, padded."""
        stack = self._layout.weights.stack(HOST_BUFFER)
        blocks: int = max(map(sub, stack.blocks[1:], stack.blocks))
        experts: int = max(map(sub, stack.experts[1:], stack.experts))
        largest = max(blocks, experts, stack.head, stack.tied, stack.first)
        if self._tokens < OFFLOADED_BATCH:
            # Products are computed where their matrices are; norms and biases are small.
            return largest // 16
        return largest + largest // 16
