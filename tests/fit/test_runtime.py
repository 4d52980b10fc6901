from datetime import UTC, datetime

from tests.fit.made import layout
from vramline.fit.amounts import Amount, Part
from vramline.fit.learned import Learned, Sample
from vramline.fit.model import ArraySummary, Model
from vramline.fit.need import lay_out, need_of
from vramline.fit.runtime import (
    DEVICES,
    PROCESSES,
    growth_items,
    overhead_items,
    runtime_items,
)
from vramline.fit.settings import HOST, Backend, Device, Runner, Settings, settings_of
from vramline.units import GIB, MIB

MODEL = layout("llama", 2)
GPU = Device(uid="gpu")
SEEN = Learned(
    runner=Runner.LLAMA_SERVER,
    backend=Backend.CUDA,
    place="gpu",
    driver_version="580.1",
    samples=(Sample(bytes=200 * MIB, at=datetime(2026, 1, 1, tzinfo=UTC)),),
    times=1,
)


def test_every_runner_and_backend_has_a_figure() -> None:
    assert (set(PROCESSES), set(DEVICES)) == (set(Runner), set(Backend))


def test_a_process_takes_its_code_and_its_tokeniser() -> None:
    (item,) = runtime_items(MODEL, Settings())

    assert (item.part, item.place, item.mapped) == (Part.RUNTIME, HOST, False)
    assert item.amount == Amount(
        bytes=8 * MIB + 164_000, low_bytes=5 * MIB + 82_000, high_bytes=60 * MIB + 328_000
    )


def test_the_tokeniser_is_what_was_measured() -> None:
    def tokeniser(tokens: int, **merges: ArraySummary) -> float:
        metadata = {
            "tokenizer.ggml.tokens": ArraySummary(type="string", count=tokens),
            **{f"tokenizer.ggml.{key}": value for key, value in merges.items()},
        }
        model = MODEL.model
        laid_out = lay_out(
            Model(
                architecture="llama",
                metadata={**model.metadata, **metadata},
                tensors=model.tensors,
                file_bytes=0,
            )
        )
        return runtime_items(laid_out, Settings())[0].amount.bytes / MIB - 8

    merges = ArraySummary(type="string", count=1)
    assert round(tokeniser(32000)) == 5
    assert 41 < tokeniser(128256, merges=merges) < tokeniser(151936, merges=merges) < 50


def test_a_device_takes_a_context_and_the_host_its_other_end() -> None:
    host, gpu = runtime_items(MODEL, Settings(devices=(GPU,)))

    assert host.amount.bytes == 158 * MIB + 164_000
    assert (gpu.place, gpu.amount) == ("gpu", DEVICES[Backend.CUDA].amount)


def test_what_this_machine_took_stands_in_for_the_range() -> None:
    settings = settings_of(Runner.LLAMA_SERVER, devices=(GPU, Device(uid="other")))
    _, gpu, other = runtime_items(MODEL, settings, (SEEN,))

    assert gpu.amount == SEEN.amount
    assert other.amount == DEVICES[Backend.CUDA].amount


def test_what_another_runner_took_does_not() -> None:
    _, gpu = runtime_items(MODEL, Settings(devices=(GPU,)), (SEEN,))

    assert gpu.amount == DEVICES[Backend.CUDA].amount


def test_pytorch_takes_more_on_a_device() -> None:
    _, gpu = overhead_items(settings_of(Runner.VLLM, devices=(GPU,)), 0)

    assert gpu.amount.bytes == 450 * MIB


def test_every_figure_lies_between_its_bounds() -> None:
    for overhead in (*PROCESSES.values(), *DEVICES.values()):
        amount = overhead.amount
        assert amount.low_bytes <= amount.bytes <= amount.high_bytes


def grows(settings: Settings, architecture: str = "llama", **keys: int) -> list[int]:
    made = layout(architecture, 6, dict(keys))
    return [item.amount.high_bytes for item in growth_items(made, settings)]


def test_a_server_keeps_prompts_that_it_saw() -> None:
    assert grows(settings_of(Runner.LLAMA_SERVER)) == [8 * GIB]
    assert grows(settings_of(Runner.OLLAMA, prompt_cache_bytes=GIB)) == [GIB]
    assert grows(settings_of(Runner.LLAMA_SERVER, prompt_cache_bytes=0)) == []


def test_a_program_may_come_to_ask_for_every_tokens_logits() -> None:
    assert grows(settings_of(Runner.LLAMA_LIBRARY)) == [511 * 4 * 1000]
    assert grows(settings_of(Runner.LLAMA_LIBRARY, embeddings=True)) == []
    assert grows(settings_of(Runner.LLAMA_LIBRARY, outputs=1)) == []


def test_a_server_keeps_states_to_go_back_to_of_layers_with_a_window() -> None:
    settings = settings_of(Runner.OLLAMA, context_tokens=8192, prompt_cache_bytes=0)
    windowed = {"attention.sliding_window": 1024}

    # Five of six layers, the window and a batch, 256 numbers each for keys and for values.
    assert grows(settings, "gemma3", **windowed) == [32 * 5 * 1536 * 2 * 256 * 2]


def test_what_may_come_later_is_not_needed_at_load() -> None:
    settings = settings_of(Runner.LLAMA_SERVER, context_tokens=4096)
    need = need_of(MODEL, settings, grows=growth_items(MODEL, settings))

    assert need.growth_bytes(HOST) == 8 * GIB
    assert need.total == need_of(MODEL, settings).total
