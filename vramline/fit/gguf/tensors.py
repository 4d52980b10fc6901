"""The list of a GGUF file's tensors."""

from operator import itemgetter

from vramline.errors import ModelFormatError
from vramline.fit.gguf.metadata import read_text
from vramline.fit.gguf.order import DIMENSIONS_MOST, Order
from vramline.fit.header_file import HeaderFile, shown
from vramline.fit.model import Tensor
from vramline.fit.tensor_types import GGUF_TYPES, REMOVED_GGUF_TYPES

TENSORS_MOST = 2**16
"""The largest models have some 3,000; this many are read in half a second."""

NAME_BYTES_MOST = 1024
"""llama.cpp takes 63, other programs of its family more."""

ELEMENTS_MOST = 2**63 - 1


def read_tensors(
    file: HeaderFile, order: Order, count: int, alignment: int
) -> tuple[tuple[Tensor, ...], int]:
    """Read so many entries; return them, and where the last byte of their data ends.

    That end counts from where the data begins. Raises ``ModelFormatError`` where an entry is
    not as the format has it, or two tensors share bytes.
    """
    if count > TENSORS_MOST:
        raise file.refusal(f"{count:,} tensors, where {TENSORS_MOST:,} is the most that is read")
    file.reading = "the list of tensors"
    tensors: dict[str, Tensor] = {}
    places = []
    for _ in range(count):
        tensor, offset = _read_tensor(file, order)
        if tensor.name in tensors:
            raise file.refusal(f"{_named(tensor)} is there twice")
        if offset % alignment:
            raise file.refusal(
                f"the data of {_named(tensor)} does not begin on a multiple of {alignment:,}"
            )
        tensors[tensor.name] = tensor
        places.append((offset, offset + tensor.byte_count, tensor))
    return tuple(tensors.values()), _end(file, places)


def _read_tensor(file: HeaderFile, order: Order) -> tuple[Tensor, int]:
    name = read_text(file, order, NAME_BYTES_MOST)
    file.need(order.u32.size)
    (dimensions,) = order.u32.unpack_from(file.data, file.at)
    if dimensions > DIMENSIONS_MOST:
        raise file.refusal(
            f"tensor {shown(name)} has {dimensions:,} dimensions, where {DIMENSIONS_MOST} is the"
            " most that there is"
        )
    _, *shape, number, offset = file.unpack(order.tensors[dimensions])
    kind = GGUF_TYPES.get(number)
    if kind is None:
        raise _unknown_type(file, name, number)
    tensor = Tensor(name=name, type=kind, shape=tuple(shape))
    if tensor.element_count > ELEMENTS_MOST:
        raise file.refusal(f"{_named(tensor)} has more elements than can be counted")
    if shape and shape[0] % kind.elements_per_block:
        raise file.refusal(
            f"a row of {_named(tensor)} has {shape[0]:,} elements, which is no whole number of"
            f" {kind.value}'s blocks of {kind.elements_per_block}"
        )
    return tensor, offset


def _unknown_type(file: HeaderFile, name: str, number: int) -> ModelFormatError:
    removed = REMOVED_GGUF_TYPES.get(number)
    if removed:
        return file.refusal(
            f"tensor {shown(name)} is of type {removed}, which llama.cpp no longer loads",
            "Get a newer quantisation of this model",
        )
    return file.refusal(
        f"tensor {shown(name)} is of type {number:,}, which is not known",
        "If the file is newer than this program, update the program",
    )


def _end(file: HeaderFile, places: list[tuple[int, int, Tensor]]) -> int:
    """Return where the last data ends. Raises where two tensors share bytes."""
    places.sort(key=itemgetter(0, 1))
    end = 0
    for begin, after, tensor in places:
        if begin < end:
            raise file.refusal(f"the data of {_named(tensor)} overlaps that of another")
        end = after
    return end


def _named(tensor: Tensor) -> str:
    return f"tensor {shown(tensor.name)}"
