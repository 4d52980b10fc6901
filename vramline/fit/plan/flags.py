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

from vramline.fit.plan.telling import choosing
from vramline.fit.settings import (
    ALL_LAYERS,
    RUNNERS,
    Backend,
    FlashAttention,
    Runner,
    Settings,
    take_effect,
)
from vramline.fit.tensor_types import GGUF_TYPES, TensorType
from vramline.readings import FrozenDict, Snapshot

EVERY_LAYER = 999
"""More than any model has. Older versions do not know the word ``all``."""

NOTHING: Mapping[str, str] = FrozenDict()
NO_NAMES: Mapping[str, str] = FrozenDict()

DEVICE_NAMES: Mapping[Backend, str] = MappingProxyType({Backend.CUDA: "CUDA", Backend.ROCM: "ROCm"})
"""What llama.cpp calls devices, before their number. Others' numbers are not known here."""

TYPE_NUMBERS: Mapping[TensorType, int] = MappingProxyType(
    {kind: number for number, kind in GGUF_TYPES.items()}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """What a runner is to be told.

    Attributes:
        arguments: On its command line.
        environment: Of the program, or of its server where it has one: settings that it takes
            from there, and which devices it sees, where its options cannot say that.
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
        return take_effect(self.settings, trained_tokens=0).sequences

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
        # Less than zero is all of them to the library, and something else to its programs.
        is_count = 0 <= settings.device_layers < ALL_LAYERS
        return settings.device_layers if is_count else EVERY_LAYER

    @property
    def shares(self) -> tuple[str, ...]:
        """Each device's part, where there are several: as exactly as it was judged."""
        shares = [device.share for device in self.settings.devices]
        if len(shares) < 2 or not any(shares):
            return ()
        return tuple(str(int(share) if share.is_integer() else share) for share in shares)

    @property
    def devices(self) -> tuple[str, ...]:
        """What llama.cpp calls the devices; nothing, unless that is known of all."""
        found = [
            self.names[device.uid]
            for device in self.settings.devices
            if device.uid in self.names and is_of(self.names[device.uid], device.backend)
        ]
        return tuple(found) if len(found) == len(self.settings.devices) else ()

    @property
    def choosing(self) -> Mapping[str, str]:
        """What hides the other devices, for a runner that no option of its own tells which.

        Nothing, where these are all that there are.
        """
        used = self.settings.devices
        every = [name for name in self.names.values() if used and is_of(name, used[0].backend)]
        return NOTHING if every and self.devices == tuple(every) else choosing(used)


def is_of(name: str, backend: Backend) -> bool:
    """Whether a device's name is one that llama.cpp gives it through *backend*."""
    return backend in DEVICE_NAMES and name.startswith(DEVICE_NAMES[backend])


def flags_of(settings: Settings, *, names: Mapping[str, str] = NO_NAMES, blocks: int = 0) -> Flags:
    """Return how *settings* are told to their runner: only what is not its default.

    *names* are what it calls the machine's devices, by uid and in its order, as far as that is
    known. *blocks* is how many layers the model has: needed where it wants a share of them.
    """
    return TOLD[settings.runner](Asked(settings=settings, names=names, blocks=blocks))


def device_names(snapshot: Snapshot) -> Mapping[str, str]:
    """Return what llama.cpp calls the devices whose number can be told, by uid, in its order."""
    numbers = {gpu.uid: gpu.cuda_index for gpu in snapshot.gpus if gpu.cuda_index is not None}
    names = {
        uid: f"{DEVICE_NAMES[Backend.CUDA]}{number}"
        for uid, number in sorted(numbers.items(), key=lambda each: each[1])
    }
    # ROCm's order is not in a reading: where there is one card, it is the first.
    cards = [gpu.uid for gpu in snapshot.gpus if gpu.vendor == "amd" and gpu.visible]
    if len(cards) == 1:
        names[cards[0]] = f"{DEVICE_NAMES[Backend.ROCM]}0"
    return FrozenDict(names)


def server_flags(asked: Asked) -> Flags:
    """Tell llama-server, and what else is built on llama.cpp's common options."""
    settings = asked.settings
    told = ["--ctx-size", str(settings.context_tokens)]
    if settings.sequences or settings.unified_cache is False:
        # Where nobody says how many, they share one cache whatever else is said.
        told += ["--parallel", str(asked.slots)]
        told += ["--kv-unified"] if settings.unified_cache else []
    told += [word for words in common_arguments(asked) for word in words]
    if settings.embeddings:
        told.append("--embeddings")
    if settings.full_window_cache:
        told.append("--swa-full")
    if not settings.repack:
        told.append("--no-repack")
    if settings.prompt_cache_bytes is not None:
        told += ["--cache-ram", str(max(settings.prompt_cache_bytes // 2**20, -1))]
    return Flags(arguments=tuple(told), environment=unnamed(asked))


def bench_flags(asked: Asked) -> Flags:
    """Tell llama-bench, whose context follows from its tests."""
    told = [word for words in common_arguments(asked) for word in words]
    if asked.settings.embeddings:
        told += ["--embeddings", "1"]
    return Flags(arguments=tuple(told), environment=unnamed(asked))


def unnamed(asked: Asked) -> Mapping[str, str]:
    """Return what tells llama.cpp the devices that it has no known name for."""
    return NOTHING if asked.devices else choosing(asked.settings.devices)


def common_arguments(asked: Asked) -> Iterator[tuple[str, ...]]:
    """Give what all of llama.cpp's programs understand."""
    settings, usual = asked.settings, RUNNERS[asked.settings.runner]
    # llama-bench takes what commas part for one test after the other.
    # https://github.com/ggml-org/llama.cpp/blob/master/tools/llama-bench/README.md
    between = "/" if settings.runner is Runner.LLAMA_BENCH else ","
    yield ("--n-gpu-layers", str(asked.layers))
    if not settings.devices:
        yield ("--device", "none")
    elif asked.devices:
        yield ("--device", between.join(asked.devices))
    if asked.shares:
        yield ("--tensor-split", between.join(asked.shares))
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
    rows: tuple[tuple[str, object, object], ...] = (
        ("n_batch", settings.batch_tokens, usual.batch_tokens),
        ("n_ubatch", settings.micro_batch_tokens, usual.micro_batch_tokens),
        ("type_k", TYPE_NUMBERS[settings.cache_type_k], TYPE_NUMBERS[usual.cache_type_k]),
        ("type_v", TYPE_NUMBERS[settings.cache_type_v], TYPE_NUMBERS[usual.cache_type_v]),
        ("flash_attn", attention(settings) is FlashAttention.ON, False),
        ("embedding", settings.embeddings, usual.embeddings),
        ("swa_full", settings.full_window_cache, usual.full_window_cache),
        ("offload_kqv", settings.cache_on_devices, usual.cache_on_devices),
        ("use_mmap", settings.map_file, usual.map_file),
    )
    parameters = {
        "n_ctx": str(settings.context_tokens),
        "n_gpu_layers": "-1" if asked.layers == EVERY_LAYER else str(asked.layers),
        **{name: str(said) for name, said, unsaid in rows if said != unsaid},
    }
    if asked.shares:
        parameters["tensor_split"] = f"[{', '.join(asked.shares)}]"
    if not settings.devices:
        # It sees none then: https://github.com/ggml-org/llama.cpp/blob/master/src/llama.cpp
        parameters |= {"split_mode": "0", "main_gpu": "-1"}
    return Flags(environment=asked.choosing, parameters=FrozenDict(parameters))


def ollama_flags(asked: Asked) -> Flags:
    """Tell Ollama: its cache's type and its slots are the server's, the rest the model's."""
    settings = asked.settings
    environment = {"OLLAMA_NUM_PARALLEL": str(asked.slots), **asked.choosing}
    # One type is for keys and values, and needs flash attention.
    if settings.cache_type_k is not TensorType.F16:
        environment["OLLAMA_FLASH_ATTENTION"] = "1"
        environment["OLLAMA_KV_CACHE_TYPE"] = settings.cache_type_k.lower()
    elif settings.flash_attention is not FlashAttention.AUTO:
        is_on = settings.flash_attention is FlashAttention.ON
        environment["OLLAMA_FLASH_ATTENTION"] = "1" if is_on else "0"
    parameters = {"num_ctx": str(asked.slot_tokens), "num_batch": str(settings.batch_tokens)}
    if len(settings.devices) < 2 or asked.layers != EVERY_LAYER:
        # Several devices' parts cannot be said. Not told how many layers, it finds them itself:
        # https://github.com/ollama/ollama/blob/main/llm/llama_server.go
        parameters["num_gpu"] = str(asked.layers)
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
    if attention(settings) is not FlashAttention.AUTO:
        parameters["flashAttention"] = str(attention(settings) is FlashAttention.ON).lower()
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
    told = ["--max-model-len", str(asked.slot_tokens)] if settings.context_tokens else []
    told += ["--max-num-seqs", str(settings.sequences)] if settings.sequences else []
    if len(settings.devices) > 1:
        told += ["--tensor-parallel-size", str(len(settings.devices))]
    if settings.memory_share != RUNNERS[Runner.VLLM].memory_share:
        told += ["--gpu-memory-utilization", f"{settings.memory_share:g}"]
    if settings.batch_tokens:
        told += ["--max-num-batched-tokens", str(settings.batch_tokens)]
    return Flags(arguments=tuple(told), environment=asked.choosing)


def transformers_flags(asked: Asked) -> Flags:
    """Tell ``from_pretrained`` where the model goes; a context is not set beforehand."""
    if not asked.settings.devices:
        return Flags(parameters=FrozenDict(device_map="cpu"))
    return Flags(environment=asked.choosing, parameters=FrozenDict(device_map="auto"))


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
