"""Ollama's settings, as llama-server gets them.

Ollama starts llama-server, one a model, with its own settings turned into that program's:
https://github.com/ollama/ollama/blob/main/llm/llama_server.go. Those settings are a request's
options over the model's parameters (``PARAMETER`` in a Modelfile, a layer of the model) over
the server's environment:
https://docs.ollama.com/modelfile, https://github.com/ollama/ollama/blob/main/envconfig/config.go
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from vramline.fit.settings import (
    ALL_LAYERS,
    Backend,
    Device,
    FlashAttention,
    Runner,
    Settings,
    settings_of,
)
from vramline.fit.tensor_types import TensorType
from vramline.units import GIB, MIB

PARAMETERS_TYPE = "application/vnd.ollama.image.params"
"""The layer of a model's manifest that has its parameters, as JSON."""

LARGEST = 2**31 - 1
LEAST_CONTEXT = 4
VISION_CONTEXT = 2048
"""What a model that sees images gets at least.
https://github.com/ollama/ollama/blob/main/server/sched.go (``GetRunner``)"""

CONTEXTS: tuple[tuple[int, int], ...] = ((47 * GIB, 262144), (23 * GIB, 32768), (0, 4096))
"""The context where nobody says one, by the memory of all GPUs together. 24 and 48 GiB in
https://docs.ollama.com/context-length; cards of that name have a little less, and count: 23.5
GiB gets 32,768."""

BATCHES: tuple[tuple[int, int], ...] = ((32768, 2048), (4096, 1024), (0, 512))
"""The batch where nobody says one, by what the context is above.
https://github.com/ollama/ollama/blob/main/server/sched.go (``automaticGenerationBatch``)"""

BATCH_SURCHARGE: Mapping[int, int] = MappingProxyType({2048: 2 * GIB, 1024: 768 * MIB})
BATCH_SHARE_PERCENT: Mapping[int, int] = MappingProxyType({2048: 60, 1024: 75})
"""A batch is lowered where the model is expected to take more of what is free than this, or
more than 80 % together with what the batch is expected to take."""

FULL_PERCENT = 80

EMBEDDING_BATCH = 2048
SMALL_CUDA_BYTES = 8 * GIB
SMALL_CUDA_BATCH = 256
"""On such a card without flash attention, with a context of more than 4096."""

CACHE_TYPES: Mapping[str, TensorType] = MappingProxyType(
    {
        "f32": TensorType.F32,
        "f16": TensorType.F16,
        "bf16": TensorType.BF16,
        "q8_0": TensorType.Q8_0,
        "q4_0": TensorType.Q4_0,
        "q4_1": TensorType.Q4_1,
        "iq4_nl": TensorType.IQ4_NL,
        "q5_0": TensorType.Q5_0,
        "q5_1": TensorType.Q5_1,
    }
)

FALSE = frozenset(("0", "f", "false"))
NOTHING: Mapping[str, object] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What Ollama goes by that is neither the model's nor the user's.

    Attributes:
        devices: What it may use, in its order.
        device_bytes: All of their memory together.
        free_bytes: What of it is free; 0 where that is not known.
        expected_bytes: What Ollama expects the model to take; 0 where that is not known.
        smallest_free_bytes: Of one device; 0 where that is not known.
        windows: It runs on Windows.
    """

    devices: tuple[Device, ...] = ()
    device_bytes: int = 0
    free_bytes: int = 0
    expected_bytes: int = 0
    smallest_free_bytes: int = 0
    windows: bool = False


def ollama_settings(
    circumstances: Circumstances,
    *,
    options: Mapping[str, object] = NOTHING,
    environment: Mapping[str, str] = MappingProxyType({}),
    embeds: bool = False,
    sees: bool = False,
) -> Settings:
    """Return how Ollama would load a model.

    *options* are the model's parameters, with the request's over them. What there cannot be is
    passed over, as Ollama does. *embeds*: the model has a pooling type; *sees*: a projector.
    """
    sequences = count(environment.get("OLLAMA_NUM_PARALLEL")) or 1
    if embeds:
        sequences = 1
    context = count(options.get("num_ctx")) or count(environment.get("OLLAMA_CONTEXT_LENGTH"))
    context = max(context or usual_context(circumstances.device_bytes), LEAST_CONTEXT)
    if sees:
        context = max(context, VISION_CONTEXT)
    attention = flash_attention(environment)
    changes = {
        **placement(options, circumstances),
        **cache_types(environment),
        "context_tokens": min(context * sequences, LARGEST),
        "sequences": sequences,
        "flash_attention": attention,
        "embeddings": embeds,
    }
    batch = count(options.get("num_batch"))
    if not batch and embeds:
        batch = min(EMBEDDING_BATCH, context)
    if not batch:
        batch = usual_batch(context * sequences, attention, circumstances)
    return settings_of(Runner.OLLAMA, batch_tokens=batch, micro_batch_tokens=batch, **changes)


def usual_context(device_bytes: int) -> int:
    """Return the context where nobody says one."""
    return next(tokens for least, tokens in CONTEXTS if device_bytes >= least)


def usual_batch(context: int, attention: FlashAttention, circumstances: Circumstances) -> int:
    """Return the batch where nobody says one, for the context of all sequences."""
    cuda = any(device.backend is Backend.CUDA for device in circumstances.devices)
    if cuda and attention is FlashAttention.OFF:
        small = 0 < circumstances.smallest_free_bytes <= SMALL_CUDA_BYTES
        return SMALL_CUDA_BATCH if small and context > BATCHES[1][0] else BATCHES[-1][1]
    fitting = (
        batch for above, batch in BATCHES if context > above and batch_fits(batch, circumstances)
    )
    return next(fitting, BATCHES[-1][1])


def batch_fits(batch: int, circumstances: Circumstances) -> bool:
    """Whether Ollama finds room for what a batch adds."""
    expected, free = circumstances.expected_bytes, circumstances.free_bytes
    if not expected or not free or batch not in BATCH_SURCHARGE:
        return True
    full = free * FULL_PERCENT // 100
    return (
        expected <= free * BATCH_SHARE_PERCENT[batch] // 100
        and expected + BATCH_SURCHARGE[batch] <= full
    )


def placement(options: Mapping[str, object], circumstances: Circumstances) -> dict[str, Any]:
    """Return where the layers go, and whether the weights stay the file's own pages.

    https://github.com/ollama/ollama/blob/main/server/sched.go (``disableMmapDefaultReason``)
    """
    layers = options.get("num_gpu")
    devices = circumstances.devices
    changes: dict[str, Any] = {"devices": devices}
    if isinstance(layers, int) and not isinstance(layers, bool) and 0 <= layers <= LARGEST:
        changes["device_layers"] = layers
    maps = options.get("use_mmap")
    if isinstance(maps, bool):
        return {**changes, "map_file": maps}
    backends = {device.backend for device in devices}
    used = changes.get("device_layers", ALL_LAYERS) > 0 and bool(devices)
    copies = not used or (circumstances.windows and Backend.CUDA in backends)
    return {**changes, "map_file": not copies}


def cache_types(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the types of the cache: one for keys and values."""
    kind = CACHE_TYPES.get(environment.get("OLLAMA_KV_CACHE_TYPE", "").strip().lower())
    return {"cache_type_k": kind, "cache_type_v": kind} if kind else {}


def flash_attention(environment: Mapping[str, str]) -> FlashAttention:
    """Return what the server's environment says of it: any word but a no is a yes.

    https://github.com/ollama/ollama/blob/main/envconfig/config.go (``BoolWithDefault``)
    """
    word = environment.get("OLLAMA_FLASH_ATTENTION", "").strip("\"' ").lower()
    if not word:
        return FlashAttention.AUTO
    return FlashAttention.OFF if word in FALSE else FlashAttention.ON


def count(value: object) -> int:
    """Return a whole number above zero and in 32 bits, else 0."""
    if isinstance(value, str):
        digits = value.strip("\"' ")
        value = int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 11 else 0
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return 0
    return value if 0 < value <= LARGEST else 0
