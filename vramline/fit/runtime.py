"""What a runner takes beside the model: the driver's context, the tokeniser, its own code.

None of it is in the model's header, and little of it in anybody's documentation: these are
ranges, until this machine was watched while a model was loaded (``learned.py``).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from vramline.fit.amounts import Amount, Item, Part, about
from vramline.fit.buffers import HOST_BUFFER
from vramline.fit.cache import Cache, state_bytes
from vramline.fit.items import SOURCE, Layout
from vramline.fit.learned import Learned, learned_for
from vramline.fit.output import output_bytes
from vramline.fit.settings import (
    HOST,
    SERVERS,
    TORCH_RUNNERS,
    Backend,
    Effect,
    Runner,
    Settings,
    take_effect,
)
from vramline.units import MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Overhead:
    """What is taken whatever the model, with where that was reported."""

    mebibytes: int
    low_mebibytes: int
    high_mebibytes: int
    rule: str

    @property
    def amount(self) -> Amount:
        """The same in bytes."""
        return Amount(
            bytes=self.mebibytes * MIB,
            low_bytes=self.low_mebibytes * MIB,
            high_bytes=self.high_mebibytes * MIB,
        )


CUDA_CONTEXT = "https://github.com/ggml-org/llama.cpp/pull/23604"
"""107 MiB on an RTX 4060 Ti, 555 MiB on an RTX PRO 6000: it follows the number of processors.
120 to 550 MB in https://github.com/ggml-org/llama.cpp/pull/20595"""

TORCH_CONTEXT = "https://github.com/vllm-project/vllm/issues/10517"
"""0.35 GiB of an RTX 3090 are not PyTorch's own; about 300 MB in
https://github.com/pytorch/pytorch/issues/107667, over 1000 MB before CUDA 11.7."""

DEVICES: Mapping[Backend, Overhead] = MappingProxyType(
    {
        # Above the context: cuBLAS' workspace, and the pool that operations borrow from.
        Backend.CUDA: Overhead(
            mebibytes=330, low_mebibytes=100, high_mebibytes=1024, rule=CUDA_CONTEXT
        ),
        # No report gives these four: as wide as the CUDA range allows for.
        Backend.ROCM: Overhead(
            mebibytes=400, low_mebibytes=100, high_mebibytes=1200, rule=SOURCE + "ggml/src/ggml-hip"
        ),
        Backend.SYCL: Overhead(
            mebibytes=300,
            low_mebibytes=50,
            high_mebibytes=1000,
            rule=SOURCE + "ggml/src/ggml-sycl",
        ),
        Backend.VULKAN: Overhead(
            mebibytes=150,
            low_mebibytes=20,
            high_mebibytes=600,
            rule=SOURCE + "ggml/src/ggml-vulkan",
        ),
        Backend.METAL: Overhead(
            mebibytes=60, low_mebibytes=0, high_mebibytes=400, rule=SOURCE + "ggml/src/ggml-metal"
        ),
    }
)
"""On each device that a runner on llama.cpp sees, used or not."""

TORCH_DEVICE = Overhead(mebibytes=450, low_mebibytes=200, high_mebibytes=1300, rule=TORCH_CONTEXT)

_LIBRARY = Overhead(mebibytes=8, low_mebibytes=5, high_mebibytes=60, rule=SOURCE + "src")
_SERVER = Overhead(mebibytes=20, low_mebibytes=6, high_mebibytes=150, rule=SOURCE + "tools/server")

PROCESSES: Mapping[Runner, Overhead] = MappingProxyType(
    {
        Runner.LLAMA_LIBRARY: _LIBRARY,
        Runner.LLAMA_BENCH: _LIBRARY,
        Runner.LLAMA_SERVER: _SERVER,
        # One llama-server a model; the daemon beside it is there already.
        Runner.OLLAMA: _SERVER,
        # Python with numpy.
        Runner.LLAMA_CPP_PYTHON: Overhead(
            mebibytes=70,
            low_mebibytes=25,
            high_mebibytes=250,
            rule="https://github.com/abetlen/llama-cpp-python",
        ),
        # A process of its own runtime, Node.js, a model.
        Runner.LM_STUDIO: Overhead(
            mebibytes=150,
            low_mebibytes=20,
            high_mebibytes=600,
            rule="https://lmstudio.ai/docs/app/system-requirements",
        ),
        # PyTorch alone was seen at 1.8 GiB: https://github.com/pytorch/pytorch/issues/12873
        Runner.TRANSFORMERS: Overhead(
            mebibytes=1200,
            low_mebibytes=400,
            high_mebibytes=4096,
            rule="https://github.com/pytorch/pytorch/issues/12873",
        ),
        # An API server, an engine, and a worker a device, each with PyTorch.
        Runner.VLLM: Overhead(
            mebibytes=4096,
            low_mebibytes=1500,
            high_mebibytes=16384,
            rule="https://docs.vllm.ai/en/latest/design/arch_overview/",
        ),
    }
)
"""On the host, of the process alone: measured at 8 MiB for the library."""

DRIVER_ON_HOST = Overhead(mebibytes=150, low_mebibytes=0, high_mebibytes=600, rule=CUDA_CONTEXT)
"""The driver's own part in a process that uses a device of any kind."""

TOKEN_BYTES = 164
"""Of the tokeniser, a token: 5 MiB at 32,000 in a vocabulary without merges."""

MERGED_TOKEN_BYTES = 340
"""And with them: 44 to 49 MiB at 128,256 to 151,936 tokens."""

PROMPT_CACHE_BYTES = 8192 * MIB
"""``--cache-ram``, where nothing is said.
https://github.com/ggml-org/llama.cpp/pull/16391"""

CHECKPOINTS = 32
"""``--ctx-checkpoints``: states kept a sequence, to go back to.
https://github.com/ggml-org/llama.cpp/pull/15293"""


def runtime_items(
    layout: Layout, settings: Settings, learned: Iterable[Learned] = ()
) -> tuple[Item, ...]:
    """Return what the runner takes beside the model, in each place.

    What this machine was seen to take stands in for the range, where it is among *learned*.
    """
    merges = "tokenizer.ggml.merges" in layout.model.metadata
    each = MERGED_TOKEN_BYTES if merges else TOKEN_BYTES
    return overhead_items(settings, each * layout.shape.vocabulary, learned)


def overhead_items(
    settings: Settings, tokeniser_bytes: int, learned: Iterable[Learned] = ()
) -> tuple[Item, ...]:
    """Return the same for a runner of any kind, whose tokeniser takes about that much."""
    known = tuple(learned)
    items = [host_item(settings, tokeniser_bytes, known)]
    for device in settings.devices:
        overhead = TORCH_DEVICE if settings.runner in TORCH_RUNNERS else DEVICES[device.backend]
        lesson = learned_for(known, settings.runner, device.backend, device.uid)
        items.append(
            Item(
                part=Part.RUNTIME,
                place=device.uid,
                amount=lesson.amount if lesson else overhead.amount,
                rule=overhead.rule,
            )
        )
    return tuple(items)


def host_item(settings: Settings, tokeniser_bytes: int, learned: tuple[Learned, ...]) -> Item:
    """Return what the process itself takes."""
    process = PROCESSES[settings.runner]
    backend = settings.devices[0].backend if settings.devices else None
    lesson = learned_for(learned, settings.runner, backend, HOST)
    amount = process.amount
    if settings.devices:
        amount = sum_of(amount, DRIVER_ON_HOST.amount)
    tokeniser = Amount(
        bytes=tokeniser_bytes,
        low_bytes=tokeniser_bytes // 2,
        high_bytes=tokeniser_bytes * 2,
    )
    amount = lesson.amount if lesson else sum_of(amount, tokeniser)
    return Item(part=Part.RUNTIME, place=HOST, amount=amount, rule=process.rule)


def sum_of(one: Amount, other: Amount) -> Amount:
    """Return both together."""
    return Amount(
        bytes=one.bytes + other.bytes,
        low_bytes=one.low_bytes + other.low_bytes,
        high_bytes=one.high_bytes + other.high_bytes,
    )


def growth_items(layout: Layout, settings: Settings) -> tuple[Item, ...]:
    """Return what may come after the load, as the model is used."""
    if settings.runner in SERVERS:
        return prompt_items(layout, settings)
    return () if settings.embeddings else logits_items(layout, settings)


def logits_items(layout: Layout, settings: Settings) -> tuple[Item, ...]:
    """Return what the output buffer grows to where a program asks for every token's logits."""
    shape = layout.shape
    effect = take_effect(settings, trained_tokens=shape.context_length, causal=shape.causal)
    rows = min(effect.outputs, effect.batch_tokens) - effect.sequences
    if rows <= 0:
        return ()
    size = output_bytes(shape, settings, rows)
    amount = Amount(bytes=0, low_bytes=0, high_bytes=size)
    rule = SOURCE + "src/llama-context.cpp"
    return (Item(part=Part.OUTPUT, place=HOST, amount=amount, rule=rule),)


def prompt_items(layout: Layout, settings: Settings) -> tuple[Item, ...]:
    """Return what llama-server may come to take on the host.

    Prompts that it saw before, up to a limit, and states to go back to of models that cannot
    drop their last tokens: those with a sliding window or a recurrent state. Without a limit,
    which is ``--cache-ram -1``, the first is told as far as one context of every sequence goes.
    """
    shape = layout.shape
    effect = take_effect(settings, trained_tokens=shape.context_length, causal=shape.causal)
    limit = settings.prompt_cache_bytes
    if limit is None or limit < 0:
        limit = PROMPT_CACHE_BYTES
    sizes = (
        limit,
        CHECKPOINTS * effect.sequences * checkpoint_bytes(layout.cache, effect, settings),
    )
    rule = SOURCE + "tools/server/README.md"
    return tuple(
        Item(
            part=Part.PROMPT_CACHE,
            place=HOST,
            amount=Amount(bytes=0, low_bytes=0, high_bytes=size),
            rule=rule,
        )
        for size in sizes
        if size and layout.cache.groups
    )


def checkpoint_bytes(cache: Cache, effect: Effect, settings: Settings) -> int:
    """Return what one state to go back to takes: one sequence's, without its full layers.

    https://github.com/ggml-org/llama.cpp/blob/master/src/llama-kv-cache-iswa.cpp
    (``LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY``)
    """
    count = len(cache.recurring) - 1
    states = state_bytes(cache, effect, settings, range(count), HOST_BUFFER)
    size = about(states // max(effect.sequences, 1)).bytes
    if settings.full_window_cache:
        return size
    rows = min(effect.cells, cache.window_cells + effect.micro_batch_tokens)
    for group in cache.groups:
        if group.windowed:
            row = settings.cache_type_k.row_bytes(group.key_length)
            row += settings.cache_type_v.row_bytes(group.value_length)
            size += group.running[-1] * rows * row
    return size
