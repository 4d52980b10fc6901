"""How many tokens a second may come out, told from the bandwidth of memory.

To make one token all the weights that it needs are read once, and all that is cached. On every
device that is what takes the time, so bytes over bandwidth is the least that it can take. What
is reached of that, of public measurements of llama.cpp (weights times tokens a second, over the
card's peak): 63 % on a Tesla P40 (https://github.com/ggml-org/llama.cpp/pull/4766), 47 % on an
RTX 4090 with a model of 3 billion (https://github.com/ggml-org/llama.cpp/pull/12183), 54 % on a
RX 7900 XTX (https://github.com/ggml-org/llama.cpp/pull/26284), 72 % on an RTX 3080
(https://github.com/dmatora/LLM-inference-speed-benchmarks/issues/12), 29 to 58 % on an M4 Max
and an M1 Max, by the quantisation (https://github.com/ggml-org/llama.cpp/issues/27525). With
experts less, as each is small: 26 % on an RTX 5060 Ti
(https://github.com/ikawrakow/ik_llama.cpp/pull/1593).

What a small model takes is not its bytes but the starting of its operations, layer by layer:
TinyLlama reaches 20 % on an M1 Ultra (https://github.com/geerlingguy/ai-benchmarks/issues/48),
and models with experts that are small too 12 to 25 % on a GTX 1080
(https://github.com/ggml-org/llama.cpp/pull/27721).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from vramline.fit.amounts import Part
from vramline.fit.buffers import HOST_BUFFER
from vramline.fit.items import Layout, expert_bytes, host_weight_bytes, span_bytes
from vramline.fit.need import MemoryNeed
from vramline.fit.places import spread
from vramline.fit.settings import HOST, Settings

LEAST_REACHED = 0.27
LEAST_REACHED_WITH_EXPERTS = 0.2
MOST_REACHED = 0.85
"""Shares of a device's peak bandwidth."""

LAYER_SECONDS = 0.0001
LAYER_SECONDS_WITH_EXPERTS = 0.0002
"""The most that a layer takes beside what it reads."""

CACHED = frozenset((Part.KV_CACHE, Part.RECURRENT_STATE))


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """Tokens a second, of one conversation.

    Attributes:
        low: With a full context, and the least that devices were seen to reach. ``None``:
            part of the model lies where the bandwidth is not known.
        high: With an empty context, and the most that they reach; of the devices alone where
            the host's part is not known.
    """

    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reads:
    """What is read for one token, by place.

    Attributes:
        weights: Of experts, the share that one token uses.
        cached: With a full context, of one slot.
    """

    weights: Mapping[str, int]
    cached: Mapping[str, int]

    @property
    def on_host(self) -> int:
        """Everything that is read from the host's memory."""
        return self.weights.get(HOST, 0) + self.cached.get(HOST, 0)


def reads_of(layout: Layout, settings: Settings, need: MemoryNeed) -> Reads:
    """Return what one token reads, of what *need* has in each place."""
    stack, experts = layout.weights.stack(HOST_BUFFER), settings.host_expert_layers
    spans = spread(settings, layout.weights.block_count)
    weights = {}
    used = share_used(layout)
    for span in spans[1:]:
        routed = expert_bytes(span, stack, experts)
        size = span_bytes(layout, span, stack, experts) - routed
        weights[span.place] = size + int(routed * used)
    # Of the inputs only rows are read; a tied embedding is all read where the output lies.
    size = host_weight_bytes(layout, settings, spans, stack) - stack.inputs
    routed = stack.experts[-1] - sum(expert_bytes(span, stack, experts) for span in spans[1:])
    weights[HOST] = size - routed + int(routed * used)
    weights[HOST] += stack.tied if spans[0].has_output else 0
    cached: dict[str, int] = {}
    for item in need.items:
        if item.part in CACHED:
            cached[item.place] = cached.get(item.place, 0) + item.amount.bytes
    slots = max(settings.sequences or 1, 1)
    return Reads(weights=weights, cached={place: size // slots for place, size in cached.items()})


def bytes_read(layout: Layout) -> int:
    """Return what one token reads of the weights, wherever they lie, if that is one place."""
    stack = layout.weights.stack(HOST_BUFFER)
    routed = stack.experts[-1]
    rest = stack.blocks[-1] + stack.first + stack.head + stack.tied
    if layout.weights.shared_users[-1]:
        rest += stack.shared
    return rest + int(routed * share_used(layout))


def share_used(layout: Layout) -> float:
    """Return which share of the experts one token uses."""
    shape = layout.shape
    used = max((layer.experts_used for layer in shape.layers), default=0)
    return min(used / shape.experts, 1.0) if shape.experts else 1.0


def seconds(sizes: Mapping[str, int], bandwidths: Mapping[str, int | None]) -> float | None:
    """Return the least that reading *sizes* takes; ``None`` where a bandwidth is not known."""
    total = 0.0
    for place, size in sizes.items():
        if not size:
            continue
        bandwidth = bandwidths.get(place)
        if not bandwidth:
            return None
        total += size / bandwidth
    return total


def speed_of(
    reads: Reads, bandwidths: Mapping[str, int | None], *, layers: int, routed: bool
) -> Speed | None:
    """Return how fast it goes; ``None`` where no bandwidth is known that would tell."""
    full = {place: size + reads.cached.get(place, 0) for place, size in reads.weights.items()}
    longest = seconds(full, bandwidths)
    on_devices = {place: size for place, size in reads.weights.items() if place != HOST}
    shortest = seconds(on_devices, bandwidths)
    if not shortest:
        return None
    least = LEAST_REACHED_WITH_EXPERTS if routed else LEAST_REACHED
    beside = layers * (LAYER_SECONDS_WITH_EXPERTS if routed else LAYER_SECONDS)
    return Speed(
        low=1 / (longest / least + beside) if longest else None,
        high=MOST_REACHED / shortest,
    )
