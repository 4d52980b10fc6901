from dataclasses import replace

import pytest

from tests.fit.made import layout
from tests.fit.truth import architectures, layout_of, runs_of
from vramline.fit.amounts import Amount, Part
from vramline.fit.model import Value
from vramline.fit.need import need_of
from vramline.fit.settings import HOST, Device, FlashAttention, Settings
from vramline.fit.tensor_types import TensorType
from vramline.units import MIB

WIDE = Settings(context_tokens=32768)
CELL = 2 * 2 * 128 * 2
"""Bytes of a cell of one of ``PLAIN``'s layers: two heads of 128, keys and values, 16 bits."""

Keys = dict[str, Value]


def cached(architecture: str, layers: int, keys: Keys | None, settings: Settings) -> int:
    """What keys and values take, in all places."""
    return need_of(layout(architecture, layers, keys), settings).of(Part.KV_CACHE).bytes


def states(architecture: str, layers: int, keys: Keys, settings: Settings) -> int:
    """What recurrent states take, in all places."""
    return need_of(layout(architecture, layers, keys), settings).of(Part.RECURRENT_STATE).bytes


@pytest.mark.parametrize("architecture", architectures())
def test_keys_and_values_and_states_are_exact_in_every_run(architecture: str) -> None:
    told, true = {}, {}
    for run in runs_of(architecture):
        need = need_of(layout_of(run.header), run.settings)
        kept = need.of(Part.KV_CACHE)
        told[run.row] = [kept.bytes - kept.padding_bytes, need.of(Part.RECURRENT_STATE).bytes]
        true[run.row] = [run.bytes("kv_bytes"), run.bytes("rs_bytes")]

    assert told == true


@pytest.mark.parametrize("architecture", architectures())
def test_what_is_allocated_for_them_is_exact_in_every_place(architecture: str) -> None:
    told, true = {}, {}
    for run in runs_of(architecture):
        kept = [
            item
            for item in need_of(layout_of(run.header), run.settings).items
            if item.part in (Part.KV_CACHE, Part.RECURRENT_STATE)
        ]
        places = (HOST, "dev0", "dev1")
        told[run.row] = [
            sum(item.amount.bytes for item in kept if item.place == place) for place in places
        ]
        true[run.row] = [run.bytes(f"context_{place}") for place in ("host", "dev0", "dev1")]
        assert all(item.amount.exact for item in kept)

    assert told == true


def test_gemma_3_27b_takes_3184_mib_at_32k() -> None:
    keys: Keys = {
        "attention.head_count_kv": 16,
        "attention.sliding_window": 1024,
    }

    assert cached("gemma3", 62, keys, WIDE) == 3184 * MIB


def test_deepseek_v3_takes_2196_mib_at_32k() -> None:
    keys: Keys = {
        "attention.head_count_kv": 1,
        "attention.key_length": 576,
        "attention.value_length": 512,
        "attention.key_length_mla": 192,
        "attention.value_length_mla": 128,
        "attention.kv_lora_rank": 512,
    }

    assert cached("deepseek2", 61, keys, WIDE) == 2196 * MIB


def test_llama_3_8b_takes_4096_mib_at_32k() -> None:
    assert cached("llama", 32, {"attention.head_count_kv": 8}, WIDE) == 4096 * MIB


def test_deepseek_without_latent_rows_keeps_keys_and_values_of_every_head() -> None:
    keys: Keys = {
        "attention.head_count_kv": 8,
        "attention.key_length": 192,
        "attention.value_length": 128,
        "attention.kv_lora_rank": 512,
    }

    assert cached("deepseek2", 2, keys, WIDE) == 2 * 32768 * 8 * (192 + 128) * 2


def test_heads_have_the_embeddings_share_where_no_length_is_told() -> None:
    model = layout("llama", 2)
    keys = {
        key: value
        for key, value in model.model.metadata.items()
        if not key.endswith(("key_length", "value_length"))
    }

    bare = layout("llama", 2, {key.partition(".")[2]: value for key, value in keys.items()})

    assert need_of(bare, WIDE).of(Part.KV_CACHE).bytes == 2 * 32768 * CELL


@pytest.mark.parametrize(
    ("architecture", "keys", "layers", "windowed", "window"),
    [
        ("gemma2", {}, 6, 3, 4096),
        ("gemma2", {"attention.sliding_window": 1024}, 6, 3, 1024),
        ("gemma3", {"attention.sliding_window": 1024}, 12, 10, 1024),
        ("gemma3", {}, 12, 0, 0),
        ("gemma3n", {"attention.sliding_window": 512}, 20, 16, 512),
        ("gpt-oss", {"attention.sliding_window": 128}, 6, 3, 128),
        ("cohere2", {"attention.sliding_window": 4096}, 8, 6, 4096),
        ("llama4", {}, 8, 6, 8192),
        ("llama4", {"attention.sliding_window": 1024}, 8, 6, 8192),
        ("llama4", {"attention.sliding_window": 0}, 8, 0, 0),
        ("phi3", {"attention.sliding_window": 2048}, 8, 0, 0),
        (
            "cohere2",
            {"attention.sliding_window": 512, "attention.sliding_window_pattern": 2},
            8,
            4,
            512,
        ),
        (
            "gemma3",
            {
                "attention.sliding_window": 512,
                "attention.sliding_window_pattern": (True, False, False, True),
            },
            4,
            2,
            512,
        ),
        ("smollm3", {}, 4, 0, 0),
        ("starcoder2", {"attention.sliding_window": 4096}, 4, 0, 0),
        ("command-r", {}, 4, 0, 0),
    ],
)
def test_layers_with_a_window_keep_that_and_what_is_computed_at_once(
    architecture: str, keys: Keys, layers: int, windowed: int, window: int
) -> None:
    seen = -(-(window + 512) // 256) * 256
    cells = (layers - windowed) * 32768 + windowed * seen

    assert cached(architecture, layers, keys, WIDE) == cells * CELL


def test_a_window_is_kept_for_every_sequence_of_one_cache() -> None:
    keys: Keys = {"attention.sliding_window": 1000}
    apart = replace(WIDE, sequences=4)

    # Two of gpt-oss's four layers have the window.
    assert cached("gpt-oss", 4, keys, replace(apart, unified_cache=True)) == CELL * 2 * (
        32768 + 4608
    )
    assert cached("gpt-oss", 4, keys, apart) == CELL * 2 * 4 * (8192 + 1536)


def test_a_window_is_never_wider_than_the_context() -> None:
    keys: Keys = {"attention.sliding_window": 4096}

    assert cached("gpt-oss", 4, keys, Settings(context_tokens=2048)) == CELL * 4 * 2048


def test_the_whole_window_can_be_asked_for() -> None:
    keys: Keys = {"attention.sliding_window": 128}

    assert cached("gpt-oss", 4, keys, replace(WIDE, full_window_cache=True)) == CELL * 4 * 32768


def test_gemma4s_windowed_heads_are_of_another_length() -> None:
    keys: Keys = {
        "attention.sliding_window": 512,
        "attention.sliding_window_pattern": (True, True, True, False),
        "attention.key_length": 512,
        "attention.value_length": 512,
        "attention.key_length_swa": 256,
        "attention.value_length_swa": 256,
    }

    assert cached("gemma4", 4, keys, WIDE) == 2 * 2 * 2 * (32768 * 512 + 3 * 1024 * 256)


def test_gemmas_last_layers_read_the_caches_of_others() -> None:
    window: Keys = {"attention.sliding_window": 512}
    shared: Keys = {
        **window,
        "attention.sliding_window_pattern": (True, False) * 4,
        "attention.shared_kv_layers": 4,
    }

    assert cached("gemma3n", 30, window, WIDE) == CELL * (4 * 32768 + 16 * 1024)
    assert cached("gemma4", 8, shared, WIDE) == CELL * (2 * 32768 + 2 * 1024)


def test_layers_that_predict_further_tokens_keep_nothing() -> None:
    assert cached("glm4moe", 5, {"nextn_predict_layers": 1}, WIDE) == CELL * 4 * 32768


def test_layers_may_have_heads_of_their_own() -> None:
    keys: Keys = {"attention.head_count_kv": (2, 4, 2, 8)}

    assert cached("llama", 4, keys, WIDE) == CELL // 2 * 16 * 32768


def test_without_flash_attention_values_are_padded_to_the_widest_layer() -> None:
    keys: Keys = {"attention.head_count_kv": (2, 4)}
    off = replace(WIDE, flash_attention=FlashAttention.OFF)

    assert cached("llama", 2, keys, off) == 32768 * 2 * 128 * ((2 + 4) + (4 + 4))


def test_models_that_see_all_tokens_at_once_keep_nothing() -> None:
    assert cached("bert", 4, {"attention.causal": False}, WIDE) == 0


def test_caches_may_be_quantised() -> None:
    settings = replace(WIDE, cache_type_k=TensorType.Q8_0, cache_type_v=TensorType.Q4_0)

    assert cached("llama", 2, None, settings) == 2 * 32768 * (8 * 34 + 8 * 18)


def test_cuda_pads_a_quantised_caches_last_row() -> None:
    settings = replace(
        WIDE,
        cache_type_k=TensorType.Q8_0,
        cache_type_v=TensorType.Q8_0,
        devices=(Device(uid="gpu"),),
    )
    padding = 2 * 2 * 384  # half a row of 512 has 272 bytes, and 112 to the alignment

    need = need_of(layout("llama", 2), settings)

    size = 2 * 2 * 32768 * 272 + padding
    assert need.of(Part.KV_CACHE) == Amount(
        bytes=size, low_bytes=size, high_bytes=size, padding_bytes=padding
    )


def test_caches_lie_with_their_layers_or_all_on_the_host() -> None:
    settings = replace(WIDE, devices=(Device(uid="gpu"),), device_layers=2)

    def places(settings: Settings) -> dict[str, int]:
        items = need_of(layout("llama", 4), settings).items
        return {item.place: item.amount.bytes for item in items if item.part is Part.KV_CACHE}

    layer = CELL * 32768
    assert places(settings) == {HOST: 3 * layer, "gpu": layer}
    assert places(replace(settings, cache_on_devices=False)) == {HOST: 4 * layer}


MAMBA: Keys = {
    "ssm.conv_kernel": 4,
    "ssm.inner_size": 2048,
    "ssm.state_size": 16,
    "ssm.time_step_rank": 64,
}
MAMBA2: Keys = {**MAMBA, "ssm.state_size": 128, "ssm.group_count": 2}
STATE = 4 * (3 * 2048 + 16 * 2048)
STATE2 = 4 * (3 * (2048 + 2 * 2 * 128) + 128 * 2048)


@pytest.mark.parametrize(
    ("architecture", "keys", "recurrent", "attending", "state"),
    [
        ("mamba", {**MAMBA, "attention.head_count": 0}, 8, 0, STATE),
        ("mamba2", {**MAMBA2, "attention.head_count": 0}, 8, 0, STATE2),
        ("jamba", {**MAMBA, "attention.head_count_kv": (0, 0, 0, 2) * 2}, 6, 2, STATE),
        ("granitehybrid", {**MAMBA2, "attention.head_count_kv": (0, 0, 0, 2) * 2}, 6, 2, STATE2),
        ("falcon-h1", MAMBA2, 8, 8, STATE2),
        (
            "nemotron_h",
            {
                **MAMBA2,
                "attention.head_count_kv": (0, 0, 2, 0) * 2,
                "feed_forward_length": (0, 4096, 0, 0) * 2,
            },
            4,
            2,
            STATE2,
        ),
        ("qwen3next", MAMBA2, 6, 2, STATE2),
        ("qwen35", {**MAMBA2, "full_attention_interval": 2}, 4, 4, STATE2),
        ("qwen35moe", {**MAMBA2, "nextn_predict_layers": 1}, 6, 1, STATE2),
        (
            "lfm2",
            {"attention.head_count_kv": (0, 0, 2, 0) * 2, "shortconv.l_cache": 3},
            6,
            2,
            4 * 2 * 1024,
        ),
        (
            "rwkv7",
            {"attention.head_count": 0, "wkv.head_size": 64},
            8,
            0,
            4 * (2 * 1024 + 64 * 1024),
        ),
    ],
)
def test_recurrent_layers_keep_a_state_a_sequence_whatever_the_context(
    architecture: str, keys: Keys, recurrent: int, attending: int, state: int
) -> None:
    four = replace(WIDE, sequences=4)

    assert states(architecture, 8, keys, WIDE) == recurrent * state
    assert states(architecture, 8, keys, four) == 4 * recurrent * state
    assert cached(architecture, 8, keys, WIDE) == attending * CELL * 32768


def test_earlier_states_can_be_kept_where_the_architecture_goes_back_to_them() -> None:
    three = replace(WIDE, state_snapshots=3)

    assert states("qwen35", 8, MAMBA2, three) == 4 * 6 * STATE2
    assert states("qwen3next", 8, MAMBA2, three) == 6 * STATE2
