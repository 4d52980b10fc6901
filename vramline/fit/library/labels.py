"""What people want to know of a header at a glance."""

import re
from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType

from vramline.fit.header_file import shown
from vramline.fit.library.found import FileFormat
from vramline.fit.model import Model, Value
from vramline.fit.tensor_types import TensorType

IN_A_NAME = re.compile(
    r"(?<![a-z0-9])(?:ud-)?(?:"
    r"i?q[1-8]_(?:[01]|nl|xs|xxs|s|m|k(?:_(?:xxs|xs|s|m|l|xl|xxl))?)"
    r"|tq[12]_0|mxfp4(?:_moe)?|nvfp4|bf16|fp?16|fp?32"
    r")(?![a-z0-9])",
    re.IGNORECASE,
)
"""A quantisation, as files are named after it."""

FILE_TYPES: Mapping[int, str] = MappingProxyType(
    {
        0: "F32",
        1: "F16",
        2: "Q4_0",
        3: "Q4_1",
        7: "Q8_0",
        8: "Q5_0",
        9: "Q5_1",
        10: "Q2_K",
        11: "Q3_K_S",
        12: "Q3_K_M",
        13: "Q3_K_L",
        14: "Q4_K_S",
        15: "Q4_K_M",
        16: "Q5_K_S",
        17: "Q5_K_M",
        18: "Q6_K",
        19: "IQ2_XXS",
        20: "IQ2_XS",
        21: "Q2_K_S",
        22: "IQ3_XS",
        23: "IQ3_XXS",
        24: "IQ1_S",
        25: "IQ4_NL",
        26: "IQ3_S",
        27: "IQ3_M",
        28: "IQ2_S",
        29: "IQ2_M",
        30: "IQ4_XS",
        31: "IQ1_M",
        32: "BF16",
        36: "TQ1_0",
        37: "TQ2_0",
        38: "MXFP4",
        39: "NVFP4",
        40: "Q1_0",
        41: "Q2_0",
    }
)
"""``general.file_type``.
https://github.com/ggml-org/llama.cpp/blob/master/include/llama.h (``enum llama_ftype``)"""

GUESSED = 1024
"""Is added where the type was told from a tensor (``LLAMA_FTYPE_GUESSED``)."""

CONTEXT_NAMES = ("max_position_embeddings", "n_positions", "max_sequence_length", "seq_length")
PACKED_TYPES = frozenset((TensorType.U8, TensorType.I8, TensorType.I32, TensorType.U32))
"""In a quantised safetensors model these hold several numbers in one."""


def quantisation_of(model: Model, hint: str, form: FileFormat) -> str | None:
    """Return what the model's quantisation is called: by its name, its header or its tensors.

    The name goes first, as it alone knows mixtures that came after ``general.file_type``.
    """
    if form is FileFormat.SAFETENSORS:
        return _method(model) or _most(model)
    if named := IN_A_NAME.findall(hint):
        label: str = named[-1].upper()
        return label.replace("FP16", "F16").replace("FP32", "F32").replace("MXFP4_MOE", "MXFP4")
    kind = model.metadata.get("general.file_type")
    if type(kind) is int and kind % GUESSED in FILE_TYPES:
        return FILE_TYPES[kind % GUESSED]
    return _most(model)


def _method(model: Model) -> str | None:
    method = model.metadata.get("quantization_config.quant_method")
    bits = model.metadata.get("quantization_config.bits")
    if not isinstance(method, str):
        return None
    name = shown(method.upper())
    return f"{name} {bits}-bit" if type(bits) is int else name


def _most(model: Model) -> str | None:
    """Return the type that most of the bytes are of."""
    sizes: Counter[TensorType] = Counter()
    for tensor in model.tensors:
        sizes[tensor.type] += tensor.byte_count
    return sizes.most_common(1)[0][0].value if sizes else None


def parameters_of(model: Model, form: FileFormat) -> int | None:
    """Return how many numbers the model has learned, where its tensors tell."""
    if form is FileFormat.SAFETENSORS and (
        _method(model) or any(tensor.type in PACKED_TYPES for tensor in model.tensors)
    ):
        return None
    return sum(tensor.element_count for tensor in model.tensors)


def context_length_of(model: Model, form: FileFormat) -> int | None:
    """Return how many tokens the model was trained on at once."""
    if form is FileFormat.GGUF:
        return _count(model.metadata.get(f"{model.architecture}.context_length"))
    for prefix in ("", "text_config.", "llm_config."):
        for name in CONTEXT_NAMES:
            if found := _count(model.metadata.get(prefix + name)):
                return found
    return None


def _count(value: Value | None) -> int | None:
    return value if type(value) is int and 0 < value < 2**40 else None
