"""Settings as each runner is told them.

llama.cpp: https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md;
llama-cpp-python: https://llama-cpp-python.readthedocs.io/en/latest/api-reference/;
Ollama: https://docs.ollama.com/modelfile, https://docs.ollama.com/faq;
LM Studio: https://lmstudio.ai/docs/cli/load;
vLLM: https://docs.vllm.ai/en/latest/configuration/engine_args.html
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from vramline.fit.settings import (
    ALL_LAYERS,
    RUNNERS,
    Backend,
    FlashAttention,
    Runner,
    Settings,
)
from vramline.fit.tensor_types import GGUF_TYPES, TensorType
from vramline.readings import FrozenDict, Snapshot

EVERY_LAYER = 999
"""More than any model has. Older versions do not know the word ``all``."""

NOTHING: Mapping[str, str] = FrozenDict()
NO_NAMES: Mapping[str, str] = FrozenDict()

DEVICE_NAMES: Mapping[Backend, str] = MappingProxyType({Backend.CUDA: "CUDA"})
"""What llama.cpp calls devices, before their number. Only CUDA's numbers are known here."""

TYPE_NUMBERS: Mapping[TensorType, int] = MappingProxyType(
    {kind: number for number, kind in GGUF_TYPES.items()}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """What a runner is to be told.

    Attributes:
        arguments: On its command line.
        environment: Of its server, where it takes such settings from there.
        parameters: By name: of a request, of a model's file, or of a function.
    """

    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = NOTHING
    parameters: Mapping[str, str] = NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What flags are made from."""

    settings: Settings
    names: Mapping[str, str]
    blocks: int

    @property
    def slots(self) -> int:
        """How many sequences there are."""
        return self.settings.sequences or 1

    @property
    def slot_tokens(self) -> int:
        """The context of each of them."""
        return self.settings.context_tokens // self.slots

    @property
    def layers(self) -> int:
        """How many layers go to devices, in the runner's words."""
        settings = self.settings
        if not settings.devices:
            return 0
        return EVERY_LAYER if settings.device_layers == ALL_LAYERS else settings.device_layers

    @property
    def shares(self) -> tuple[int, ...]:
        """Each device's part, where there are several."""
        devices = self.settings.devices
        return tuple(round(device.share) for device in devices) if len(devices) > 1 else ()


def flags_of(settings: Settings, *, names: Mapping[str, str] = NO_NAMES, blocks: int = 0) -> Flags:
    """Return how *settings* are told to their runner: only what is not its default.

    *names* are what it calls the devices, by uid: needed where it is not to use all of them.
    *blocks* is how many layers the model has: needed where it wants a share of them.
    """
    return TOLD[settings.runner](Asked(settings=settings, names=names, blocks=blocks))


def device_names(snapshot: Snapshot) -> Mapping[str, str]:
    """Return what llama.cpp calls the devices whose number can be told, by uid."""
    return FrozenDict(
        {
            gpu.uid: f"{DEVICE_NAMES[Backend.CUDA]}{gpu.cuda_index}"
            for gpu in snapshot.gpus
            if gpu.cuda_index is not None
        }
    )


def server_flags(asked: Asked) -> Flags:
    """Tell llama-server, and what else is built on llama.cpp's common options."""
    settings = asked.settings
    told = ["--ctx-size", str(settings.context_tokens)]
    if settings.sequences:
        told += ["--parallel", str(settings.sequences)]
        told += ["--kv-unified"] if settings.unified_cache else []
    told += [word for words in common_arguments(asked) for word in words]
    if settings.full_window_cache:
        told.append("--swa-full")
    if not settings.repack:
        told.append("--no-repack")
    if settings.prompt_cache_bytes is not None:
        told += ["--cache-ram", str(max(settings.prompt_cache_bytes // 2**20, -1))]
    return Flags(arguments=tuple(told))


def bench_flags(asked: Asked) -> Flags:
    """Tell llama-bench, whose context follows from its tests."""
    return Flags(arguments=tuple(word for words in common_arguments(asked) for word in words))


def common_arguments(asked: Asked) -> Iterator[tuple[str, ...]]:
    """Give what all of llama.cpp's programs understand."""
    settings, usual = asked.settings, RUNNERS[asked.settings.runner]
    yield ("--n-gpu-layers", str(asked.layers))
    if not settings.devices:
        yield ("--device", "none")
    elif all(device.uid in asked.names for device in settings.devices):
        yield ("--device", ",".join(asked.names[device.uid] for device in settings.devices))
    if asked.shares:
        yield ("--tensor-split", ",".join(map(str, asked.shares)))
    if settings.host_expert_layers:
        yield ("--n-cpu-moe", str(min(settings.host_expert_layers, EVERY_LAYER)))
    yield from cache_arguments(settings, usual)
    if settings.batch_tokens != usual.batch_tokens:
        yield ("--batch-size", str(settings.batch_tokens))
    if settings.micro_batch_tokens != usual.micro_batch_tokens:
        yield ("--ubatch-size", str(settings.micro_batch_tokens))
    if not settings.map_file:
        yield ("--load-mode", "none")


def cache_arguments(settings: Settings, usual: Settings) -> Iterator[tuple[str, ...]]:
    """Give what is said of the cache, and of attention, which decides what it can be."""
    if settings.cache_type_k is not usual.cache_type_k:
        yield ("--cache-type-k", settings.cache_type_k.lower())
    if settings.cache_type_v is not usual.cache_type_v:
        yield ("--cache-type-v", settings.cache_type_v.lower())
    if attention(settings) is not usual.flash_attention:
        yield ("--flash-attn", str(attention(settings)))
    if not settings.cache_on_devices:
        yield ("--no-kv-offload", *(("1",) if settings.runner is Runner.LLAMA_BENCH else ()))


def attention(settings: Settings) -> FlashAttention:
    """Return what to say of flash attention: values are quantised with it only, so it is said."""
    if settings.cache_type_v.elements_per_block > 1:
        return FlashAttention.ON
    return settings.flash_attention


def python_flags(asked: Asked) -> Flags:
    """Tell llama-cpp-python's ``Llama``."""
    settings, usual = asked.settings, RUNNERS[Runner.LLAMA_CPP_PYTHON]
    parameters = {
        "n_ctx": str(settings.context_tokens),
        "n_gpu_layers": "-1" if asked.layers == EVERY_LAYER else str(asked.layers),
    }
    if settings.batch_tokens != usual.batch_tokens:
        parameters["n_batch"] = str(settings.batch_tokens)
    if settings.micro_batch_tokens != usual.micro_batch_tokens:
        parameters["n_ubatch"] = str(settings.micro_batch_tokens)
    if asked.shares:
        parameters["tensor_split"] = str(list(asked.shares))
    if settings.cache_type_k is not usual.cache_type_k:
        parameters["type_k"] = str(TYPE_NUMBERS[settings.cache_type_k])
    if settings.cache_type_v is not usual.cache_type_v:
        parameters["type_v"] = str(TYPE_NUMBERS[settings.cache_type_v])
    if attention(settings) is FlashAttention.ON:
        parameters["flash_attn"] = "True"
    if not settings.cache_on_devices:
        parameters["offload_kqv"] = "False"
    if not settings.map_file:
        parameters["use_mmap"] = "False"
    return Flags(parameters=FrozenDict(parameters))


def ollama_flags(asked: Asked) -> Flags:
    """Tell Ollama: its cache's type and its slots are the server's, the rest the model's."""
    settings = asked.settings
    environment = {"OLLAMA_NUM_PARALLEL": str(asked.slots)}
    if settings.cache_type_k is not TensorType.F16:
        environment["OLLAMA_FLASH_ATTENTION"] = "1"
        environment["OLLAMA_KV_CACHE_TYPE"] = settings.cache_type_k.lower()
    parameters = {
        "num_ctx": str(asked.slot_tokens),
        "num_batch": str(settings.batch_tokens),
        "num_gpu": str(asked.layers),
    }
    if not settings.map_file:
        parameters["use_mmap"] = "false"
    return Flags(environment=FrozenDict(environment), parameters=FrozenDict(parameters))


def lm_studio_flags(asked: Asked) -> Flags:
    """Tell LM Studio's ``lms load``, which cannot set the cache's type: that is its application's.

    https://github.com/lmstudio-ai/lmstudio-bug-tracker/issues/2024
    """
    settings = asked.settings
    if asked.layers in (0, EVERY_LAYER):
        share = "max" if asked.layers else "off"
    else:
        share = f"{min(asked.layers / (asked.blocks or asked.layers), 1):.3g}"
    parameters = {}
    if settings.cache_type_k is not TensorType.F16:
        parameters["llamaKCacheQuantizationType"] = settings.cache_type_k.lower()
        parameters["llamaVCacheQuantizationType"] = settings.cache_type_v.lower()
    return Flags(
        arguments=(
            *("--context-length", str(settings.context_tokens)),
            *("--gpu", share),
            *("--parallel", str(asked.slots)),
        ),
        parameters=FrozenDict(parameters),
    )


def vllm_flags(asked: Asked) -> Flags:
    """Tell ``vllm serve``."""
    settings = asked.settings
    told = ["--max-model-len", str(asked.slot_tokens), "--max-num-seqs", str(asked.slots)]
    if len(settings.devices) > 1:
        told += ["--tensor-parallel-size", str(len(settings.devices))]
    if settings.memory_share != RUNNERS[Runner.VLLM].memory_share:
        told += ["--gpu-memory-utilization", f"{settings.memory_share:g}"]
    return Flags(arguments=tuple(told))


def transformers_flags(asked: Asked) -> Flags:
    """Tell ``from_pretrained`` where the model goes; a context is not set beforehand."""
    if not asked.settings.devices:
        return Flags(parameters=FrozenDict(device_map="cpu"))
    return Flags(parameters=FrozenDict(device_map="auto"))


TOLD: Mapping[Runner, Callable[[Asked], Flags]] = MappingProxyType(
    {
        Runner.LLAMA_SERVER: server_flags,
        Runner.LLAMA_LIBRARY: server_flags,
        Runner.LLAMA_BENCH: bench_flags,
        Runner.LLAMA_CPP_PYTHON: python_flags,
        Runner.OLLAMA: ollama_flags,
        Runner.LM_STUDIO: lm_studio_flags,
        Runner.VLLM: vllm_flags,
        Runner.TRANSFORMERS: transformers_flags,
    }
)
