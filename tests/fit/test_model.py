import pytest

from vramline.fit.model import Model, Tensor
from vramline.fit.tensor_types import GGUF_TYPES, REMOVED_GGUF_TYPES, TensorType


@pytest.mark.parametrize(
    ("kind", "elements", "expected"),
    [
        (TensorType.F32, 10, 40),
        (TensorType.BF16, 10, 20),
        (TensorType.Q4_0, 64, 36),
        (TensorType.Q4_K, 4096, 2304),
        (TensorType.Q6_K, 256, 210),
        (TensorType.MXFP4, 2880, 1530),
        (TensorType.NVFP4, 128, 72),
        (TensorType.Q8_1, 32, 36),
        (TensorType.Q2_0, 128, 36),
        (TensorType.F8_E4M3, 7, 7),
        (TensorType.F4, 8, 4),
        (TensorType.F6_E2M3, 8, 6),
        (TensorType.Q8_0, 0, 0),
        (TensorType.Q8_0, 33, 68),
    ],
)
def test_a_row_takes_the_bytes_of_its_blocks(
    kind: TensorType, elements: int, expected: int
) -> None:
    assert kind.row_bytes(elements) == expected


def test_a_tensor_takes_the_bytes_of_all_its_rows() -> None:
    tensor = Tensor(name="ffn", type=TensorType.Q4_K, shape=(512, 3, 2))

    assert (tensor.element_count, tensor.byte_count) == (3072, 1728)


def test_a_single_number_has_no_dimensions() -> None:
    tensor = Tensor(name="scale", type=TensorType.F32, shape=())

    assert (tensor.element_count, tensor.byte_count) == (1, 4)


def test_types_of_equal_blocks_are_not_the_same_type() -> None:
    members = TensorType.__members__

    assert set(members) == set(members.values())
    assert TensorType("Q4_0") is TensorType.Q4_0


def test_a_number_is_of_a_type_or_of_one_that_was_removed() -> None:
    assert set(GGUF_TYPES) | set(REMOVED_GGUF_TYPES) == set(range(43))
    assert not set(GGUF_TYPES) & set(REMOVED_GGUF_TYPES)
    assert len(set(GGUF_TYPES.values())) == len(GGUF_TYPES)


def test_a_model_weighs_what_its_tensors_do() -> None:
    tensors = (
        Tensor(name="a", type=TensorType.F32, shape=(3,)),
        Tensor(name="b", type=TensorType.Q8_0, shape=(32, 2)),
    )
    model = Model(architecture="llama", metadata={}, tensors=tensors, file_bytes=1)

    assert model.weight_bytes == 12 + 68
