from dataclasses import replace

import pytest

from vramline.fit.ollama import Circumstances, ollama_settings
from vramline.fit.settings import (
    ALL_LAYERS,
    Backend,
    Device,
    FlashAttention,
    Runner,
    Settings,
    settings_of,
)
from vramline.fit.tensor_types import TensorType
from vramline.units import GIB

DEVICES = (Device(uid="gpu"),)
CARD = Circumstances(devices=DEVICES, device_bytes=8 * GIB)


def test_a_small_card_gets_the_row_of_defaults() -> None:
    assert ollama_settings(CARD) == settings_of(
        Runner.OLLAMA, devices=DEVICES, micro_batch_tokens=512
    )


@pytest.mark.parametrize(
    ("gibibytes", "context"), [(0, 4096), (22.9, 4096), (23.5, 32768), (47.5, 262144)]
)
def test_the_context_follows_the_memory_of_all_devices(gibibytes: float, context: int) -> None:
    card = replace(CARD, device_bytes=int(gibibytes * GIB))

    assert ollama_settings(card).context_tokens == context


@pytest.mark.parametrize(
    ("options", "environment", "context"),
    [
        ({"num_ctx": 8192}, {"OLLAMA_CONTEXT_LENGTH": "16384"}, 8192),
        ({}, {"OLLAMA_CONTEXT_LENGTH": "16384"}, 16384),
        ({"num_ctx": 2}, {}, 4),
        ({"num_ctx": -5}, {}, 4096),
        ({"num_ctx": 2**70}, {}, 4096),
        ({"num_ctx": "8192"}, {}, 8192),
        ({"num_ctx": True}, {"OLLAMA_CONTEXT_LENGTH": "\u0661\u0662"}, 4096),
        ({"num_ctx": float("nan")}, {"OLLAMA_CONTEXT_LENGTH": "9" * 5000}, 4096),
        ({"num_ctx": 8192}, {"OLLAMA_NUM_PARALLEL": "3"}, 24576),
    ],
)
def test_what_is_said_goes_before(
    options: dict[str, object], environment: dict[str, str], context: int
) -> None:
    settings = ollama_settings(CARD, options=options, environment=environment)

    assert settings.context_tokens == context


def test_every_sequence_has_a_context_of_its_own() -> None:
    settings = ollama_settings(CARD, environment={"OLLAMA_NUM_PARALLEL": "4"})

    assert (settings.sequences, settings.context_tokens) == (4, 16384)


@pytest.mark.parametrize(
    ("context", "free", "expected", "batch"),
    [
        (4096, 0, 0, 512),
        (4097, 0, 0, 1024),
        (32769, 0, 0, 2048),
        (32769, 24, 14, 2048),
        (32769, 24, 15, 1024),
        (32769, 24, 18.5, 512),
        (8192, 10, 7.3, 512),
        (8192, 10, 7.2, 1024),
    ],
)
def test_the_batch_follows_the_context_and_what_is_free(
    context: int, free: float, expected: float, batch: int
) -> None:
    card = replace(CARD, free_bytes=int(free * GIB), expected_bytes=int(expected * GIB))

    settings = ollama_settings(card, options={"num_ctx": context})

    assert (settings.batch_tokens, settings.micro_batch_tokens) == (batch, batch)


@pytest.mark.parametrize(
    ("word", "attention"),
    [
        ("", FlashAttention.AUTO),
        ("False", FlashAttention.OFF),
        ("1", FlashAttention.ON),
        ("off", FlashAttention.ON),
    ],
)
def test_any_word_but_a_no_asks_for_flash_attention(word: str, attention: FlashAttention) -> None:
    settings = ollama_settings(CARD, environment={"OLLAMA_FLASH_ATTENTION": word})

    assert settings.flash_attention is attention


def test_a_batch_that_is_said_is_kept() -> None:
    settings = ollama_settings(CARD, options={"num_ctx": 65536, "num_batch": 128})

    assert (settings.batch_tokens, settings.micro_batch_tokens) == (128, 128)


@pytest.mark.parametrize(("free", "batch"), [(8, 256), (9, 512), (0, 512)])
def test_cuda_without_flash_attention_gets_a_small_batch(free: int, batch: int) -> None:
    card = replace(CARD, smallest_free_bytes=free * GIB)
    settings = ollama_settings(
        card, options={"num_ctx": 65536}, environment={"OLLAMA_FLASH_ATTENTION": "0"}
    )

    assert (settings.flash_attention, settings.batch_tokens) == (FlashAttention.OFF, batch)


def test_an_embedding_model_is_computed_alone_and_at_once() -> None:
    environment = {"OLLAMA_NUM_PARALLEL": "4", "OLLAMA_CONTEXT_LENGTH": "1024"}
    settings = ollama_settings(CARD, environment=environment, embeds=True)

    assert settings == settings_of(
        Runner.OLLAMA,
        devices=DEVICES,
        context_tokens=1024,
        batch_tokens=1024,
        micro_batch_tokens=1024,
        embeddings=True,
    )


def test_a_model_that_sees_gets_a_context_for_an_image() -> None:
    assert ollama_settings(CARD, options={"num_ctx": 512}, sees=True).context_tokens == 2048


def test_the_cache_is_of_one_type() -> None:
    settings = ollama_settings(CARD, environment={"OLLAMA_KV_CACHE_TYPE": "q8_0"})
    other = ollama_settings(CARD, environment={"OLLAMA_KV_CACHE_TYPE": "q3_7"})

    assert (settings.cache_type_k, settings.cache_type_v) == (TensorType.Q8_0,) * 2
    assert other.cache_type_k is TensorType.F16


def where(settings: Settings) -> tuple[int, bool]:
    return settings.device_layers, settings.map_file


def test_weights_are_copied_where_ollama_does_not_map_them() -> None:
    host = Circumstances()
    metal = Circumstances(devices=(Device(uid="m", backend=Backend.METAL),))

    assert where(ollama_settings(CARD)) == (ALL_LAYERS, True)
    assert where(ollama_settings(CARD, options={"num_gpu": 20})) == (20, True)
    assert where(ollama_settings(CARD, options={"num_gpu": -1})) == (ALL_LAYERS, True)
    assert where(ollama_settings(CARD, options={"num_gpu": 0})) == (0, False)
    assert where(ollama_settings(host)) == (ALL_LAYERS, False)
    assert where(ollama_settings(host, options={"use_mmap": True})) == (ALL_LAYERS, True)
    assert where(ollama_settings(replace(CARD, windows=True))) == (ALL_LAYERS, False)
    assert where(ollama_settings(metal)) == (ALL_LAYERS, True)
