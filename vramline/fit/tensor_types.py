"""The types that a tensor's elements come in, and the bytes that they take.

Quantised types are stored in blocks: so many elements share so many bytes.
https://github.com/ggml-org/ggml/blob/master/include/ggml.h (``enum ggml_type``),
https://github.com/ggml-org/ggml/blob/master/src/ggml-common.h (the blocks),
https://github.com/huggingface/safetensors/blob/main/safetensors/src/tensor.rs (``Dtype``)
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Self


class TensorType(StrEnum):
    """A type of GGUF, of safetensors, or of both."""

    elements_per_block: int
    bytes_per_block: int

    def __new__(cls, value: str, elements_per_block: int = 1, bytes_per_block: int = 1) -> Self:
        """Make the member of that name; every type is named with its block beside it."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.elements_per_block = elements_per_block
        member.bytes_per_block = bytes_per_block
        return member

    F64 = "F64", 1, 8
    F32 = "F32", 1, 4
    F16 = "F16", 1, 2
    BF16 = "BF16", 1, 2
    I64 = "I64", 1, 8
    I32 = "I32", 1, 4
    I16 = "I16", 1, 2
    I8 = "I8", 1, 1

    Q4_0 = "Q4_0", 32, 18
    Q4_1 = "Q4_1", 32, 20
    Q5_0 = "Q5_0", 32, 22
    Q5_1 = "Q5_1", 32, 24
    Q8_0 = "Q8_0", 32, 34
    Q8_1 = "Q8_1", 32, 36
    Q2_K = "Q2_K", 256, 84
    Q3_K = "Q3_K", 256, 110
    Q4_K = "Q4_K", 256, 144
    Q5_K = "Q5_K", 256, 176
    Q6_K = "Q6_K", 256, 210
    Q8_K = "Q8_K", 256, 292
    IQ1_S = "IQ1_S", 256, 50
    IQ1_M = "IQ1_M", 256, 56
    IQ2_XXS = "IQ2_XXS", 256, 66
    IQ2_XS = "IQ2_XS", 256, 74
    IQ2_S = "IQ2_S", 256, 82
    IQ3_XXS = "IQ3_XXS", 256, 98
    IQ3_S = "IQ3_S", 256, 110
    IQ4_NL = "IQ4_NL", 32, 18
    IQ4_XS = "IQ4_XS", 256, 136
    TQ1_0 = "TQ1_0", 256, 54
    TQ2_0 = "TQ2_0", 256, 66
    MXFP4 = "MXFP4", 32, 17
    NVFP4 = "NVFP4", 64, 36
    Q1_0 = "Q1_0", 128, 18
    Q2_0 = "Q2_0", 64, 18

    U64 = "U64", 1, 8
    U32 = "U32", 1, 4
    U16 = "U16", 1, 2
    U8 = "U8", 1, 1
    BOOL = "BOOL", 1, 1
    C64 = "C64", 1, 8
    F8_E5M2 = "F8_E5M2", 1, 1
    F8_E4M3 = "F8_E4M3", 1, 1
    F8_E5M2FNUZ = "F8_E5M2FNUZ", 1, 1
    F8_E4M3FNUZ = "F8_E4M3FNUZ", 1, 1
    F8_E8M0 = "F8_E8M0", 1, 1
    F6_E2M3 = "F6_E2M3", 4, 3
    F6_E3M2 = "F6_E3M2", 4, 3
    F4 = "F4", 2, 1

    def row_bytes(self, elements: int) -> int:
        """Return the bytes of that many elements. A block that is begun takes its whole size."""
        return -(-elements // self.elements_per_block) * self.bytes_per_block


GGUF_TYPES: Mapping[int, TensorType] = MappingProxyType(
    {
        0: TensorType.F32,
        1: TensorType.F16,
        2: TensorType.Q4_0,
        3: TensorType.Q4_1,
        6: TensorType.Q5_0,
        7: TensorType.Q5_1,
        8: TensorType.Q8_0,
        9: TensorType.Q8_1,
        10: TensorType.Q2_K,
        11: TensorType.Q3_K,
        12: TensorType.Q4_K,
        13: TensorType.Q5_K,
        14: TensorType.Q6_K,
        15: TensorType.Q8_K,
        16: TensorType.IQ2_XXS,
        17: TensorType.IQ2_XS,
        18: TensorType.IQ3_XXS,
        19: TensorType.IQ1_S,
        20: TensorType.IQ4_NL,
        21: TensorType.IQ3_S,
        22: TensorType.IQ2_S,
        23: TensorType.IQ4_XS,
        24: TensorType.I8,
        25: TensorType.I16,
        26: TensorType.I32,
        27: TensorType.I64,
        28: TensorType.F64,
        29: TensorType.IQ1_M,
        30: TensorType.BF16,
        34: TensorType.TQ1_0,
        35: TensorType.TQ2_0,
        39: TensorType.MXFP4,
        40: TensorType.NVFP4,
        41: TensorType.Q1_0,
        42: TensorType.Q2_0,
    }
)
"""By the number that GGUF gives them."""

REMOVED_GGUF_TYPES: Mapping[int, str] = MappingProxyType(
    {
        4: "Q4_2",
        5: "Q4_3",
        31: "Q4_0_4_4",
        32: "Q4_0_4_8",
        33: "Q4_0_8_8",
        36: "IQ4_NL_4_4",
        37: "IQ4_NL_4_8",
        38: "IQ4_NL_8_8",
    }
)
"""Numbers that ``ggml.h`` keeps free: nothing loads these types any more."""

SAFETENSORS_TYPES: Mapping[str, TensorType] = MappingProxyType(
    {
        each.value: each
        for each in (
            TensorType.F64,
            TensorType.F32,
            TensorType.F16,
            TensorType.BF16,
            TensorType.I64,
            TensorType.I32,
            TensorType.I16,
            TensorType.I8,
            TensorType.U64,
            TensorType.U32,
            TensorType.U16,
            TensorType.U8,
            TensorType.BOOL,
            TensorType.C64,
            TensorType.F8_E5M2,
            TensorType.F8_E4M3,
            TensorType.F8_E5M2FNUZ,
            TensorType.F8_E4M3FNUZ,
            TensorType.F8_E8M0,
            TensorType.F6_E2M3,
            TensorType.F6_E3M2,
            TensorType.F4,
        )
    }
)
"""By the name that safetensors gives them."""
