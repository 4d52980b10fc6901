"""The items of a need: weights, caches, states and output, in each place."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from vramline.fit.amounts import Amount, Item, Part, about
from vramline.fit.buffers import BUFFERS, HOST_BUFFER, UNPADDED, Buffer
from vramline.fit.cache import Cache, cache_bytes, most_cached, most_states, state_bytes
from vramline.fit.model import Model
from vramline.fit.output import most_output_bytes, output_bytes
from vramline.fit.places import Span
from vramline.fit.settings import HOST, Effect, Settings
from vramline.fit.shape import Shape
from vramline.fit.weights import Stack, Weights

SOURCE = "https://github.com/ggml-org/llama.cpp/blob/master/"

COPIED = frozenset(("gemma3n", "gemma4"))
"""Their output layer's copy of the token embedding is made before the embedding itself, which
is then not found to be the same: it is there twice, unless both are pages of one file.
https://github.com/ggml-org/llama.cpp/blob/master/src/models/gemma4.cpp (``load_arch_tensors``)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """One model, with all that does not depend on settings worked out."""

    model: Model
    shape: Shape
    weights: Weights
    cache: Cache


def measure(span: Span, size_in: Callable[[Buffer], int]) -> Amount:
    """Return what lies in *span*, with the most that it can be padded to there."""
    size = size_in(span.buffers.plain)
    if span.buffers.largest is span.buffers.plain:
        return about(size)
    return Amount(bytes=size, low_bytes=size, high_bytes=size_in(span.buffers.largest))


def span_bytes(layout: Layout, span: Span, stack: Stack, host_experts: int) -> int:
    """Return what one place's weights take, lying as in *stack*, but for the inputs.

    A tied embedding's copy is counted on a device only.
    """
    users = layout.weights.shared_users
    size = stack.blocks[span.end] - stack.blocks[span.begin]
    size += expert_bytes(span, stack, host_experts)
    if users[span.end] > users[span.begin]:
        size += stack.shared
    if span.begin == 0 and span.end:
        size += stack.first
    if span.has_output:
        size += stack.head + (0 if span.place == HOST else stack.tied)
    return size


def expert_bytes(span: Span, stack: Stack, host_experts: int) -> int:
    """Return what of the span's experts is in its place: on a device, not the first ones'."""
    begin = span.begin
    if span.place != HOST:
        begin = min(max(begin, host_experts), span.end)
    return stack.experts[span.end] - stack.experts[begin]


def host_weight_bytes(
    layout: Layout, settings: Settings, spans: tuple[Span, ...], stack: Stack
) -> int:
    """Return what the host's weights take: its layers, the inputs, and experts kept there."""
    experts = settings.host_expert_layers
    size = stack.inputs + span_bytes(layout, spans[0], stack, experts)
    for span in spans[1:] if experts else ():
        size += stack.experts[span.end] - stack.experts[span.begin]
        size -= expert_bytes(span, stack, experts)
    return size


def repacked_bytes(layout: Layout, settings: Settings, spans: tuple[Span, ...]) -> tuple[int, int]:
    """Return how much of the host's weights is rearranged, and a tied embedding's copy."""
    pinned = any(BUFFERS[device.backend].pinned for device in settings.devices)
    if pinned or not settings.repack:
        return 0, 0
    stack = layout.weights.repacked(settings.processor)
    size = host_weight_bytes(layout, settings, spans, stack)
    return size, stack.tied if spans[0].has_output else 0


def weight_items(
    layout: Layout, settings: Settings, spans: tuple[Span, ...], rearranged: tuple[int, int]
) -> Iterator[Item]:
    """Give the weights of every place."""
    weights = layout.weights
    loose = loose_bytes(layout)
    rule = SOURCE + "src/llama-model-loader.cpp"
    size = host_weight_bytes(layout, settings, spans, weights.stack(HOST_BUFFER)) - rearranged[0]
    if spans[0].has_output and not rearranged[1]:
        size += copied_bytes(layout, settings)
    yield Item(
        part=Part.WEIGHTS,
        place=HOST,
        amount=about(size, loose),
        rule=rule,
        mapped=settings.map_file,
    )
    if any(rearranged):
        # A tied embedding stays as it is, to fetch rows from, beside its rearranged copy.
        yield Item(
            part=Part.WEIGHTS,
            place=HOST,
            amount=about(sum(rearranged)),
            rule=SOURCE + "ggml/src/ggml-cpu/repack.cpp",
        )
    for span in spans[1:]:
        amount = device_weights(layout, settings.host_expert_layers, span, loose)
        yield Item(part=Part.WEIGHTS, place=span.place, amount=amount, rule=rule)


def device_weights(layout: Layout, host_experts: int, span: Span, loose: int) -> Amount:
    """Return what the weights of one device take."""
    amount = measure(
        span,
        lambda buffer: span_bytes(layout, span, layout.weights.stack(buffer), host_experts),
    )
    if not loose:
        return amount
    low, high = max(amount.low_bytes - loose, 0), amount.high_bytes + loose
    return replace(amount, low_bytes=low, high_bytes=high)


def copied_bytes(layout: Layout, settings: Settings) -> int:
    """Return what a second token embedding on the host takes, where there is one."""
    if settings.map_file or layout.shape.architecture not in COPIED:
        return 0
    return layout.weights.stack(HOST_BUFFER).tied


def loose_bytes(layout: Layout) -> int:
    """Return how much may lie in another place than the rule says, or may not be there."""
    return 0 if layout.shape.known else layout.weights.stack(HOST_BUFFER).tied


def cache_items(
    layout: Layout, settings: Settings, effect: Effect, spans: tuple[Span, ...]
) -> Iterator[Item]:
    """Give the keys and values of every place."""
    for span in spans:
        layers = range(span.begin, span.end)
        amount = measure(span, partial(cache_bytes, layout.cache, effect, settings, layers))
        if span.buffers.plain.row_padding > 1:
            kept = cache_bytes(layout.cache, effect, settings, layers, UNPADDED)
            if kept != amount.bytes:
                amount = replace(amount, padding_bytes=amount.bytes - kept)
        if not layout.shape.known:
            a_layer = most_cached(layout.model, layout.shape, effect, settings)
            amount = up_to(amount, a_layer * len(layers))
        yield Item(
            part=Part.KV_CACHE,
            place=span.place,
            amount=amount,
            rule=SOURCE + "src/llama-kv-cache.cpp",
        )


def state_items(
    layout: Layout, settings: Settings, effect: Effect, spans: tuple[Span, ...]
) -> Iterator[Item]:
    """Give the recurrent states of every place."""
    for span in spans:
        layers = range(span.begin, span.end)
        amount = measure(span, partial(state_bytes, layout.cache, effect, settings, layers))
        if not layout.shape.known:
            amount = up_to(amount, most_states(layout.shape, effect) * len(layers))
        yield Item(
            part=Part.RECURRENT_STATE,
            place=span.place,
            amount=amount,
            rule=SOURCE + "src/llama-memory-recurrent.cpp",
        )


def up_to(amount: Amount, most: int) -> Amount:
    """Return *amount* where it is not known whether any of it is kept, or up to *most*."""
    return replace(amount, low_bytes=0, high_bytes=max(amount.high_bytes, most))


def output_item(shape: Shape, settings: Settings, effect: Effect) -> Item:
    """Give the output buffer, which lies on the host whatever the devices."""
    size = output_bytes(shape, settings, effect.sequences)
    most = most_output_bytes(shape, settings, effect)
    return Item(
        part=Part.OUTPUT,
        place=HOST,
        amount=Amount(bytes=size, low_bytes=size, high_bytes=most),
        rule=SOURCE + "src/llama-context.cpp",
    )
