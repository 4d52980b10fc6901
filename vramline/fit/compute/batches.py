"""The batches that llama.cpp reserves its compute buffers for.

https://github.com/ggml-org/llama.cpp/blob/master/src/llama-context.cpp (``sched_reserve``)
"""

from dataclasses import replace

from vramline.fit.cache import ROLLED_BACK, Cache, window_cells
from vramline.fit.compute.build import Batch
from vramline.fit.keys import Keys
from vramline.fit.model import Model
from vramline.fit.settings import Effect, FlashAttention, Settings, padded
from vramline.fit.shape import Shape


def prompt_batch(
    model: Model, shape: Shape, cache: Cache, settings: Settings, effect: Effect
) -> Batch:
    """Return the largest batch of a prompt, with flash attention unless it is turned off."""
    by_token = settings.flash_attention is not FlashAttention.OFF
    tokens = min(effect.context_tokens, effect.micro_batch_tokens)
    pooling = None
    if settings.embeddings:
        pooling = Keys(model).number("pooling_type", 0)
    snapshots = settings.state_snapshots if shape.architecture in ROLLED_BACK else 0
    return Batch(
        tokens=padded(tokens, effect.sequences),
        sequences=effect.sequences,
        outputs=min(tokens, effect.outputs),
        cells=effect.cells,
        window_cells=window_cells(cache, effect, settings),
        streams=effect.streams,
        flash=by_token,
        by_token=by_token,
        cache_type_k=settings.cache_type_k,
        cache_type_v=settings.cache_type_v,
        pooling=pooling,
        state_snapshots=snapshots,
        all_sequences=effect.sequences,
    )


def single_batch(prompt: Batch) -> Batch:
    """Return the batch of one new token a sequence."""
    return replace(prompt, tokens=prompt.sequences, outputs=prompt.sequences)
