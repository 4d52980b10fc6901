"""Whether flash attention is used where that is left to llama.cpp.

It asks the scheduler where a batch of one token a sequence would run: unless that is where the
layer lies, in every layer, flash attention is off for all. The cache keeps values by token all
the same, as it was made before.
https://github.com/ggml-org/llama.cpp/blob/master/src/llama-context.cpp (``resolve_fused_ops``)
"""

from vramline.fit.compute.batches import single_batch
from vramline.fit.compute.build import Batch
from vramline.fit.compute.graphs import graph_of
from vramline.fit.compute.placement import Placement
from vramline.fit.compute.schedule import Schedule
from vramline.fit.compute.supported import attends_everywhere
from vramline.fit.items import Layout
from vramline.fit.settings import FlashAttention, Settings


def uses_flash(layout: Layout, settings: Settings, placement: Placement, prompt: Batch) -> bool:
    """Return whether attention is one operation. *prompt* is a batch for which it is."""
    if settings.flash_attention is not FlashAttention.AUTO:
        return settings.flash_attention is FlashAttention.ON
    # A quantised cache of values needs it, and then nobody asks where it runs.
    if not settings.devices or settings.cache_type_v.elements_per_block > 1:
        return True
    layers = layout.shape.layers
    if placement.whole and placement.caches_on_devices:
        return attends_everywhere(layout.shape, settings)
    probe = single_batch(prompt)
    graph = graph_of(layout.model, layout.shape, probe)
    where = Schedule(graph, placement, tokens=probe.tokens, asked=True).where
    at_once = [where[node.at] for node in graph.nodes if node.op == "FLASH_ATTN_EXT"]
    attending = [at for at, layer in enumerate(layers) if layer.attends]
    return all(place == placement.blocks[at] for place, at in zip(at_once, attending, strict=False))
