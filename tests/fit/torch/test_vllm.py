from dataclasses import replace

import pytest

from tests.fit.torch.made import (
    DEEPSEEK_V3,
    GEMMA3_27B,
    LLAMA_8B,
    QWEN3_CODER_30B,
    llama_tensors,
    torch_model,
)
from vramline.fit.amounts import Amount, Part
from vramline.fit.model import Value
from vramline.fit.settings import Backend, Device, Runner, settings_of
from vramline.fit.tensor_types import TensorType
from vramline.fit.torch import lay_out_torch, torch_need, vllm_capacity
from vramline.fit.torch.vllm import (
    Batch,
    batch_of,
    capacity_of,
    compute_amount,
    group_size,
    request_amount,
    tokens_in,
    weight_amount,
)
from vramline.units import GIB, MIB

ONE = settings_of(Runner.VLLM, devices=(Device(uid="gpu"),))
BATCH = Batch(tokens=2048, sequences=256)
LLAMA = lay_out_torch(torch_model(LLAMA_8B, llama_tensors()))
NONE = Amount(bytes=0, low_bytes=0, high_bytes=0)


def test_the_weights_of_llama_are_what_vllm_logged() -> None:
    # https://github.com/vllm-project/vllm/issues/10517: 14.9888
    assert f"{weight_amount(LLAMA, 1).bytes / GIB:.4f}" == "14.9888"


@pytest.mark.parametrize(("tokens", "peak"), [(20000, "17.05"), (29000, "17.98")])
def test_the_largest_batch_takes_what_vllm_logged(tokens: int, peak: str) -> None:
    # Likewise: 17.06 and 17.98 with the weights.
    computed = compute_amount(LLAMA, Batch(tokens=tokens, sequences=256), 1)

    assert f"{(weight_amount(LLAMA, 1).bytes + computed.bytes) / GIB:.2f}" == peak


def test_the_cache_holds_as_many_tokens_as_vllm_logged() -> None:
    # Likewise: 1478 blocks are 23,648 tokens, 0.82 sequences of 29,000.
    cache = 1478 * 2 * MIB
    one = request_amount(LLAMA, ONE, 29000, BATCH, 1)

    assert one.exact
    assert f"{cache / one.bytes:.2f}" == "0.82"
    assert tokens_in(cache, request_amount(LLAMA, ONE, 16, BATCH, 1).bytes, 16) == 23648


def test_what_was_left_for_the_cache_lies_in_the_range() -> None:
    # Likewise: 3.81 GiB of 23.58, with a share of 0.9.
    settings = settings_of(
        Runner.VLLM,
        context_tokens=20000,
        batch_tokens=20000,
        memory_share=0.9,
        devices=ONE.devices,
    )
    capacity = vllm_capacity(LLAMA, settings, {"gpu": int(23.58 * GIB)})["gpu"]

    assert capacity.claim_bytes == int(23.58 * GIB * 0.9) + 1
    assert capacity.cache_bytes.low_bytes < 3.81 * GIB < capacity.cache_bytes.high_bytes
    assert capacity.tokens.low_bytes < 31232 < capacity.tokens.high_bytes
    assert capacity.least_bytes.bytes == 1250 * 2 * MIB


def test_the_cache_of_one_sequence_is_what_vllm_said_it_needs() -> None:
    # https://github.com/vllm-project/vllm/issues/34076: 24.0 GiB for 262,144 tokens.
    layout = lay_out_torch(torch_model(QWEN3_CODER_30B))

    assert request_amount(layout, ONE, 262144, BATCH, 1).bytes == 24 * GIB


def test_devices_share_the_heads_but_not_a_latent_row() -> None:
    latent = lay_out_torch(torch_model(DEEPSEEK_V3))

    assert request_amount(LLAMA, ONE, 16, BATCH, 4).bytes == 2 * MIB // 4
    assert request_amount(LLAMA, ONE, 16, BATCH, 16).bytes == 2 * MIB // 8
    assert request_amount(latent, ONE, 16, BATCH, 8).bytes == 16 * 61 * 576 * 2


def test_a_cache_of_eight_bits_takes_half() -> None:
    settings = settings_of(Runner.VLLM, cache_type_k=TensorType.F8_E4M3, devices=ONE.devices)

    assert request_amount(LLAMA, settings, 16, BATCH, 1).bytes == MIB


def test_layers_with_a_window_share_blocks_in_groups_as_large_as_the_others() -> None:
    # 52 of 62 layers have the window: six groups of ten, beside the ten that see everything.
    layout = lay_out_torch(torch_model(GEMMA3_27B))
    page = 16 * 16 * 2 * 128 * 2

    amount = request_amount(layout, ONE, 131072, BATCH, 1)

    windowed = -(-(1024 - 1 + 2 * 2048) // 16) + 1
    assert amount.exact
    assert amount.bytes == 10 * page * (131072 // 16 + 6 * windowed)


def test_two_kinds_that_are_nearly_as_many_make_two_groups() -> None:
    assert (group_size([12, 13]), group_size([10, 52]), group_size([10, 15])) == (13, 10, 10)


def test_layers_of_several_sizes_are_told_as_a_range() -> None:
    config: dict[str, Value] = {
        "model_type": "gemma4_text",
        "hidden_size": 1024,
        "num_hidden_layers": 6,
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
        "head_dim": 128,
        "global_head_dim": 512,
        "sliding_window": 512,
        "vocab_size": 1000,
        "max_position_embeddings": 131072,
    }
    amount = request_amount(lay_out_torch(torch_model(config)), ONE, 65536, BATCH, 1)

    windowed, whole = 2 * 2 * 128 * 2 * 16, 2 * 2 * 512 * 2 * 16
    assert amount.low_bytes == 5 * windowed * (-(-(511 + 4096) // 16) + 1) + whole * 4096
    assert amount.low_bytes < amount.bytes < amount.high_bytes


def test_a_model_of_32_bits_is_served_in_16() -> None:
    config: dict[str, Value] = {**LLAMA_8B, "torch_dtype": "float32"}
    tensors = tuple(replace(each, type=TensorType.F32) for each in llama_tensors())

    wide, usual = (
        torch_need(layout, ONE) for layout in (lay_out_torch(torch_model(config, tensors)), LLAMA)
    )

    assert wide == usual


@pytest.mark.parametrize(
    ("gibibytes", "batch"),
    [
        (24, Batch(tokens=2048, sequences=256)),
        (80, Batch(tokens=8192, sequences=1024)),
        (180, Batch(tokens=16384, sequences=1024)),
    ],
)
def test_a_larger_device_gets_a_larger_batch(gibibytes: int, batch: Batch) -> None:
    assert batch_of(ONE, gibibytes * GIB) == batch


def test_the_least_that_is_free_gives_the_fewest_tokens() -> None:
    taken = Amount(bytes=10, low_bytes=5, high_bytes=30)
    least = Amount(bytes=10, low_bytes=5, high_bytes=10)

    capacity = capacity_of(claim=20, taken=taken, least=least, tokens=100)

    assert capacity.cache_bytes == Amount(bytes=10, low_bytes=0, high_bytes=15)
    assert capacity.tokens == Amount(bytes=100, low_bytes=0, high_bytes=300)


def test_a_model_that_keeps_nothing_needs_no_cache() -> None:
    assert tokens_in(100, 0, 10) == 0


def test_what_vllm_takes_is_claimed_whatever_the_model() -> None:
    need = torch_need(LLAMA, ONE, device_bytes={"gpu": 80 * GIB})

    assert need.claims == {"gpu": int(80 * GIB * 0.92) + 1}
    assert need.refusal is None
    assert need.of(Part.KV_CACHE).bytes == 16 * GIB


def test_a_device_of_unknown_size_has_no_claim() -> None:
    assert torch_need(LLAMA, ONE).claims == {}


def test_a_model_that_is_larger_than_the_share_is_refused() -> None:
    need = torch_need(LLAMA, ONE, device_bytes={"gpu": 16 * GIB})

    assert need.refusal is not None
    assert "raise --gpu-memory-utilization, or lower --max-model-len" in need.refusal


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"devices": ()}, "name one"),
        ({"devices": (Device(uid="a", backend=Backend.VULKAN),)}, "does not run on vulkan"),
        ({"devices": tuple(Device(uid=uid) for uid in "abc")}, "32 heads of attention"),
        ({"context_tokens": 200_000}, "a context of 200,000 tokens"),
        ({"memory_share": 1.5}, "a share of 1.5"),
    ],
)
def test_what_vllm_does_not_start_with_is_refused(changes: dict[str, object], words: str) -> None:
    settings = settings_of(Runner.VLLM, **{"devices": ONE.devices, **changes})
    refusal = torch_need(LLAMA, settings).refusal

    assert refusal is not None
    assert words in refusal
