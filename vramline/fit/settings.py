"""How a model is to be loaded, and what each runner takes where nothing is said.

The names are ours; each says which of llama.cpp's options it is. What comes of them is told
by ``take_effect``, as ``llama_context`` decides it:
https://github.com/ggml-org/llama.cpp/blob/master/src/llama-context.cpp
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from vramline.fit.tensor_types import TensorType

HOST = "host"
"""The place that is no device: the host's own memory."""

CELLS_PADDING = 256
"""The context is rounded up to so many cells.
https://github.com/ggml-org/llama.cpp/pull/17046"""

MOST_SEQUENCES = 256
"""``LLAMA_MAX_SEQ``."""

ALL_LAYERS = 2**31 - 1
"""As a count of layers: as many as there are."""


class Runner(StrEnum):
    """Which program loads the model."""

    LLAMA_SERVER = "llama-server"
    LLAMA_LIBRARY = "libllama"
    LLAMA_BENCH = "llama-bench"
    LLAMA_CPP_PYTHON = "llama-cpp-python"
    OLLAMA = "ollama"
    LM_STUDIO = "lm-studio"
    VLLM = "vllm"
    TRANSFORMERS = "transformers"


class FlashAttention(StrEnum):
    """``--flash-attn``."""

    AUTO = "auto"
    ON = "on"
    OFF = "off"


class Backend(StrEnum):
    """What llama.cpp reaches a device through."""

    CUDA = "cuda"
    ROCM = "rocm"
    SYCL = "sycl"
    VULKAN = "vulkan"
    METAL = "metal"


class Processor(StrEnum):
    """What the host's processor can do, as far as weights are rearranged for it."""

    X86 = "x86 with AVX2"
    X86_AVX512 = "x86 with AVX-512"
    ARM = "Arm with dot products"
    PLAIN = "plain"
    """No weights are rearranged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One device that layers may be put on.

    Attributes:
        uid: The place's name: a GPU's uid in a Snapshot.
        share: How many of the layers it takes, in proportion to the others
            (``--tensor-split``). llama.cpp's default is each device's free memory.
    """

    uid: str
    backend: Backend = Backend.CUDA
    share: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How one model is to be loaded. ``None`` is left to the runner.

    Attributes:
        context_tokens: ``--ctx-size``, for all sequences together. 0: what the model was
            trained on.
        batch_tokens: ``--batch-size``.
        micro_batch_tokens: ``--ubatch-size``. 0: as large as the batch.
        outputs: How many tokens of a batch may ask for logits (``n_outputs_max``).
            llama-server: one a sequence; the others: the batch.
        sequences: ``--parallel``. llama-server: 4 with one cache for all.
        unified_cache: ``--kv-unified``: one cache that all sequences share.
        full_window_cache: ``--swa-full``: layers with a sliding window keep every cell.
        state_snapshots: ``n_rs_seq``: states kept beside the newest one, to go back to.
        embeddings: ``--embeddings``.
        cache_type_k: ``--cache-type-k``, and likewise for values.
        map_file: ``--load-mode mmap``: the weights are the file's own pages.
        repack: ``--repack``: weights on the host are rearranged for the processor.
        devices: What the runner sees, in its order, even where no layer is put on it.
        device_layers: ``--gpu-layers``: the output layer and the last layers before it. Less
            than zero: all of them, as the library has it.
        host_expert_layers: ``--n-cpu-moe``: the first layers whose experts stay on the host;
            ``ALL_LAYERS`` is ``--cpu-moe``.
        cache_on_devices: ``--kv-offload``: caches lie where their layer does.
        prompt_cache_bytes: ``--cache-ram``: what prompts seen before may grow to on the host,
            after the load. Less than zero: no limit. llama-server: 8 GiB.
        memory_share: vLLM's ``--gpu-memory-utilization``: how much of a device's whole memory
            it takes, whatever the model.
    """

    runner: Runner = Runner.LLAMA_LIBRARY
    context_tokens: int = 512
    batch_tokens: int = 2048
    micro_batch_tokens: int = 512
    outputs: int | None = None
    sequences: int | None = None
    unified_cache: bool | None = None
    full_window_cache: bool = False
    state_snapshots: int = 0
    embeddings: bool = False
    flash_attention: FlashAttention = FlashAttention.AUTO
    cache_type_k: TensorType = TensorType.F16
    cache_type_v: TensorType = TensorType.F16
    map_file: bool = True
    repack: bool = True
    processor: Processor = Processor.X86_AVX512
    devices: tuple[Device, ...] = ()
    device_layers: int = ALL_LAYERS
    host_expert_layers: int = 0
    cache_on_devices: bool = True
    prompt_cache_bytes: int | None = None
    memory_share: float = 0.92


RUNNERS: Mapping[Runner, Settings] = MappingProxyType(
    {
        # common/common.h (common_params), tools/server/server.cpp
        Runner.LLAMA_SERVER: Settings(runner=Runner.LLAMA_SERVER, context_tokens=0),
        # src/llama-context.cpp (llama_context_default_params)
        Runner.LLAMA_LIBRARY: Settings(runner=Runner.LLAMA_LIBRARY, full_window_cache=True),
        # tools/llama-bench/llama-bench.cpp: the longest of its default tests
        Runner.LLAMA_BENCH: Settings(runner=Runner.LLAMA_BENCH),
        # https://github.com/abetlen/llama-cpp-python/blob/main/llama_cpp/llama.py
        Runner.LLAMA_CPP_PYTHON: Settings(
            runner=Runner.LLAMA_CPP_PYTHON,
            batch_tokens=512,
            full_window_cache=True,
            flash_attention=FlashAttention.OFF,
            device_layers=0,
        ),
        # Ollama starts llama-server with all of these said; its context and its batch follow
        # the machine, which ollama.py tells.
        # https://github.com/ollama/ollama/blob/main/llm/llama_server.go
        Runner.OLLAMA: Settings(
            runner=Runner.OLLAMA, context_tokens=4096, batch_tokens=512, sequences=1
        ),
        # https://lmstudio.ai/docs/app/advanced/parallel-requests: 4 predictions at once. It is
        # not told how many tokens of a batch its engine lets ask for logits: the library's rule.
        Runner.LM_STUDIO: Settings(runner=Runner.LM_STUDIO, context_tokens=4096, batch_tokens=512),
        # https://github.com/vllm-project/vllm/blob/main/vllm/engine/arg_utils.py: the batch and
        # the sequences follow the device, which torch/ tells.
        Runner.VLLM: Settings(runner=Runner.VLLM, context_tokens=0, batch_tokens=0),
        # One prompt, all of it at once.
        # https://huggingface.co/docs/transformers/main/en/main_classes/text_generation
        Runner.TRANSFORMERS: Settings(
            runner=Runner.TRANSFORMERS, context_tokens=0, batch_tokens=0, sequences=1
        ),
    }
)
"""What each runner takes where nothing is said.
https://github.com/ggml-org/llama.cpp has the files that are named without an address."""

SERVERS = frozenset((Runner.LLAMA_SERVER, Runner.OLLAMA))
"""They are llama-server: a sequence asks for the logits of one token at a time."""

TORCH_RUNNERS = frozenset((Runner.VLLM, Runner.TRANSFORMERS))
"""They load safetensors, on PyTorch."""

SHARING = frozenset((Runner.LLAMA_SERVER, Runner.LM_STUDIO))
"""Where nobody says how many sequences there are, 4 share one cache."""


def settings_of(runner: Runner, **changes: Any) -> Settings:
    """Return *runner*'s defaults with *changes*."""
    return replace(RUNNERS[runner], **changes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What comes of settings for one model.

    Attributes:
        cells: Of the cache, one stream.
        streams: Caches that lie apart: one, or one a sequence.
        micro_batch_tokens: The most tokens that are computed at once.
        outputs: The most of them that ask for logits, in one batch.
        values_transposed: The cache keeps values by dimension, as attention without flash
            attention wants them; layers of different widths are padded to the widest then.
    """

    cells: int
    streams: int
    sequences: int
    unified: bool
    batch_tokens: int
    micro_batch_tokens: int
    outputs: int
    values_transposed: bool

    @property
    def context_tokens(self) -> int:
        """All cells of all streams."""
        return self.cells * self.streams


def take_effect(settings: Settings, *, trained_tokens: int, causal: bool = True) -> Effect:
    """Return what comes of *settings* for a model trained on *trained_tokens*."""
    serving = settings.runner in SERVERS
    sequences, unified = sequences_of(settings)
    context = context_of(settings, trained_tokens, sequences, unified=unified)
    batch = settings.batch_tokens
    if serving and settings.embeddings:
        # https://github.com/ggml-org/llama.cpp/issues/12836
        batch = min(batch, settings.micro_batch_tokens or batch)
    outputs = settings.outputs
    if outputs is None and serving and not settings.embeddings:
        outputs = sequences
    if causal:
        batch = min(batch, context)
    context = padded(context, CELLS_PADDING)
    cells = context if unified else padded(context // sequences, CELLS_PADDING)
    return Effect(
        cells=cells,
        streams=1 if unified else sequences,
        sequences=sequences,
        unified=unified,
        batch_tokens=batch,
        micro_batch_tokens=min(batch, settings.micro_batch_tokens or batch),
        outputs=outputs or batch,
        values_transposed=settings.flash_attention is FlashAttention.OFF,
    )


def sequences_of(settings: Settings) -> tuple[int, bool]:
    """Return how many sequences there are, and whether they share one cache."""
    if settings.embeddings and settings.runner is Runner.LLAMA_CPP_PYTHON:
        # https://github.com/abetlen/llama-cpp-python/blob/main/llama_cpp/llama.py
        return max(min(settings.batch_tokens, MOST_SEQUENCES), 1), True
    sharing = settings.runner in SHARING
    # tools/server/server.cpp
    sequences = settings.sequences or (4 if sharing else 1)
    if settings.unified_cache is not None:
        return sequences, settings.unified_cache
    return sequences, sharing and not settings.sequences


def context_of(settings: Settings, trained_tokens: int, sequences: int, *, unified: bool) -> int:
    """Return the context of all sequences, in tokens."""
    context = settings.context_tokens
    if not context:
        # common/fit.cpp: each of several caches gets what the model was trained on.
        several = settings.runner is Runner.LLAMA_SERVER and not unified
        context = trained_tokens * (sequences if several else 1)
    if settings.runner is Runner.OLLAMA and trained_tokens:
        # https://github.com/ollama/ollama/blob/main/server/sched.go (effectiveModelContext)
        context = min(context, trained_tokens * sequences)
    return context


def padded(count: int, multiple: int) -> int:
    """Return *count* rounded up to a multiple."""
    return -(-count // multiple) * multiple
