"""A ``Layout`` straight from a packed header, without making its tensors.

The weights of one kind, the same in every layer, are added up at once. What comes out is what
``lay_out`` gives.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING

from vramline.fit.buffers import HOST_BUFFER, Buffer
from vramline.fit.cache import lay_out_cache
from vramline.fit.items import Layout
from vramline.fit.library.found import FileFormat, FoundModel
from vramline.fit.library.headers import header_of
from vramline.fit.library.packed import PackedTensors, TensorKind, unpack_lazily
from vramline.fit.model import Model, Tensor
from vramline.fit.settings import Processor
from vramline.fit.shape import Shape, shape_of
from vramline.fit.weights import (
    REPACKED,
    Slot,
    Stack,
    Weight,
    Weights,
    is_repacked,
    sort_weights,
)

if TYPE_CHECKING:
    from vramline.fit.torch import TorchLayout

IN_BLOCKS = "blk."
"""With a number and a dot behind it, a tensor is a layer's."""


def layout_of(found: FoundModel) -> "Layout | TorchLayout":
    """Return the model's layout, without opening a file where its header is kept.

    Raises ``ModelFormatError``.
    """
    if found.packed and found.format is FileFormat.GGUF:
        try:
            return lay_out_packed(*unpack_lazily(found.packed))
        except ValueError:
            pass  # it is not as it was kept: the file has it
    from vramline.fit.estimate import lay_out_any  # the programs that read headers need none

    return lay_out_any(header_of(found))


def lay_out_packed(bare: Model, tensors: PackedTensors) -> Layout:
    """Return the layout of a model with those tensors.

    Raises ``ModelFormatError`` as ``lay_out`` does, and ``ValueError`` where the tensors are
    none.
    """
    rest = [kind for kind in tensors.kinds if not is_in_blocks(kind)]
    outside = replace(bare, tensors=tuple(each for kind in rest for each in kind.tensors()))
    shape = shape_of(outside)  # which asks for those by name that are in no block
    kinds = [kind for kind in tensors.kinds if is_in_blocks(kind)]
    return Layout(
        model=replace(bare, tensors=tensors),
        shape=shape,
        weights=PackedWeights(outside, shape, kinds),
        cache=lay_out_cache(shape),
    )


def is_in_blocks(kind: TensorKind) -> bool:
    """Tell whether these tensors are the layers'."""
    pieces = kind.pieces
    return len(pieces) > 1 and pieces[0] == IN_BLOCKS and pieces[1].startswith(".")


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeated:
    """One weight that is in several blocks, or several times in one."""

    weight: Weight
    blocks: tuple[int, ...]


class PackedWeights(Weights):
    """``Weights``, of which those in blocks are added up by their kinds."""

    def __init__(self, outside: Model, shape: Shape, kinds: Sequence[TensorKind]) -> None:
        super().__init__(outside, shape)
        self._kinds = tuple(repeated(outside, shape, kinds))
        self._stacks_whole: dict[Buffer, Stack] = {}
        self._repacked_whole: dict[Processor, Stack] = {}

    def stack(self, buffer: Buffer) -> Stack:
        found = self._stacks_whole.get(buffer)
        if found is None:
            found = self._stacks_whole[buffer] = with_blocks(
                super().stack(buffer), self._kinds, buffer
            )
        return found

    def repacked(self, processor: Processor) -> Stack:
        found = self._repacked_whole.get(processor)
        if found is None:
            types = REPACKED[processor]
            chosen = [kind for kind in self._kinds if is_repacked(kind.weight, types)]
            found = self._repacked_whole[processor] = with_blocks(
                super().repacked(processor), chosen, HOST_BUFFER
            )
        return found


def repeated(outside: Model, shape: Shape, kinds: Sequence[TensorKind]) -> Iterator[Repeated]:
    """Give what of the kinds is loaded."""
    loaded = len(shape.layers)
    if not loaded:
        return
    firsts = [
        Tensor(name=IN_BLOCKS + "0".join(("", *kind.pieces[1:])), type=kind.type, shape=kind.shape)
        for kind in kinds
    ]
    weights = sort_weights(replace(outside, tensors=tuple(firsts)), shape)
    for kind, weight in zip(kinds, weights, strict=True):
        blocks = kind.numbers[:: len(kind.pieces) - 1]
        if max(blocks, default=0) >= loaded:
            blocks = tuple(block for block in blocks if block < loaded)
        yield Repeated(weight=weight, blocks=blocks)


def with_blocks(base: Stack, kinds: Sequence[Repeated], buffer: Buffer) -> Stack:
    """Return *base* with the blocks' weights on top."""
    blocks, experts = [0] * len(base.blocks), [0] * len(base.experts)
    for kind in kinds:
        weight = kind.weight
        size = buffer.tensor_bytes(weight.type, weight.row, weight.rows)
        sizes = experts if weight.slot is Slot.EXPERTS else blocks
        for block in kind.blocks:
            sizes[block + 1] += size
    return replace(
        base,
        blocks=tuple(map(sum, zip(accumulate(blocks), base.blocks, strict=True))),
        experts=tuple(map(sum, zip(accumulate(experts), base.experts, strict=True))),
    )
