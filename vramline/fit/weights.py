"""What a model's weights take, by place: exact.

Which place a tensor goes to is told by its name: input tensors stay on the host, those of the
output go where the output layer goes, those of a block where the block goes, and a few without
a block go with the first one or, copied, with every one that uses them.
https://github.com/ggml-org/llama.cpp/blob/master/src/llama-arch.cpp (``LLM_TENSOR_INFOS``),
https://github.com/ggml-org/llama.cpp/blob/master/src/llama-model-loader.cpp
(``create_tensor``), and src/models/ (``load_arch_tensors``) for each architecture.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from itertools import accumulate
from types import MappingProxyType

from vramline.fit.buffers import HOST_BUFFER, Buffer
from vramline.fit.model import Model, Tensor
from vramline.fit.settings import Processor
from vramline.fit.shape import Shape
from vramline.fit.tensor_types import TensorType


class Slot(Enum):
    """What decides on a tensor's place."""

    INPUT = auto()
    """Rows are fetched from it, which is done on the host."""
    BLOCK = auto()
    EXPERTS = auto()
    """Of a block, if they are not kept on the host."""
    FIRST = auto()
    """It goes with the first block, though it has none in its name."""
    HEAD = auto()
    """Of the output layer."""
    TIED = auto()
    """The output layer's copy of the token embedding."""
    SHARED = auto()
    """Every place with a block that uses it has a copy."""


SLOTS: Mapping[str, Slot] = MappingProxyType(
    {
        "token_embd": Slot.INPUT,
        "position_embd": Slot.INPUT,
        "token_types": Slot.INPUT,
        "per_layer_token_embd": Slot.INPUT,
        "token_embd_norm": Slot.FIRST,
        "per_layer_model_proj": Slot.FIRST,
        "per_layer_proj_norm": Slot.FIRST,
        "rope_freqs": Slot.SHARED,
        "rope_factors_long": Slot.SHARED,
        "rope_factors_short": Slot.SHARED,
    }
)
"""By name, up to the first dot. Whatever else has no block is of the output layer."""

NORM_IS_OUTPUT = frozenset(("lfm2", "lfm2moe"))
"""Their output's norm is called ``token_embd_norm``."""

NO_HEAD = frozenset(
    (
        "bert",
        "eurobert",
        "jina-bert-v2",
        "jina-bert-v3",
        "modern-bert",
        "neo-bert",
        "nomic-bert",
        "nomic-bert-moe",
        "wavtokenizer-dec",
    )
)
"""They give embeddings: they have no output layer that the token embedding could stand for."""

EXPERTS = re.compile(r"\.ffn_(?:up|down|gate|gate_up)_(?:ch)?exps")
"""What ``--cpu-moe`` keeps on the host, biases included.
https://github.com/ggml-org/llama.cpp/blob/master/common/common.h (``LLM_FFN_EXPS_REGEX``)"""

BLOCK = re.compile(r"blk\.([0-9]{1,9})\.")

_X86 = {TensorType.Q4_0: 8, TensorType.Q4_K: 8, TensorType.IQ4_NL: 8, TensorType.MXFP4: 8}
_ARM = {
    TensorType.Q1_0: 4,
    TensorType.Q4_0: 4,
    TensorType.Q4_K: 8,
    TensorType.Q5_K: 8,
    TensorType.Q6_K: 8,
    TensorType.Q8_0: 4,
    TensorType.IQ4_NL: 4,
    TensorType.MXFP4: 4,
}

REPACKED: Mapping[Processor, Mapping[TensorType, int]] = MappingProxyType(
    {
        Processor.X86: _X86,
        Processor.X86_AVX512: {**_X86, TensorType.Q2_K: 8},
        Processor.ARM: _ARM,
        Processor.PLAIN: {},
    }
)
"""The types that each processor wants rearranged, if there is a multiple of so many rows.
https://github.com/ggml-org/llama.cpp/blob/master/ggml/src/ggml-cpu/repack.cpp
(``ggml_repack_get_optimal_repack_type``). Builds for Intel's AMX and Arm's KleidiAI rearrange
others, which are not known here."""


@dataclass(frozen=True, slots=True)
class Weight:
    """One tensor that is loaded, with what decides on its place.

    Attributes:
        block: 0 for what has none.
        row: The elements of a row, of which there are *rows*.
        rows_a_matrix: Of one matrix: a tensor may be a stack of them.
    """

    slot: Slot
    block: int
    type: TensorType
    row: int
    rows: int
    rows_a_matrix: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """The weights as they would lie in one kind of buffer, each number in bytes.

    Attributes:
        blocks: At *n*: what goes with the first *n* blocks, without their experts.
        experts: Likewise, their experts alone.
    """

    blocks: tuple[int, ...]
    experts: tuple[int, ...]
    inputs: int
    first: int
    head: int
    tied: int
    shared: int


class Weights:
    """One model's weights in every kind of buffer, each added up when it is first asked for.

    Attributes:
        block_count: What layers are counted by: those that are not loaded too.
        shared_users: At *n*: how many of the first *n* blocks use what is shared.
    """

    def __init__(self, model: Model, shape: Shape) -> None:
        self.block_count = len(shape.layers) + len(shape.nextn_layers)
        self.shared_users = tuple(accumulate(shared_users(shape), initial=0))
        self._weights = tuple(sort_weights(model, shape))
        self._stacks: dict[Buffer, Stack] = {}
        self._repacked: dict[Processor, Stack] = {}

    def stack(self, buffer: Buffer) -> Stack:
        """Return all weights, as they would lie in *buffer*."""
        found = self._stacks.get(buffer)
        if found is None:
            found = self._stacks[buffer] = pile(self._weights, self.block_count, buffer)
        return found

    def repacked(self, processor: Processor) -> Stack:
        """Return those weights alone that *processor* wants rearranged."""
        found = self._repacked.get(processor)
        if found is None:
            types = REPACKED[processor]
            chosen = [weight for weight in self._weights if is_repacked(weight, types)]
            found = self._repacked[processor] = pile(chosen, self.block_count, HOST_BUFFER)
        return found


def sort_weights(model: Model, shape: Shape) -> Iterator[Weight]:
    """Give every tensor of *model* that is loaded, and a tied embedding's copy."""
    loaded = len(shape.layers)
    tied = shape.tied and shape.architecture not in NO_HEAD
    for tensor in model.tensors:
        found = BLOCK.match(tensor.name)
        if found is None:
            stem = tensor.name.partition(".")[0]
            slot = SLOTS.get(stem, Slot.HEAD)
            if stem == "token_embd_norm" and shape.architecture in NORM_IS_OUTPUT:
                slot = Slot.HEAD
            yield weight_of(tensor, slot, 0)
            if tied and tensor.name == "token_embd.weight":
                yield weight_of(tensor, Slot.TIED, 0)
        elif int(found[1]) < loaded:
            experts = EXPERTS.search(tensor.name) is not None
            yield weight_of(tensor, Slot.EXPERTS if experts else Slot.BLOCK, int(found[1]))


def weight_of(tensor: Tensor, slot: Slot, block: int) -> Weight:
    """Return *tensor* as rows."""
    row, rest = (tensor.shape[0], tensor.shape[1:]) if tensor.shape else (1, ())
    return Weight(slot, block, tensor.type, row, math.prod(rest), rest[0] if rest else 1)


def shared_users(shape: Shape) -> Iterator[bool]:
    """Tell of each block whether it uses what is shared: of gemma4's, those without a window."""
    for layer in shape.layers:
        yield not (shape.architecture == "gemma4" and layer.windowed)
    for _ in shape.nextn_layers:
        yield False


def is_repacked(weight: Weight, types: Mapping[TensorType, int]) -> bool:
    """Whether *weight* is a matrix, or the experts' stack of them, that is rearranged."""
    multiple = types.get(weight.type)
    if multiple is None or weight.slot in (Slot.INPUT, Slot.SHARED):
        return False
    stacked = weight.rows > weight.rows_a_matrix
    return (
        weight.rows > 1
        and weight.rows_a_matrix % multiple == 0
        and (stacked == (weight.slot is Slot.EXPERTS))
    )


def pile(weights: Iterable[Weight], block_count: int, buffer: Buffer) -> Stack:
    """Add up *weights* as they would lie in *buffer*."""
    blocks, experts = [0] * (block_count + 1), [0] * (block_count + 1)
    others = dict.fromkeys(Slot, 0)
    for weight in weights:
        size = buffer.tensor_bytes(weight.type, weight.row, weight.rows)
        if weight.slot is Slot.BLOCK:
            blocks[weight.block + 1] += size
        elif weight.slot is Slot.EXPERTS:
            experts[weight.block + 1] += size
        else:
            others[weight.slot] += size
    return Stack(
        blocks=tuple(accumulate(blocks)),
        experts=tuple(accumulate(experts)),
        inputs=others[Slot.INPUT],
        first=others[Slot.FIRST],
        head=others[Slot.HEAD],
        tied=others[Slot.TIED],
        shared=others[Slot.SHARED],
    )
