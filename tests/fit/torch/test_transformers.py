from tests.fit.torch.made import (
    DEEPSEEK_V3,
    GEMMA3_27B,
    LLAMA_8B,
    llama_tensors,
    torch_model,
)
from vramline.fit.amounts import Part
from vramline.fit.model import Value
from vramline.fit.settings import HOST, Backend, Device, Runner, settings_of
from vramline.fit.tensor_types import TensorType
from vramline.fit.torch import lay_out_torch, torch_need
from vramline.fit.torch.transformers import cache_amount
from vramline.units import GIB

LLAMA = lay_out_torch(torch_model(LLAMA_8B, llama_tensors()))


def test_a_token_takes_a_row_of_every_layer() -> None:
    amount = cache_amount(LLAMA, TensorType.BF16, 1000, 2)

    assert amount.bytes == amount.low_bytes == 2 * 1000 * 32 * 8 * 256 * 2
    assert amount.high_bytes == 2 * amount.bytes + amount.bytes // 32


def test_a_layer_with_a_window_keeps_one_less_than_it() -> None:
    layout = lay_out_torch(torch_model(GEMMA3_27B))

    amount = cache_amount(layout, TensorType.BF16, 32768, 1)

    assert amount.bytes == (10 * 32768 + 52 * 1023) * 16 * 256 * 2


def test_a_latent_row_is_kept_compressed() -> None:
    layout = lay_out_torch(torch_model(DEEPSEEK_V3))

    assert cache_amount(layout, TensorType.BF16, 100, 1).bytes == 100 * 61 * 576 * 2


def test_a_state_is_kept_once() -> None:
    config: dict[str, Value] = {
        "model_type": "qwen3_next",
        "hidden_size": 64,
        "num_hidden_layers": 4,
        "num_attention_heads": 2,
        "linear_num_key_heads": 2,
        "linear_key_head_dim": 8,
        "linear_num_value_heads": 4,
        "linear_value_head_dim": 8,
        "linear_conv_kernel_dim": 4,
        "vocab_size": 10,
    }
    layout = lay_out_torch(torch_model(config))

    state = 4 * 8 * 8 + (2 * 2 * 8 + 4 * 8) * 3
    assert cache_amount(layout, TensorType.BF16, 10, 1).bytes == 2 * (3 * state + 10 * 2 * 64)


def test_without_a_device_everything_is_on_the_host() -> None:
    need = torch_need(LLAMA, settings_of(Runner.TRANSFORMERS, context_tokens=1000))

    assert {item.place for item in need.items} == {HOST}
    assert need.of(Part.WEIGHTS).bytes == LLAMA.weight_bytes
    assert (need.refusal, need.unsupported, need.claims) == (None, None, {})


def test_devices_take_their_shares() -> None:
    devices = (Device(uid="a", share=3.0), Device(uid="b", share=1.0))
    settings = settings_of(Runner.TRANSFORMERS, context_tokens=1000, devices=devices)
    need = torch_need(LLAMA, settings)

    sizes = [
        sum(item.amount.bytes for item in need.items if item.place == uid and item.part is part)
        for part in (Part.WEIGHTS, Part.KV_CACHE)
        for uid in "ab"
    ]
    cache = 1000 * 128 * 1024
    assert sizes == [
        LLAMA.weight_bytes * 3 // 4,
        LLAMA.weight_bytes // 4,
        cache * 3 // 4,
        cache // 4,
    ]


def test_a_prompt_as_long_as_the_context_is_computed_at_once() -> None:
    need = torch_need(LLAMA, settings_of(Runner.TRANSFORMERS, context_tokens=20000))

    assert f"{need.of(Part.COMPUTE).bytes / GIB:.2f}" == "2.06"


def test_vulkan_is_refused() -> None:
    devices = (Device(uid="a", backend=Backend.VULKAN),)
    settings = settings_of(Runner.TRANSFORMERS, devices=devices)

    assert torch_need(LLAMA, settings).refusal == "transformers does not run on vulkan"


def test_a_runner_on_llama_cpp_loads_no_safetensors() -> None:
    refusal = torch_need(LLAMA, settings_of(Runner.OLLAMA)).refusal

    assert refusal == "ollama loads GGUF files, and this is a safetensors model: convert it"
