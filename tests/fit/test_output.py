from tests.fit.made import layout
from tests.fit.truth import layout_of, runs
from vramline.fit.amounts import Amount, Part
from vramline.fit.need import need_of
from vramline.fit.settings import Runner, Settings, settings_of

MODEL = layout("llama", 2)
"""1000 tokens, an embedding of 1024."""


def test_the_output_buffer_is_exact_in_every_run() -> None:
    told = {
        run.row: need_of(layout_of(run.header), run.settings).of(Part.OUTPUT).bytes
        for run in runs()
    }

    assert told == {run.row: run.bytes("output_bytes") for run in runs()}


def test_a_context_begins_with_one_row_of_logits_a_sequence() -> None:
    need = need_of(MODEL, settings_of(Runner.LLAMA_SERVER))

    assert need.of(Part.OUTPUT) == Amount(bytes=16000, low_bytes=16000, high_bytes=16000)


def test_embeddings_are_beside_the_logits_and_grow_to_a_row_a_token() -> None:
    need = need_of(MODEL, Settings(context_tokens=256, embeddings=True))

    assert need.of(Part.OUTPUT) == Amount(
        bytes=4 * 2024, low_bytes=4 * 2024, high_bytes=4 * 2024 * 256
    )


def test_a_projected_embedding_has_its_own_length() -> None:
    projected = layout("llama", 2, {"embedding_length_out": 64})

    need = need_of(projected, Settings(embeddings=True))

    assert need.of(Part.OUTPUT).bytes == 4 * 1064
