import pytest

from tests.fit.torch.made import LLAMA_8B, llama_tensors, tensor, torch_model
from vramline.errors import ModelFormatError
from vramline.fit.model import ArraySummary, Value
from vramline.fit.settings import Device, Runner, settings_of
from vramline.fit.tensor_types import TensorType
from vramline.fit.torch import lay_out_torch, torch_need
from vramline.fit.torch.shape import Keeps, torch_shape_of

SMALL: dict[str, Value] = {
    "model_type": "llama",
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": 100,
    "dtype": "bfloat16",
}
HEAD = tensor("lm_head.weight", 64, 100)
EMBEDDING = tensor("model.embed_tokens.weight", 64, 100)


def keeps(**config: Value) -> list[Keeps]:
    return [layer.keeps for layer in torch_shape_of(torch_model({**SMALL, **config})).layers]


def test_a_models_weights_are_those_of_its_files() -> None:
    layout = lay_out_torch(torch_model(LLAMA_8B, llama_tensors()))

    assert layout.weight_bytes == 2 * 8_030_261_248
    assert (layout.heads, layout.quantised, layout.shape.known) == (2, "", True)


def test_numbers_of_32_bits_become_the_models_type() -> None:
    wide = tensor("model.norm.weight", 1024, kind=TensorType.F32)
    layout = lay_out_torch(torch_model(SMALL, (wide,)))

    assert (layout.weight_bytes, layout.kept_bytes) == (2048, 4096)


def test_quantised_weights_stay_as_they_are() -> None:
    config = {**SMALL, "quantization_config.quant_method": "awq"}
    packed = tensor("a.qweight", 1024, kind=TensorType.I32)
    scales = tensor("a.scales", 1024, kind=TensorType.F32)
    layout = lay_out_torch(torch_model(config, (packed, scales)))

    assert (layout.weight_bytes, layout.quantised) == (8192, "awq")


def test_a_head_that_is_the_embeddings_twin_is_not_loaded() -> None:
    tied = lay_out_torch(torch_model({**SMALL, "tie_word_embeddings": True}, (HEAD, EMBEDDING)))

    assert (tied.weight_bytes, tied.heads) == (12800, 1)


def test_layers_that_only_predict_further_are_not_loaded() -> None:
    further = tensor("model.layers.2.mlp.up_proj.weight", 1024)
    vision = tensor("vision_tower.encoder.layers.20.fc1.weight", 1024)
    mtp = tensor("mtp.fc.weight", 1024)

    assert lay_out_torch(torch_model(SMALL, (further, vision, mtp))).weight_bytes == 2048


def test_layer_types_say_which_layers_have_the_window() -> None:
    types = ("sliding_attention", "full_attention")

    assert keeps(layer_types=types, sliding_window=16) == [Keeps.WINDOW, Keeps.EVERYTHING]
    assert keeps(layer_types=types) == [Keeps.EVERYTHING] * 2


def test_without_them_the_architecture_does() -> None:
    window = {"num_hidden_layers": 4, "sliding_window": 16}

    assert keeps(**window) == [Keeps.EVERYTHING] * 4
    assert keeps(**window, model_type="novel") == [Keeps.EVERYTHING] * 4
    assert keeps(**window, model_type="mistral") == [Keeps.WINDOW] * 4
    assert keeps(**window, model_type="qwen2", max_window_layers=3) == [Keeps.EVERYTHING] * 4
    assert keeps(**window, model_type="qwen2", max_window_layers=3, use_sliding_window=True) == [
        *[Keeps.EVERYTHING] * 3,
        Keeps.WINDOW,
    ]
    assert keeps(**window, model_type="gpt_oss") == [Keeps.WINDOW, Keeps.EVERYTHING] * 2
    assert keeps(**window, model_type="llama4_text") == [*[Keeps.CHUNK] * 3, Keeps.EVERYTHING]
    assert keeps(**window, model_type="qwen3_next") == [*[Keeps.STATE] * 3, Keeps.EVERYTHING]


@pytest.mark.parametrize(
    ("rotations", "tokens"),
    [
        ({}, 4096),
        ({"rope_type": "llama3", "factor": 32.0, "original_max_position_embeddings": 1024}, 4096),
        ({"type": "longrope", "original_max_position_embeddings": 1024}, 4096),
        ({"type": "linear", "factor": 4.0}, 16384),
        ({"rope_type": "dynamic", "factor": 2.0}, 8192),
        ({"type": "yarn", "factor": 8.0, "original_max_position_embeddings": 1024}, 8192),
        ({"type": "yarn", "factor": 40.0, "original_max_position_embeddings": 64}, 4096),
        ({"type": "linear", "factor": float("nan")}, 4096),
    ],
)
def test_a_sequence_is_as_long_as_its_rotations_are_stretched(
    rotations: dict[str, Value], tokens: int
) -> None:
    # https://huggingface.co/meta-llama/Llama-3.2-1B: its factor of 32 is in the 131,072 already.
    for part in ("rope_scaling", "rope_parameters"):
        told = {f"{part}.{name}": value for name, value in rotations.items()}
        model = torch_model({**SMALL, "max_position_embeddings": 4096, **told})

        assert torch_shape_of(model).most_tokens == tokens


def test_gemma_3_counts_its_rotations_in() -> None:
    told: dict[str, Value] = {"rope_scaling.rope_type": "linear", "rope_scaling.factor": 8.0}
    model = torch_model(
        {**SMALL, "model_type": "gemma3_text", "max_position_embeddings": 4096, **told}
    )

    assert torch_shape_of(model).most_tokens == 4096


def test_layers_that_read_another_ones_cache_keep_nothing() -> None:
    assert keeps(model_type="gemma3n_text", num_kv_shared_layers=1) == [Keeps.WINDOW, Keeps.NOTHING]


def test_an_unknown_architecture_is_told_as_such_with_wider_bounds() -> None:
    settings = settings_of(Runner.VLLM, context_tokens=1024, devices=(Device(uid="gpu"),))
    known = torch_need(lay_out_torch(torch_model(SMALL, (HEAD,))), settings)
    other = torch_need(
        lay_out_torch(torch_model({**SMALL, "model_type": "novel"}, (HEAD,))), settings
    )

    assert known.unsupported is None
    assert other.unsupported == "there are no rules here for the architecture novel"
    assert other.total.low_bytes < known.total.low_bytes
    assert known.total.high_bytes < other.total.high_bytes


def test_weights_without_settings_beside_them_are_refused() -> None:
    with pytest.raises(ModelFormatError, match=r"no config\.json"):
        lay_out_torch(torch_model({}, (HEAD,)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"hidden_size": 0},
        {"hidden_size": -1},
        {"hidden_size": 2**40},
        {"hidden_size": True},
        {"hidden_size": "64"},
        {"hidden_size": ArraySummary(type="value", count=9)},
        {"num_hidden_layers": 10**6},
        {"num_hidden_layers": 0},
        {"num_attention_heads": 0},
        {"num_key_value_heads": 1.5},
        {"sliding_window": (1, 2)},
    ],
)
def test_settings_that_no_model_has_are_refused(wrong: dict[str, Value]) -> None:
    with pytest.raises(ModelFormatError, match=r"config\.json"):
        torch_shape_of(torch_model({**SMALL, **wrong}))


def test_no_setting_of_a_wrong_kind_goes_unnoticed_as_an_error_of_ours() -> None:
    values: tuple[Value, ...] = (0, -1, 2**63, 1.5, float("nan"), True, "x", (), (1,), ("x",))
    names = (*LLAMA_8B, "head_dim", "kv_lora_rank", "layer_types", "moe_intermediate_size")
    told = 0
    for name in (*names, "sliding_window", "partial_rotary_factor", "num_kv_shared_layers"):
        for value in values:
            try:
                layout = lay_out_torch(torch_model({**LLAMA_8B, name: value}))
                torch_need(layout, settings_of(Runner.VLLM, devices=(Device(uid="gpu"),)))
            except ModelFormatError:
                told += 1

    assert told > 20
