"""One tensor of a compute graph, as its allocator sees it."""

from typing import NamedTuple

UNARY = frozenset(("EXP", "GELU", "NEG", "RELU", "SIGMOID", "SILU", "SOFTPLUS", "TANH"))

IN_PLACE = UNARY | {
    "ADD", "ADD1", "ADD_ID", "CLAMP", "DIV", "FILL", "LOG", "MUL", "RMS_NORM", "ROPE", "SCALE",
    "SOFT_MAX", "SQR", "SQRT", "SUB",
}  # fmt: skip
"""May write their result over a source (``ggml_op_can_inplace``); those of training are left out.
https://github.com/ggml-org/ggml/blob/master/src/ggml-alloc.c"""


class Operation(NamedTuple):
    """One tensor and the operation that makes it. A replay takes thousands: tuples are quicker.

    Attributes:
        size: What its buffer gives it: its bytes, padded to the buffer's alignment.
        layout: Type, lengths and strides. Only a source of the same may be written over.
        sources: Indices of the tensors that it reads.
        view: Index of the tensor whose bytes it shows, at the root; -1 for one of its own.
        leaf: Nothing computes it: a weight, a cache, or an input.
        external: It lies in another buffer already: a weight or a cache.
        input: It is written before the graph runs.
        output: It is read after the graph ran, so never freed.
        buffer: Which of the graph's buffers it is placed in.
    """

    op: str
    size: int
    layout: object
    sources: tuple[int, ...] = ()
    view: int = -1
    leaf: bool = False
    external: bool = False
    input: bool = False
    output: bool = False
    buffer: int = 0
