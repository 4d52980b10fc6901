"""What a safetensors model needs to be loaded by vLLM or transformers."""

from collections.abc import Iterable, Iterator, Mapping

from vramline.fit.amounts import Amount, Item, Part, add
from vramline.fit.learned import Learned
from vramline.fit.need import NOTHING_CLAIMED, MemoryNeed
from vramline.fit.runtime import TOKEN_BYTES, overhead_items
from vramline.fit.settings import HOST, TORCH_RUNNERS, Backend, Runner, Settings
from vramline.fit.torch import transformers, vllm
from vramline.fit.torch.layout import TorchLayout
from vramline.fit.torch.vllm import Capacity
from vramline.readings import FrozenDict
from vramline.units import format_bytes

VLLM = "https://github.com/vllm-project/vllm/blob/main/vllm/"
TRANSFORMERS = "https://github.com/huggingface/transformers/blob/main/src/transformers/"

VLLM_BACKENDS = frozenset((Backend.CUDA, Backend.ROCM, Backend.SYCL))
TORCH_BACKENDS = VLLM_BACKENDS | {Backend.METAL}

TOKENISER_SHARE = 3
"""A tokeniser of Hugging Face's takes about so many times what llama.cpp's does."""


def torch_need(
    layout: TorchLayout,
    settings: Settings,
    *,
    device_bytes: Mapping[str, int] = NOTHING_CLAIMED,
    learned: Iterable[Learned] = (),
) -> MemoryNeed:
    """Return what the model needs under *settings*.

    *device_bytes* is each device's whole memory, by uid: vLLM takes a share of it. What it
    then has for its cache, and so for how many tokens, is ``vllm_capacity``'s to tell.
    """
    serves = settings.runner is Runner.VLLM
    layout = vllm.as_served(layout) if serves else layout
    shape = layout.shape
    tokens = settings.context_tokens or shape.most_tokens
    parts = vllm_items if serves else transformers_items
    items = (
        *parts(layout, settings, tokens, device_bytes),
        *overhead_items(settings, TOKENISER_SHARE * TOKEN_BYTES * shape.vocabulary, learned),
    )
    claims = FrozenDict(
        {
            device.uid: vllm.claim_bytes(settings, device_bytes[device.uid])
            for device in settings.devices
            if serves and device_bytes.get(device.uid, 0) > 0
        }
    )
    return MemoryNeed(
        items=tuple(item for item in items if item.amount.high_bytes),
        refusal=refusal_of(layout, settings, tokens) or claim_refusal(items, claims),
        unsupported=unsupported(layout),
        claims=claims,
    )


def unsupported(layout: TorchLayout) -> str | None:
    """Return what of the model has no rules here."""
    if layout.shape.known:
        return None
    name = layout.shape.architecture or "without a name"
    return f"there are no rules here for the architecture {name}"


def vllm_items(
    layout: TorchLayout, settings: Settings, tokens: int, device_bytes: Mapping[str, int]
) -> Iterator[Item]:
    """Give what vLLM needs on each device: the cache as far as one sequence of full length."""
    shards = max(len(settings.devices), 1)
    for device in settings.devices:
        batch = vllm.batch_of(settings, device_bytes.get(device.uid, 0))
        cache = vllm.request_amount(layout, settings, tokens, batch, shards)
        computed = vllm.compute_amount(layout, batch, shards)
        yield from (
            Item(
                part=part,
                place=device.uid,
                amount=loosened(layout, part, amount),
                rule=VLLM + rule,
            )
            for part, amount, rule in (
                (Part.WEIGHTS, vllm.weight_amount(layout, shards), "model_executor/models"),
                (Part.KV_CACHE, cache, "v1/core/kv_cache_planning.py"),
                (Part.COMPUTE, computed, "v1/worker/gpu_worker.py"),
                (Part.COMPUTE, vllm.CUDA_GRAPHS, "v1/worker/gpu_worker.py"),
            )
        )


def vllm_capacity(
    layout: TorchLayout, settings: Settings, device_bytes: Mapping[str, int]
) -> Mapping[str, Capacity]:
    """Return what vLLM makes of each device whose memory is known: the least is what counts."""
    tokens = settings.context_tokens or layout.shape.most_tokens
    need = torch_need(layout, settings, device_bytes=device_bytes)
    found = {}
    for uid, claim in need.claims.items():
        there = [item for item in need.items if item.place == uid]
        found[uid] = vllm.capacity_of(
            claim=claim,
            taken=add(item.amount for item in there if item.part is not Part.KV_CACHE),
            least=add(item.amount for item in there if item.part is Part.KV_CACHE),
            tokens=tokens,
        )
    return FrozenDict(found)


def transformers_items(
    layout: TorchLayout, settings: Settings, tokens: int, _device_bytes: Mapping[str, int]
) -> Iterator[Item]:
    """Give what ``generate`` needs; over several devices as their shares are."""
    sequences = settings.sequences or 1
    shares = {device.uid: max(device.share, 0.0) for device in settings.devices} or {HOST: 1.0}
    total = sum(shares.values()) or 1.0
    kind = vllm.cache_type(layout, settings)
    weights = Amount(
        bytes=layout.weight_bytes,
        low_bytes=layout.weight_bytes,
        high_bytes=max(layout.kept_bytes, layout.segment_bytes),
    )
    cache = transformers.cache_amount(layout, kind, tokens, sequences)
    computed = transformers.compute_amount(layout, tokens, sequences)
    for place, share in shares.items():
        part_of = share / total
        for part, amount, rule in (
            (Part.WEIGHTS, shared(weights, part_of, layout), "modeling_utils.py"),
            (Part.KV_CACHE, shared(cache, part_of, layout), "cache_utils.py"),
            (Part.COMPUTE, computed, "generation/utils.py"),
        ):
            yield Item(
                part=part,
                place=place,
                amount=loosened(layout, part, amount),
                rule=TRANSFORMERS + rule,
            )


def shared(amount: Amount, part_of: float, layout: TorchLayout) -> Amount:
    """Return one device's part, give or take two layers and an embedding."""
    if part_of == 1.0:
        return amount
    spare = 3 * amount.high_bytes // len(layout.shape.layers)
    return Amount(
        bytes=int(amount.bytes * part_of),
        low_bytes=max(int(amount.low_bytes * part_of) - spare, 0),
        high_bytes=int(amount.high_bytes * part_of) + spare,
    )


def loosened(layout: TorchLayout, part: Part, amount: Amount) -> Amount:
    """Return *amount*, wider where the architecture's rules are not known.

    Its layers may keep next to nothing of a long context.
    """
    if layout.shape.known:
        return amount
    return Amount(
        bytes=amount.bytes,
        low_bytes=0 if part is Part.KV_CACHE else amount.low_bytes // 4,
        high_bytes=2 * amount.high_bytes,
    )


def refusal_of(layout: TorchLayout, settings: Settings, tokens: int) -> str | None:
    """Return why the runner would not load it so; ``None`` if nothing is wrong."""
    backends = {device.backend for device in settings.devices}
    runner = settings.runner
    if runner not in TORCH_RUNNERS:
        return f"{runner} loads GGUF files, and this is a safetensors model: convert it"
    if tokens <= 0:
        return "there is no room for a token: say how long the context is to be"
    if unusable := backends - (VLLM_BACKENDS if runner is Runner.VLLM else TORCH_BACKENDS):
        return f"{runner} does not run on {min(unusable)}"
    return vllm_refusal(layout, settings, tokens) if runner is Runner.VLLM else None


def vllm_refusal(layout: TorchLayout, settings: Settings, tokens: int) -> str | None:
    """Return why vLLM would not, whatever memory there is."""
    shape, count = layout.shape, len(settings.devices)
    if not count:
        return "vLLM is told here for GPUs alone: name one"
    if not 0 < settings.memory_share <= 1:
        return f"a share of {settings.memory_share} of the memory: above 0, and at most 1"
    if shape.heads % count:
        return f"{shape.heads} heads of attention cannot be spread on {count} GPUs"
    if shape.most_tokens and tokens > shape.most_tokens:
        return f"a context of {tokens:,} tokens, where the model takes {shape.most_tokens:,}"
    return None


def claim_refusal(items: tuple[Item, ...], claims: Mapping[str, int]) -> str | None:
    """Return why what vLLM takes is too little for what it needs at least."""
    for uid, claim in claims.items():
        least = add(item.amount for item in items if item.place == uid).low_bytes
        if least > claim:
            return (
                f"the model takes at least {format_bytes(least)} of {uid}, and vLLM may take"
                f" {format_bytes(claim)}: raise --gpu-memory-utilization, or lower --max-model-len"
            )
    return None
