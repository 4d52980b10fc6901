"""Which architectures have a graph here, and what it takes."""

from collections.abc import Callable, Mapping

from vramline.fit.buffers import HOST_BUFFER
from vramline.fit.compute import delta, gemma, gemma_per_layer, hybrid, latent, others, plain, rwkv
from vramline.fit.compute.build import Batch, Build
from vramline.fit.compute.graph import Graph
from vramline.fit.compute.operation import Operation
from vramline.fit.compute.pooling import pool
from vramline.fit.model import Model
from vramline.fit.settings import padded
from vramline.fit.shape import Shape

BUILDERS: Mapping[str, Callable[[Build], None]] = {
    **dict.fromkeys(plain.RECIPES, plain.plain),
    "bert": others.bert,
    "cohere2": others.command_r,
    "command-r": others.command_r,
    "deepseek2": latent.deepseek2,
    "falcon-h1": hybrid.falcon_h1,
    "gemma2": gemma.gemma,
    "gemma3": gemma.gemma,
    "gemma3n": gemma_per_layer.gemma3n,
    "gemma4": gemma_per_layer.gemma4,
    "granitehybrid": hybrid.granite_hybrid,
    "jamba": hybrid.jamba,
    "lfm2": others.lfm2,
    "lfm2moe": others.lfm2,
    "mamba": hybrid.recurrent,
    "mamba2": hybrid.recurrent,
    "nemotron_h": hybrid.nemotron_h,
    "nemotron_h_moe": hybrid.nemotron_h,
    "qwen35": delta.delta,
    "qwen35moe": delta.delta,
    "qwen3next": delta.delta,
    "rwkv7": rwkv.rwkv7,
}


def graph_of(model: Model, shape: Shape, batch: Batch) -> Graph:
    """Build the graph of one batch. ``KeyError``: the architecture has none here."""
    build = Build(model, shape, batch)
    BUILDERS[shape.architecture](build)
    if batch.pooling is not None and build.embedded is not None:
        pool(build, build.embedded)
    return build.graph


def operations(graph: Graph) -> list[Operation]:
    """Return the graph as the allocator sees it, all in one buffer of the host's."""
    every, alignment = [*graph.leaves, *graph.nodes], HOST_BUFFER.alignment_bytes
    for at, node in enumerate(every):
        node.at = at
    return [
        Operation(
            op=node.op,
            size=padded(node.kind.row_bytes(node.count), alignment),
            layout=(node.kind, node.lengths, node.strides),
            sources=tuple([source.at for source in node.sources]),
            view=node.root.at if node.root is not node else -1,
            leaf=node.op == "NONE",
            external=node.external,
            input=node.input,
            output=node.output,
        )
        for node in every
    ]
