"""What becomes of embeddings, where they are asked for.

https://github.com/ggml-org/llama.cpp/blob/master/src/llama-graph.cpp (``build_pooling``)
"""

from vramline.fit.compute import graph as ops
from vramline.fit.compute.build import Build
from vramline.fit.compute.graph import F32, I32, Node

MEAN, FIRST, LAST, RANK = 1, 2, 3, 4
"""``llama_pooling_type``"""


def pool(build: Build, value: Node) -> None:
    """Add one vector a sequence, of all tokens or of one."""
    batch = build.batch
    if batch.pooling == MEAN:
        shares = build.input("mean", F32, batch.tokens, batch.sequences)
        value = ops.matmul(ops.cont(ops.transpose(value)), shares)
    elif batch.pooling in {FIRST, LAST, RANK}:
        value = ops.rows(value, build.input("cls", I32, batch.sequences))
    if batch.pooling == RANK:
        value = ranked(build, value)
    value.output = True
    build.expand(value)


def ranked(build: Build, value: Node) -> Node:
    """Return a score."""
    if build.weight("cls.weight") is not None:
        value = ops.matmul(build.need("cls.weight"), value)
        value = ops.alike("TANH", build.biased("cls", value))
    if build.weight("cls.output.weight") is not None:
        value = ops.matmul(build.need("cls.output.weight"), value)
        value = build.biased("cls.output", value)
    if build.shape.architecture == "qwen3":
        value = ops.alike("SOFT_MAX", value)
    return value
