"""Settings that llama.cpp makes no context for, whatever memory there is.

https://github.com/ggml-org/llama.cpp/blob/master/src/llama-context.cpp
(``llama_init_from_model``)
"""

from vramline.fit.cache import Cache
from vramline.fit.settings import MOST_SEQUENCES, TORCH_RUNNERS, Effect, FlashAttention, Settings


def refusal_of(cache: Cache, settings: Settings, effect: Effect) -> str | None:
    """Return why not, and what would help; ``None`` if nothing is wrong."""
    if settings.runner in TORCH_RUNNERS:
        return f"{settings.runner} is not told from GGUF here: give it the model as safetensors"
    if not 0 < effect.sequences <= MOST_SEQUENCES:
        return f"{effect.sequences} sequences: llama.cpp takes 1 to {MOST_SEQUENCES}"
    if effect.cells <= 0 or effect.micro_batch_tokens <= 0:
        return "there is no room for a token: set the context's and the batch's size"
    if effect.outputs < effect.sequences:
        return (
            f"{effect.sequences} sequences ask for a token's logits each, and no more than"
            f" {effect.outputs} may: allow for more outputs, or fewer sequences"
        )
    return type_refusal(cache, settings)


def type_refusal(cache: Cache, settings: Settings) -> str | None:
    """Return what is wrong with the types of the cache, though the model may keep none."""
    keys, values = settings.cache_type_k, settings.cache_type_v
    if values.elements_per_block > 1 and settings.flash_attention is FlashAttention.OFF:
        return f"values in {values} need flash attention: turn it on, or keep values in F16"
    if cache.keys_only and keys is not values:
        return f"this model keeps one row for both: use {keys} for values too"
    for kind, lengths in ((keys, cache.head_dims_k), (values, cache.head_dims_v)):
        for length in lengths:
            if length % kind.elements_per_block:
                return (
                    f"{kind} has blocks of {kind.elements_per_block}, which do not divide a head"
                    f" of {length}: use F16 for the cache"
                )
    return None
