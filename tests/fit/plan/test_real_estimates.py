"""The plan with the figures that it is made with in earnest."""

from typing import Any

import pytest

from tests.fit.plan.standin import BROWSER, dense, gpu, snapshot
from tests.fit.truth import layout_of
from vramline.fit.estimate import lay_out_any
from vramline.fit.model import Model, Tensor, Value
from vramline.fit.plan.candidates import Candidate, candidate_of
from vramline.fit.plan.planning import plan
from vramline.fit.plan.values import Why
from vramline.fit.plan.wish import Placement, Wish
from vramline.fit.settings import Backend, Runner, settings_of
from vramline.fit.tensor_types import TensorType
from vramline.units import GIB

CONFIG: dict[str, Value] = {
    "model_type": "llama",
    "dtype": "bfloat16",
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 16,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 8192,
    "vocab_size": 32000,
}


def test_what_is_chosen_was_replayed_and_fits() -> None:
    every = [candidate_of(name, layout_of(f"{name}.gguf")) for name in ("r-qwen3-4b", "s-gemma3")]

    choice = plan(snapshot(gpu(free=6 * GIB)), every, Wish(backends=(Backend.CUDA,))).choice

    assert choice is not None
    assert (choice.candidate.name, choice.placement) == ("r-qwen3-4b", Placement.DEVICES)
    assert choice.exact
    assert not any(use.missing_bytes for use in choice.uses)


def served(**changes: Any) -> tuple[Candidate, Wish]:
    """Return a model of half a GiB, and the wish that vLLM runs it."""
    matrices = tuple(
        Tensor(name=f"model.layers.{at}.mlp.up_proj.weight", type=TensorType.BF16, shape=shape)
        for at, shape in enumerate([(2048, 8192)] * 16)
    )
    model = Model(architecture="llama", metadata=CONFIG, tensors=matrices, file_bytes=0)
    wish = Wish(backends=(Backend.CUDA,), settings=settings_of(Runner.VLLM, **changes))
    return candidate_of("small", lay_out_any(model)), wish


@pytest.mark.parametrize(("free", "share"), [(24, 0.92), (22, 0.87), (10, 0.37)])
def test_vllm_takes_of_a_device_what_it_can_have(free: int, share: float) -> None:
    small, wish = served()
    card = gpu(free=free * GIB, memory_total_bytes=24 * GIB)

    choice = plan(snapshot(card), [small], wish).choice

    assert choice is not None
    assert (choice.placement, choice.context_tokens) == (Placement.DEVICES, 8192)
    assert choice.settings.memory_share == share
    assert choice.need.claims["GPU-a"] <= free * GIB


def test_a_share_that_was_said_has_to_be_free() -> None:
    small, wish = served(memory_share=0.9)
    whole, held = (gpu(free=free * GIB, memory_total_bytes=24 * GIB) for free in (24, 20))

    assert plan(snapshot(whole), [small], wish).choice is not None
    assert plan(snapshot(held), [small], wish).choice is None


def test_where_vllm_cannot_have_enough_it_is_told_who_has_it() -> None:
    small, wish = served()
    card = gpu(free=2 * GIB, processes=(BROWSER,))

    (refusal,) = plan(snapshot(card), [small], wish).refusals

    assert (refusal.why, [each.name for each in refusal.holders]) == (Why.NO_ROOM, ["firefox"])


def test_a_gguf_model_is_nothing_for_vllm() -> None:
    wish = Wish(backends=(Backend.CUDA,), settings=settings_of(Runner.VLLM))

    found = plan(snapshot(gpu()), [candidate_of("dense", dense())], wish)

    assert [(each.candidate.name, each.why) for each in found.refusals] == [
        ("dense", Why.OTHER_FORMAT)
    ]
    assert found.choice is None
