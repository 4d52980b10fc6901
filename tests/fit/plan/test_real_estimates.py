"""The plan with the figures that it is made with in earnest."""

from tests.fit.plan.standin import dense, gpu, snapshot
from tests.fit.truth import layout_of
from vramline.fit.estimate import lay_out_any
from vramline.fit.model import Model, Tensor, Value
from vramline.fit.plan.candidates import candidate_of
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


def test_vllm_has_all_on_the_device_or_nothing() -> None:
    matrices = tuple(
        Tensor(name=f"model.layers.{at}.mlp.up_proj.weight", type=TensorType.BF16, shape=shape)
        for at, shape in enumerate([(2048, 8192)] * 16)
    )
    model = Model(architecture="llama", metadata=CONFIG, tensors=matrices, file_bytes=0)
    small = candidate_of("small", lay_out_any(model))
    wish = Wish(backends=(Backend.CUDA,), settings=settings_of(Runner.VLLM))

    choice = plan(snapshot(gpu()), [small], wish).choice

    assert choice is not None
    assert (choice.placement, choice.context_tokens) == (Placement.DEVICES, 8192)
    # It wants 92 % of the whole card, whatever the model takes.
    assert plan(snapshot(gpu(free=7 * GIB)), [small], wish).choice is None


def test_a_gguf_model_is_nothing_for_vllm() -> None:
    wish = Wish(backends=(Backend.CUDA,), settings=settings_of(Runner.VLLM))

    found = plan(snapshot(gpu()), [candidate_of("dense", dense())], wish)

    assert [(each.candidate.name, each.why) for each in found.refusals] == [
        ("dense", Why.OTHER_FORMAT)
    ]
    assert found.choice is None
