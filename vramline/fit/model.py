"""One model as its header has it, whatever the files it came from."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vramline.fit.tensor_types import TensorType

ENTRIES_KEPT = 4096
"""An array of more entries is summarised. The longest that a need is told from has one a layer."""

TEXT_BYTES_KEPT = 1024
"""A string of more bytes is summarised: chat templates and licences, which no need is told from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArraySummary:
    """An array that was skipped over.

    Attributes:
        type: Of its entries, as GGUF calls it: ``string``, ``float32``, ``array``...
            ``character``: it is one long string, and *count* its bytes.
    """

    type: str
    count: int


Scalar = int | float | bool | str
Numbers = tuple[int, ...] | tuple[float, ...] | tuple[bool, ...]
Strings = tuple[str, ...]
Value = Scalar | Numbers | Strings | ArraySummary


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """One tensor's entry in a header.

    Attributes:
        shape: As GGUF has it: the row's length first. Empty for a single number.
    """

    name: str
    type: TensorType
    shape: tuple[int, ...]

    @property
    def element_count(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)

    @property
    def byte_count(self) -> int:
        """What it takes, without the padding that follows it in a file or a buffer."""
        return self.type.row_bytes(math.prod(self.shape))


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One model, of one file or of several.

    Attributes:
        architecture: As the file names it: GGUF's ``general.architecture``, or
            ``model_type`` in ``config.json``. A projector of images or sound is ``clip``.
            Empty where the files do not name it: safetensors without ``config.json``.
        metadata: GGUF's keys; or the names of ``config.json``, with a dot before those that
            lie in another (``text_config.hidden_size``). Numbers, short strings, and arrays of
            up to 4096 numbers are kept. What is longer is an ``ArraySummary``. So is every
            array of strings in GGUF; of those in ``config.json`` (the kinds of the layers) up
            to 4096 short strings are kept.
        tensors: In the order of the files.
        file_bytes: Of all of its files, as they lie on the disk.
        missing_bytes: By how much the files are shorter than their headers say: more than
            zero for a header without its weights, and for a download that is not finished.
    """

    architecture: str
    metadata: Mapping[str, Value]
    tensors: Sequence[Tensor]
    file_bytes: int
    missing_bytes: int = 0

    @property
    def weight_bytes(self) -> int:
        """What the tensors take, without padding."""
        return sum(tensor.byte_count for tensor in self.tensors)
