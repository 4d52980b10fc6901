"""Headers with values that no model has: a clear error, and nothing else."""

import pytest

from tests.fit.made import layout
from vramline.errors import ModelFormatError
from vramline.fit.model import Value

NAN, INFINITE = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("architecture", "keys", "words"),
    [
        (
            "gemma3",
            {"attention.sliding_window": 512, "attention.sliding_window_pattern": (NAN, 1.0)},
            "gemma3.attention.sliding_window_pattern is no whole number",
        ),
        ("llama", {"rope.dimension_sections": (INFINITE,)}, "is no whole number"),
        ("llama", {"rope.dimension_sections": (1.5, 2.0)}, "is no whole number"),
        ("llama", {"rope.dimension_sections": (-1, 2)}, "is -1, which no model has"),
        ("llama", {"attention.head_count": (8, 8, 8)}, "has 3 entries, where 2 belong"),
        ("llama", {"embedding_length": 2**31}, "is 2147483648, which no model has"),
        ("llama", {"embedding_length": True}, "is no whole number"),
        (
            "qwen35",
            {"attention.recurrent_layers": (1,)},
            "qwen35.attention.recurrent_layers has 1 entries, where 2 belong",
        ),
        ("qwen35", {"attention.recurrent_layers": (1, 0, 1)}, "has 3 entries, where 2 belong"),
        ("qwen35", {"attention.recurrent_layers": ()}, "has 0 entries, where 2 belong"),
        ("llama", {"block_count": 0}, "llama.cpp takes 1 to 512"),
        ("llama", {"block_count": 513}, "llama.cpp takes 1 to 512"),
        ("llama", {"nextn_predict_layers": 3}, "llama.cpp takes 1 to 512"),
    ],
)
def test_a_value_that_no_model_has_is_a_format_error(
    architecture: str, keys: dict[str, Value], words: str
) -> None:
    with pytest.raises(ModelFormatError) as raised:
        layout(architecture, 2, keys)

    assert words in str(raised.value)


def test_the_header_may_say_which_layers_recur() -> None:
    said = layout("qwen35", 4, {"attention.recurrent_layers": (True, False, False, True)})
    unsaid = layout("qwen35", 4)

    assert [layer.recurs for layer in said.shape.layers] == [True, False, False, True]
    assert [layer.recurs for layer in unsaid.shape.layers] == [True, True, True, False]
