"""What a tensor takes in a buffer of each kind: its bytes, padded.

https://github.com/ggml-org/llama.cpp/blob/master/ggml/src/ggml-alloc.c
(``ggml_backend_alloc_ctx_tensors_from_buft``) adds up the padded tensors; each backend's
``get_alignment`` and ``get_alloc_size`` say what to pad to. Quantised rows are read by so
many elements at once that the last one of a tensor needs room behind it:
https://github.com/ggml-org/llama.cpp/blob/master/ggml/src/ggml-cuda/common.cuh
(``MATRIX_ROW_PADDING``), and ggml-sycl likewise.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from vramline.fit.settings import Backend, padded
from vramline.fit.tensor_types import TensorType


@dataclass(frozen=True, slots=True, kw_only=True)
class Buffer:
    """One kind of buffer.

    Attributes:
        alignment_bytes: Every tensor is padded to it.
        row_padding: The elements that a quantised tensor's last row is padded to; 1: none.
    """

    alignment_bytes: int
    row_padding: int = 1

    def tensor_bytes(self, kind: TensorType, row: int, rows: int) -> int:
        """Return what *rows* rows of *row* elements take here."""
        size = kind.row_bytes(row) * rows
        if kind.elements_per_block > 1 and row % self.row_padding:
            size += kind.row_bytes(self.row_padding - row % self.row_padding)
        return padded(size, self.alignment_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceBuffers:
    """The buffers of one place.

    Attributes:
        largest: Where the padding is the device's own: with the most that there is.
        pinned: There are buffers of pinned host memory too. They take the weights that stay
            on the host, which are then not rearranged for the processor.
    """

    plain: Buffer
    largest: Buffer
    pinned: bool = True


HOST_BUFFER = Buffer(alignment_bytes=32)
"""``TENSOR_ALIGNMENT`` in ggml/src/ggml-impl.h; pinned memory has it too."""

UNPADDED = Buffer(alignment_bytes=1)
"""No buffer: what is kept, alone."""

HOST_BUFFERS = PlaceBuffers(plain=HOST_BUFFER, largest=HOST_BUFFER)

_CUDA = Buffer(alignment_bytes=128, row_padding=512)
_METAL = Buffer(alignment_bytes=32)

BUFFERS: Mapping[Backend, PlaceBuffers] = MappingProxyType(
    {
        Backend.CUDA: PlaceBuffers(plain=_CUDA, largest=_CUDA),
        # ggml-hip compiles ggml-cuda's files.
        Backend.ROCM: PlaceBuffers(plain=_CUDA, largest=_CUDA),
        Backend.SYCL: PlaceBuffers(plain=_CUDA, largest=_CUDA),
        # minStorageBufferOffsetAlignment is the device's own: a power of two, at most 256.
        Backend.VULKAN: PlaceBuffers(plain=UNPADDED, largest=Buffer(alignment_bytes=256)),
        Backend.METAL: PlaceBuffers(plain=_METAL, largest=_METAL, pinned=False),
    }
)
