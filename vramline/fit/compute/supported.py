"""What ggml-cuda computes, and what it wants to compute though the weights are on the host.

https://github.com/ggml-org/llama.cpp/blob/master/ggml/src/ggml-cuda/ggml-cuda.cu
(``ggml_backend_cuda_device_supports_op``, ``ggml_backend_cuda_device_offload_op``) and
https://github.com/ggml-org/llama.cpp/blob/master/ggml/src/ggml-cuda/fattn.cu
(``ggml_cuda_get_best_fattn_kernel``)
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from vramline.fit.compute.graph import Node
from vramline.fit.compute.operation import UNARY
from vramline.fit.tensor_types import TensorType

OFFLOADED_BATCH = 32
"""From so many rows on a device takes an operation whose weight is on the host."""

FLOATS = frozenset((TensorType.F32, TensorType.F16, TensorType.BF16))

PLAIN_FLOATS = frozenset((TensorType.F32, TensorType.F16))

FACTORS = frozenset(TensorType) - {
    TensorType.F64, TensorType.I64, TensorType.I32, TensorType.I16, TensorType.I8,
    TensorType.Q8_1, TensorType.TQ1_0, TensorType.TQ2_0,
}  # fmt: skip
"""Of a product's matrix."""

TABLES = FACTORS - {TensorType.Q8_K, TensorType.NVFP4} | {TensorType.I32}
"""That rows are fetched from."""

SHORT_BLOCKS = frozenset((TensorType.IQ4_NL, TensorType.MXFP4))
"""Rows of these are fetched by 256 elements."""

CACHES = frozenset(
    (
        TensorType.F32,
        TensorType.F16,
        TensorType.BF16,
        TensorType.Q4_0,
        TensorType.Q4_1,
        TensorType.Q5_0,
        TensorType.Q5_1,
        TensorType.Q8_0,
    )
)
"""That flash attention reads."""

SCANNED_STATES = frozenset((96, 128, 256))
"""How long the states of Mamba 2 may be."""

SAME_HEADS = frozenset((40, 64, 72, 80, 96, 112, 128, 256))
"""How long heads may be whose keys are as long as their values."""

SHARED_HEADS: Mapping[int, tuple[int, int]] = MappingProxyType(
    {192: (128, 8), 320: (256, 32), 512: (512, 1), 576: (512, 1)}
)
"""By the length of a head's keys: that of its values, and how many heads share keys at least."""


def contiguous_above(node: Node, free: int) -> bool:
    """Whether *node* lies without gaps, but for those before its axis *free* and the next."""
    step = node.kind.bytes_per_block
    lengths, strides = node.lengths, node.strides
    if lengths[0] != node.kind.elements_per_block and strides[0] != step:
        return False
    step = node.kind.row_bytes(lengths[0])
    for at in range(1, 4):
        if at > free:
            if lengths[at] != 1 and strides[at] != step:
                return False
            step *= lengths[at]
        else:
            step = lengths[at] * strides[at]
    return True


def whole_rows(node: Node) -> bool:
    """Whether each row lies without gaps."""
    return (
        node.lengths[0] == node.kind.elements_per_block
        or node.strides[0] == node.kind.bytes_per_block
    )


def activates(node: Node) -> bool:
    """Whether a function of single elements runs there."""
    return node.sources[0].contiguous


def gates(node: Node) -> bool:
    """Whether a gated activation does."""
    return contiguous_above(node.sources[0], 1)


def multiplies(node: Node) -> bool:
    """Whether a product of matrices does."""
    weight, value = node.sources[:2]
    if weight.strides[0] != weight.kind.bytes_per_block:
        return False
    if value.strides[0] != value.kind.bytes_per_block:
        return False
    if value.kind is TensorType.F16 and weight.kind is not TensorType.F16:
        return False
    return weight.kind in FACTORS


def fetches(node: Node) -> bool:
    """Whether rows are fetched there."""
    table = node.sources[0]
    if table.kind in SHORT_BLOCKS:
        return table.lengths[0] % 256 == 0
    return table.kind in TABLES


def stores(node: Node) -> bool:
    """Whether rows are written there."""
    value = node.sources[0]
    if value.kind is TensorType.F32:
        return node.kind in CACHES or node.kind is TensorType.IQ4_NL
    return value.kind is TensorType.F16 and node.kind is TensorType.F16


def copies(node: Node) -> bool:
    """Whether one type becomes another."""
    source, target = node.sources[0], node
    if source.kind in FLOATS and target.kind in FLOATS:
        return True
    if TensorType.F32 in (source.kind, target.kind):
        return True
    return source.kind is target.kind and source.contiguous and target.contiguous


def repeats(node: Node) -> bool:
    """Whether repeating does."""
    return node.sources[0].kind in PLAIN_FLOATS


def norms(node: Node) -> bool:
    """Whether a norm or a sum of rows does."""
    return whole_rows(node.sources[0])


def scales(node: Node) -> bool:
    """Whether multiplying by a number does."""
    return node.kind in {TensorType.F32, TensorType.BF16}


def combines(node: Node) -> bool:
    """Whether a sum, product or such does."""
    first, second = node.sources[:2]
    if TensorType.BF16 in (first.kind, second.kind, node.kind):
        return first.kind is node.kind is TensorType.BF16 and second.kind in {
            TensorType.BF16,
            TensorType.F32,
        }
    return {first.kind, second.kind, node.kind} <= PLAIN_FLOATS


def scans(node: Node) -> bool:
    """Whether Mamba's scan does."""
    states, decay = node.sources[0], node.sources[3]
    if decay.lengths[0] == 1:
        return states.lengths[0] in SCANNED_STATES and states.lengths[1] % 16 == 0
    mix = node.sources[4]
    return (
        states.lengths[0] == 16
        and states.lengths[1] == 1
        and states.lengths[2] % 128 == 0
        and mix.lengths[1] == 1
    )


def convolves(node: Node) -> bool:
    """Whether Mamba's convolution does."""
    return node.sources[0].lengths[1] % 128 == 0


def turns(node: Node) -> bool:
    """Whether a rotation by position does."""
    value = node.sources[0]
    return value.strides[0] == value.kind.bytes_per_block and contiguous_above(value, 2)


def attends(node: Node) -> bool:
    """Whether flash attention does."""
    query, key, value = node.sources[:3]
    shared = query.lengths[2] // max(key.lengths[2], 1)
    lengths = (key.lengths[0], value.lengths[0])
    return attends_with(lengths, shared, (key.kind, value.kind), aligned=grouped(node))


def attends_with(
    lengths: tuple[int, int],
    shared: int,
    kinds: tuple[TensorType, TensorType],
    *,
    aligned: bool = True,
) -> bool:
    """Whether flash attention does, by the lengths of a head's keys and values.

    *shared* is how many heads share one of keys; *aligned*, whether kernels that make use of
    that can read all of it.
    """
    key, value = lengths
    if not CACHES.issuperset(kinds):
        return False
    if key in SAME_HEADS:
        return value == key
    rule = SHARED_HEADS.get(key)
    if rule is None or not aligned or shared < 2:
        return False
    return value == rule[0] and shared % rule[1] == 0


def grouped(node: Node) -> bool:
    """Whether the kernels for heads that share keys can read what *node* does."""
    if len(node.sources) < 4 or node.sources[1].lengths[1] % 256:
        return False
    return all(
        stride % 16 == 0
        for source in node.sources[:4]
        if source.kind.elements_per_block == 1
        for stride in source.strides[1:]
    )


CHECKED: Mapping[str, Callable[[Node], bool]] = MappingProxyType(
    {
        **dict.fromkeys(UNARY, activates),
        **dict.fromkeys(("GEGLU", "REGLU", "SWIGLU", "SWIGLU_OAI"), gates),
        **dict.fromkeys(("MUL_MAT", "MUL_MAT_ID"), multiplies),
        **dict.fromkeys(("ADD", "SUB", "MUL", "DIV"), combines),
        **dict.fromkeys(("NORM", "RMS_NORM", "L2_NORM", "SUM_ROWS", "MEAN"), norms),
        "CPY": copies,
        "FLASH_ATTN_EXT": attends,
        "GET_ROWS": fetches,
        "REPEAT": repeats,
        "ROPE": turns,
        "SCALE": scales,
        "SET_ROWS": stores,
        "SSM_CONV": convolves,
        "SSM_SCAN": scans,
    }
)
"""By operation. Whatever else the graphs have always runs on CUDA."""


def runs_on_cuda(node: Node) -> bool:
    """Whether a CUDA device computes *node*, if what it reads is there."""
    check = CHECKED.get(node.op)
    return check is None or check(node)


def wanted_by_cuda(node: Node) -> bool:
    """Whether a CUDA device takes *node* though its weight lies on the host."""
    lengths = node.lengths
    match node.op:
        case "GET_ROWS":
            return False
        case "MUL_MAT":
            return lengths[1] >= OFFLOADED_BATCH
        case "MUL_MAT_ID" | "ROPE":
            return lengths[2] >= OFFLOADED_BATCH
    return lengths[1] * lengths[2] * lengths[3] >= OFFLOADED_BATCH
