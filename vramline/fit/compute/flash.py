"""Whether flash attention is used where that is left to llama.cpp.

It asks the scheduler where a batch of one token a sequence would run: unless that is where the
layer lies, in every layer, flash attention is off for all. The cache keeps values by token all
the same, as it was made before.
https://github.com/ggml-org/llama.cpp/blob/master/src/llama-context.cpp (``resolve_fused_ops``)

A device that computes attention for some heads and types of the cache does not for others:
each backend's ``supports_op`` says for which.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from vramline.fit.cache import NO_CACHE
from vramline.fit.compute.placement import Placement
from vramline.fit.compute.schedule import Schedule
from vramline.fit.compute.supported import CACHES, SAME_HEADS, attends_with
from vramline.fit.settings import Backend, FlashAttention, Settings
from vramline.fit.shape import Shape
from vramline.fit.tensor_types import TensorType

Lengths = tuple[int, int]
"""Of a head's keys and values."""

Kinds = tuple[TensorType, TensorType]
"""Of the cache's keys and values."""

METAL_HEADS = frozenset((32, 40, 48, 64, 72, 80, 96, 112, 128, 192, 256, 320, 512, 576))

SYCL_CACHES = frozenset(
    (TensorType.F32, TensorType.F16, TensorType.BF16, TensorType.Q4_0, TensorType.Q8_0)
)
"""Unless it was built with ``GGML_SYCL_FA_ALL_QUANTS``."""


def attends_on_metal(lengths: Lengths, _shared: int, kinds: Kinds) -> bool:
    """Whether Metal does, on every device with matrix units: since the A14 and the M1.

    https://github.com/ggml-org/llama.cpp/blob/master/ggml/src/ggml-metal/ggml-metal-device.m
    """
    key, value = lengths
    alike = kinds[0] is kinds[1] and kinds[0] in CACHES
    return alike and key in METAL_HEADS and (value == key or (value < key and key != 72))


def attends_on_vulkan(lengths: Lengths, _shared: int, kinds: Kinds) -> bool:
    """Whether Vulkan does, on every device whose threads can exchange values in a subgroup.

    https://github.com/ggml-org/llama.cpp/blob/master/ggml/src/ggml-vulkan/ggml-vulkan.cpp
    """
    halves = [kind is TensorType.BF16 for kind in kinds]
    known = all(kind in CACHES or kind is TensorType.IQ4_NL for kind in kinds)
    return known and halves[0] is halves[1] and all(length % 8 == 0 for length in lengths)


def attends_on_sycl(lengths: Lengths, shared: int, kinds: Kinds) -> bool:
    """Whether SYCL does.

    https://github.com/ggml-org/llama.cpp/blob/master/ggml/src/ggml-sycl/fattn.cpp
    """
    key, value = lengths
    if kinds[0] is not kinds[1] or kinds[0] not in SYCL_CACHES:
        return False
    if key == 576:
        return value == 512 and shared > 1
    return value == key and (key in SAME_HEADS or key == 512)


RULES: Mapping[Backend, Callable[[Lengths, int, Kinds], bool]] = MappingProxyType(
    {
        Backend.CUDA: attends_with,
        # ggml-hip compiles ggml-cuda's files.
        Backend.ROCM: attends_with,
        Backend.METAL: attends_on_metal,
        Backend.SYCL: attends_on_sycl,
        Backend.VULKAN: attends_on_vulkan,
    }
)
"""By the lengths of a head, how many heads share one of keys, and the types of the cache."""


def attends_everywhere(shape: Shape, settings: Settings) -> bool:
    """Whether every device computes flash attention for every kind of heads of the model."""
    kinds = (settings.cache_type_k, settings.cache_type_v)
    if shape.architecture in NO_CACHE:
        kinds = (TensorType.F16, TensorType.F16)
    heads = shape.widest.head_kinds
    if shape.mla:
        row = shape.kv_lora_rank + shape.widest.rope
        heads = frozenset(((row, shape.kv_lora_rank, shape.widest.heads),))
    return all(
        RULES[device.backend]((key, value), shared, kinds)
        for device in settings.devices
        for key, value, shared in heads
    )


def uses_flash(
    shape: Shape, settings: Settings, placement: Placement, probe: Callable[[], Schedule]
) -> bool:
    """Return whether attention is one operation.

    *probe* tells where a token of each sequence runs, with attention as one operation and the
    places heeded that llama.cpp asks for.
    """
    if settings.flash_attention is not FlashAttention.AUTO:
        return settings.flash_attention is FlashAttention.ON
    # A quantised cache of values needs it, and then nobody asks where it runs.
    if not settings.devices or settings.cache_type_v.elements_per_block > 1:
        return True
    if placement.whole and placement.caches_on_devices:
        return attends_everywhere(shape, settings)
    found = probe()
    at_once = [found.where[node.at] for node in found.graph.nodes if node.op == "FLASH_ATTN_EXT"]
    attending = [at for at, layer in enumerate(shape.layers) if layer.attends]
    return all(place == placement.blocks[at] for place, at in zip(at_once, attending, strict=False))
