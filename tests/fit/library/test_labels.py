from dataclasses import replace

import pytest

from tests.fit.made import model, tensor
from vramline.fit.library.found import FileFormat
from vramline.fit.library.labels import context_length_of, quantisation_of
from vramline.fit.model import Value
from vramline.fit.tensor_types import TensorType


@pytest.mark.parametrize(
    ("hint", "label"),
    [
        ("Llama-3.2-3B-Instruct-Q4_K_M", "Q4_K_M"),
        ("qwen3-8b-UD-Q4_K_XL", "UD-Q4_K_XL"),
        ("llama3.2:3b-instruct-q5_K_S", "Q5_K_S"),
        ("model.i1-IQ2_XXS", "IQ2_XXS"),
        ("merged-BF16.Q8_0", "Q8_0"),
        ("gpt-oss-20b-mxfp4", "MXFP4"),
        ("gpt-oss-20b-MXFP4_MOE", "MXFP4"),
        ("tiny-fp16", "F16"),
        ("bitnet-TQ1_0", "TQ1_0"),
        ("q4_0nly", "Q3_K_L"),
        ("Qwen-Q4", "Q3_K_L"),
        ("", "Q3_K_L"),
    ],
)
def test_the_name_goes_before_the_header(hint: str, label: str) -> None:
    header = model("llama", 1)
    header = type(header)(
        architecture="llama",
        metadata={"general.file_type": 13},
        tensors=header.tensors,
        file_bytes=0,
    )

    assert quantisation_of(header, hint, FileFormat.GGUF) == label


@pytest.mark.parametrize("kind", [None, 999, -1, 2.0, True, "Q4", 4])
def test_without_either_it_is_what_most_bytes_are_of(kind: Value | None) -> None:
    tensors = (
        tensor("a", 256, 100, kind=TensorType.Q4_K),
        tensor("b", 256, 99, kind=TensorType.Q6_K),
        tensor("c", 256, kind=TensorType.F32),
    )
    header = model("llama", 1, tensors=tensors)
    metadata = {} if kind is None else {"general.file_type": kind}
    header = type(header)(
        architecture="llama", metadata=metadata, tensors=header.tensors, file_bytes=0
    )

    expected = "F16" if kind is True else "Q6_K"
    assert quantisation_of(header, "", FileFormat.GGUF) in (expected, "Q6_K")


def test_a_type_that_was_guessed_is_the_same() -> None:
    header = model("llama", 1)
    header = type(header)(
        architecture="llama",
        metadata={"general.file_type": 1024 + 15},
        tensors=header.tensors,
        file_bytes=0,
    )

    assert quantisation_of(header, "", FileFormat.GGUF) == "Q4_K_M"


def test_a_method_is_no_trap_on_a_page() -> None:
    metadata: dict[str, Value] = {
        "quantization_config.quant_method": "\x1b[2Jgptq",
        "quantization_config.bits": 4,
    }
    header = replace(model("llama", 1), metadata=metadata)

    assert quantisation_of(header, "", FileFormat.SAFETENSORS) == r"'\x1b[2JGPTQ' 4-bit"


@pytest.mark.parametrize(
    ("metadata", "tokens"),
    [
        ({"max_position_embeddings": 4096}, 4096),
        ({"text_config.max_position_embeddings": 8192}, 8192),
        ({"n_positions": 1024}, 1024),
        ({"max_position_embeddings": -1}, None),
        ({"max_position_embeddings": "many"}, None),
        ({}, None),
    ],
)
def test_a_safetensors_models_context_is_in_its_config(
    metadata: dict[str, Value], tokens: int | None
) -> None:
    header = model("llama", 1)
    header = type(header)(
        architecture="llama", metadata=metadata, tensors=header.tensors, file_bytes=0
    )

    assert context_length_of(header, FileFormat.SAFETENSORS) == tokens
