"""A safetensors model's weights, as PyTorch's programs load them.

Every number of a floating type is made the model's own one; quantised ones are taken as they
are. A head that is the embedding's twin is not loaded, nor are layers that only predict
further tokens.
https://github.com/huggingface/transformers/blob/main/src/transformers/modeling_utils.py,
https://github.com/vllm-project/vllm/tree/main/vllm/model_executor/model_loader
"""

import re
from dataclasses import dataclass

from vramline.errors import ModelFormatError
from vramline.fit.model import Model, Tensor
from vramline.fit.settings import padded
from vramline.fit.tensor_types import TensorType
from vramline.fit.torch.shape import TorchShape, torch_shape_of

FLOATS = frozenset((TensorType.F64, TensorType.F32, TensorType.F16, TensorType.BF16))

HEADS = frozenset(("lm_head.weight", "language_model.lm_head.weight"))
EMBEDDINGS = re.compile(r"(?:^|\.)(?:embed_tokens|wte|word_embeddings)\.weight$")
LAYER = re.compile(r"(?:^|\.)layers\.([0-9]{1,6})\.")
FURTHER = re.compile(r"(?:^|\.)mtp\.")

ALLOCATION_BYTES = 512
"""PyTorch's allocator rounds up to it.
https://github.com/pytorch/pytorch/blob/main/c10/cuda/CUDACachingAllocator.cpp"""

SEGMENT_BYTES = 2 * 2**20
"""And asks the driver for no less than this, for a tensor of its own."""

QUANTISED = "quantization_config.quant_method"


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchLayout:
    """One model, with all that does not depend on settings worked out.

    Attributes:
        weight_bytes: Of all tensors that are loaded, in the model's own type.
        kept_bytes: If those of 32 bits among them stay so, which some do.
        segment_bytes: If every large tensor gets memory of its own from the driver.
        embedding_rows: How many the embedding has; *heads* is how often it is there.
        quantised: How, as ``config.json`` calls it; empty if it is not.
    """

    model: Model
    shape: TorchShape
    weight_bytes: int
    kept_bytes: int
    segment_bytes: int
    heads: int
    quantised: str


def lay_out_torch(model: Model) -> TorchLayout:
    """Work out what does not depend on settings.

    Raises ``ModelFormatError`` where ``config.json`` is not there, or lacks what is needed.
    """
    if not model.metadata:
        raise ModelFormatError(
            "there is no config.json beside the weights: without it their use is not known; get"
            " it from where they came from"
        )
    shape = torch_shape_of(model)
    method = model.metadata.get(QUANTISED)
    quantised = method if isinstance(method, str) else ""
    loaded = [tensor for tensor in model.tensors if is_loaded(tensor, shape)]
    sizes = [loaded_bytes(tensor, shape, quantised) for tensor in loaded]
    return TorchLayout(
        model=model,
        shape=shape,
        weight_bytes=sum(padded(size, ALLOCATION_BYTES) for size in sizes),
        kept_bytes=sum(padded(tensor.byte_count, ALLOCATION_BYTES) for tensor in loaded),
        segment_bytes=sum(
            padded(size, SEGMENT_BYTES if size > SEGMENT_BYTES // 2 else ALLOCATION_BYTES)
            for size in sizes
        ),
        heads=sum(
            tensor.name in HEADS or EMBEDDINGS.search(tensor.name) is not None for tensor in loaded
        ),
        quantised=quantised,
    )


def is_loaded(tensor: Tensor, shape: TorchShape) -> bool:
    """Whether the tensor is one of those that are loaded."""
    layer = LAYER.search(tensor.name)
    if FURTHER.search(tensor.name) or (shape.tied and tensor.name in HEADS):
        return False
    vision = "vision" in tensor.name or "visual" in tensor.name or "audio" in tensor.name
    return layer is None or vision or int(layer[1]) < len(shape.layers)


def loaded_bytes(tensor: Tensor, shape: TorchShape, quantised: str) -> int:
    """Return what it takes when it is loaded."""
    if tensor.type not in FLOATS or quantised:
        return tensor.byte_count
    return shape.dtype.row_bytes(tensor.element_count)
