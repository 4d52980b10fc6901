"""What is wanted of a plan, and in which order of preference."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from vramline.fit.settings import RUNNERS, Backend, Runner, Settings
from vramline.fit.tensor_types import TensorType


class Placement(StrEnum):
    """Where a model would run."""

    DEVICES = "devices"
    """All of it on devices with memory of their own. Token embeddings always stay on the
    host: only single rows are read of them."""
    EXPERTS_ON_HOST = "experts_on_host"
    """All but the experts of some layers, of which a token needs few."""
    PARTLY = "partly"
    """Some layers on devices, the others on the host."""
    SHARED_DEVICE = "shared_device"
    """All of it on a device that takes the host's memory."""
    HOST = "host"
    """All of it on the host's processor."""


class Criterion(StrEnum):
    """By what one way to run a model is better than another."""

    PLACEMENT = "placement"
    """The earlier in the wish's ``placements``, the better."""
    CONTEXT = "context"
    """The wanted context is reached, or come near to."""
    QUALITY = "quality"
    """The candidate's rank, then more parameters, then more bits for each."""
    CACHE_TYPE = "cache_type"
    """The earlier in the wish's ``cache_types``, the better."""
    MORE_CONTEXT = "more_context"
    """Above what is wanted at least, where as much is wanted as fits."""
    FEWER_DEVICES = "fewer_devices"
    SPEED = "speed"
    """Less is read from the host for a token, then the devices take less time."""


PREFERENCES = (
    Criterion.PLACEMENT,
    Criterion.CONTEXT,
    Criterion.QUALITY,
    Criterion.CACHE_TYPE,
    Criterion.MORE_CONTEXT,
    Criterion.FEWER_DEVICES,
    Criterion.SPEED,
)
"""What someone wants who talks to a model on his own machine, each only among equals by those
before it: first that it is quick, so all of it on the device, as every layer on the host costs
more than a smaller model does; then that it can see what was asked for; then the best model,
even with a cache of 8 bits, which loses less than the step down to the next model; then a cache
of 16 bits; then more context; then to leave other devices free."""

FAST_FIRST = (
    Placement.DEVICES,
    Placement.EXPERTS_ON_HOST,
    Placement.PARTLY,
    Placement.SHARED_DEVICE,
    Placement.HOST,
)
"""A device that shares the host's memory comes after one with its own, as llama.cpp leaves it
out where there is one: https://github.com/ggml-org/llama.cpp/blob/master/src/llama.cpp"""

LLAMA_CPP_KEEPS_BYTES = 2**30
"""``--fit-target``: what llama.cpp leaves free on each device. It covers what grows after loading
and what other programs ask for. https://github.com/ggml-org/llama.cpp/blob/master/common/common.h"""

USUAL_CONTEXT = 8192
"""What is wanted where nobody says: room for a long text and the answer to it."""

LEAST_CONTEXT = 4096
"""``--fit-ctx``: the shortest that llama.cpp makes a context by itself. Same source."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is wanted.

    Attributes:
        settings: The runner, and all that a plan does not choose: batches, processor, mmap. Of
            vLLM's share a plan takes less, where its default is not free.
        context_tokens: For each slot. ``None``: as much as fits, up to what the model was
            trained on. A plan never gives more.
        least_context_tokens: What is still worth having, where the wanted does not fit. The
            wanted itself: nothing less.
        slots: How many conversations at once.
        backends: What the runner was built with, best first. Empty: the processor only.
            ``None``: not known, and every device counts as one that it can use.
        cache_types: Of keys and values, best first. Four bits are left out: they are heard.
        placements: What is allowed, best first.
        preferences: What counts, most important first. What is left out does not count.
        device_keep_bytes: What stays free on each device, if the model takes what is expected;
            where its need is known as a range only, it may take of that at worst. ``None``: as
            much as llama.cpp leaves, or an eighth where a device is so small that this would be
            too much.
        host_keep_bytes: Likewise of the host's memory, for which ``None`` means twice as much.
        mapped_counts: Weights on the host must have room in memory. Else they may be read from
            the disk again for every token, which is slow.
        choices: How many ways to run something are worked out in full.
        reasons: How many of the better candidates, that are not chosen, are explained.
        replay: What the bounds leave open is decided by replaying the runner's allocator, and
            what is chosen is told exactly. Else it counts as not fitting.
    """

    settings: Settings = RUNNERS[Runner.LLAMA_SERVER]
    context_tokens: int | None = USUAL_CONTEXT
    least_context_tokens: int = LEAST_CONTEXT
    slots: int = 1
    backends: tuple[Backend, ...] | None = None
    cache_types: tuple[TensorType, ...] = (TensorType.F16, TensorType.Q8_0)
    placements: tuple[Placement, ...] = FAST_FIRST
    preferences: tuple[Criterion, ...] = PREFERENCES
    device_keep_bytes: int | None = None
    host_keep_bytes: int | None = None
    mapped_counts: bool = True
    choices: int = 3
    reasons: int = 2
    replay: bool = True


_ALL = frozenset(Placement)
_WHOLE = frozenset((Placement.DEVICES, Placement.SHARED_DEVICE, Placement.HOST))

CAN_PLACE: Mapping[Runner, frozenset[Placement]] = MappingProxyType(
    {
        Runner.LLAMA_SERVER: _ALL,
        Runner.LLAMA_LIBRARY: _ALL,
        Runner.LLAMA_BENCH: _ALL,
        # https://github.com/abetlen/llama-cpp-python/blob/main/llama_cpp/llama.py
        Runner.LLAMA_CPP_PYTHON: _WHOLE | {Placement.PARTLY},
        # https://github.com/ollama/ollama/blob/main/docs/modelfile.mdx
        Runner.OLLAMA: _WHOLE | {Placement.PARTLY},
        # Its application can keep all experts on the host, but nothing can tell it to.
        # https://lmstudio.ai/docs/cli/load
        Runner.LM_STUDIO: _WHOLE | {Placement.PARTLY},
        Runner.VLLM: frozenset((Placement.DEVICES, Placement.SHARED_DEVICE)),
        Runner.TRANSFORMERS: _WHOLE,
    }
)
"""Which placements each runner has settings for."""
