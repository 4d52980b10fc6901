from dataclasses import replace

from tests.fit.truth import layout_of, runs
from vramline.fit.settings import (
    Effect,
    FlashAttention,
    Runner,
    Settings,
    settings_of,
    take_effect,
)

EFFECT = Effect(
    cells=4096,
    streams=1,
    sequences=1,
    unified=False,
    batch_tokens=2048,
    micro_batch_tokens=512,
    outputs=2048,
    values_transposed=False,
)


def test_the_effect_is_llama_cpps_in_every_run() -> None:
    told, true = {}, {}
    for run in runs():
        shape = layout_of(run.header).shape
        effect = take_effect(run.settings, trained_tokens=shape.context_length, causal=shape.causal)
        told[run.row] = (
            effect.context_tokens,
            effect.cells,
            effect.batch_tokens,
            effect.micro_batch_tokens,
        )
        true[run.row] = tuple(
            run.bytes(f"eff_{name}") for name in ("n_ctx", "n_ctx_seq", "n_batch", "n_ubatch")
        )

    assert told == true


def test_a_context_is_rounded_up_to_256_cells() -> None:
    effect = take_effect(Settings(context_tokens=5000), trained_tokens=8192)

    assert effect.cells == 5120


def test_a_context_of_zero_is_what_the_model_was_trained_on() -> None:
    effect = take_effect(Settings(context_tokens=0), trained_tokens=4096)

    assert effect == EFFECT


def test_sequences_share_the_context_in_caches_of_their_own() -> None:
    effect = take_effect(Settings(context_tokens=1000, sequences=3), trained_tokens=8192)

    assert (effect.cells, effect.streams, effect.context_tokens) == (512, 3, 1536)


def test_a_batch_is_no_longer_than_the_context_before_that_is_rounded() -> None:
    effect = take_effect(Settings(context_tokens=300), trained_tokens=8192)

    assert (effect.batch_tokens, effect.micro_batch_tokens, effect.outputs) == (300, 300, 300)


def test_a_model_that_sees_all_tokens_at_once_keeps_its_batch() -> None:
    effect = take_effect(Settings(context_tokens=512), trained_tokens=512, causal=False)

    assert (effect.cells, effect.batch_tokens, effect.micro_batch_tokens) == (512, 2048, 512)


def test_a_micro_batch_of_zero_is_the_batch() -> None:
    effect = take_effect(Settings(context_tokens=4096, micro_batch_tokens=0), trained_tokens=4096)

    assert effect.micro_batch_tokens == 2048


def test_llama_server_has_four_sequences_in_one_cache() -> None:
    effect = take_effect(
        settings_of(Runner.LLAMA_SERVER, context_tokens=8192), trained_tokens=131072
    )

    assert effect == Effect(
        cells=8192,
        streams=1,
        sequences=4,
        unified=True,
        batch_tokens=2048,
        micro_batch_tokens=512,
        outputs=4,
        values_transposed=False,
    )


def test_llama_server_gives_every_sequence_a_cache_when_told_how_many() -> None:
    effect = take_effect(
        settings_of(Runner.LLAMA_SERVER, context_tokens=8192, sequences=2), trained_tokens=131072
    )

    assert (effect.cells, effect.streams, effect.outputs) == (4096, 2, 2)


def test_llama_server_computes_embeddings_in_one_go() -> None:
    effect = take_effect(
        settings_of(Runner.LLAMA_SERVER, context_tokens=8192, embeddings=True),
        trained_tokens=131072,
    )

    assert (effect.batch_tokens, effect.micro_batch_tokens, effect.outputs) == (512, 512, 512)


def test_the_libraries_keep_every_cell_of_a_sliding_window() -> None:
    whole = {runner for runner in Runner if settings_of(runner).full_window_cache}

    assert whole == {Runner.LLAMA_LIBRARY, Runner.LLAMA_CPP_PYTHON}


def test_ollama_is_a_llama_server_of_one_sequence() -> None:
    effect = take_effect(settings_of(Runner.OLLAMA), trained_tokens=131072)

    assert effect == Effect(
        cells=4096,
        streams=1,
        sequences=1,
        unified=False,
        batch_tokens=512,
        micro_batch_tokens=512,
        outputs=1,
        values_transposed=False,
    )


def test_ollama_gives_no_sequence_more_than_the_model_was_trained_on() -> None:
    settings = settings_of(Runner.OLLAMA, context_tokens=65536, sequences=2)

    assert take_effect(settings, trained_tokens=8192).context_tokens == 16384


def test_lm_studio_has_four_sequences_in_one_cache() -> None:
    effect = take_effect(settings_of(Runner.LM_STUDIO), trained_tokens=131072)

    assert (effect.cells, effect.streams, effect.sequences, effect.outputs) == (4096, 1, 4, 512)


def test_llama_cpp_python_gives_embeddings_a_sequence_a_token_of_the_batch() -> None:
    many = settings_of(Runner.LLAMA_CPP_PYTHON, context_tokens=4096, embeddings=True)
    none = settings_of(Runner.LLAMA_CPP_PYTHON, embeddings=True, batch_tokens=0)

    effects = [take_effect(each, trained_tokens=8192) for each in (many, none)]

    assert [(effect.sequences, effect.unified) for effect in effects] == [(256, True), (1, True)]


def test_llama_cpp_python_starts_without_flash_attention_and_devices() -> None:
    settings = settings_of(Runner.LLAMA_CPP_PYTHON)

    assert settings == Settings(
        runner=Runner.LLAMA_CPP_PYTHON,
        context_tokens=512,
        batch_tokens=512,
        full_window_cache=True,
        flash_attention=FlashAttention.OFF,
        device_layers=0,
    )
    assert take_effect(settings, trained_tokens=8192).values_transposed


def test_each_of_llama_servers_caches_gets_what_the_model_was_trained_on() -> None:
    apart = settings_of(Runner.LLAMA_SERVER, sequences=2)

    assert take_effect(apart, trained_tokens=8192).cells == 8192
    assert take_effect(apart, trained_tokens=8192).streams == 2
    assert take_effect(replace(apart, context_tokens=8192), trained_tokens=8192).cells == 4096
    assert take_effect(replace(apart, unified_cache=True), trained_tokens=8192).cells == 8192
