"""A header that was kept: the same model comes back, and the same layout."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fit.made import EMBEDDING, OUTPUT, model, tensor
from tests.fit.truth import architectures, headers, layout_of, model_of, runs, runs_of
from vramline.fit.library.layouts import lay_out_packed
from vramline.fit.library.packed import PackedTensors, pack, unpack, unpack_lazily
from vramline.fit.model import ArraySummary, Model, Tensor
from vramline.fit.need import lay_out, need_of
from vramline.fit.settings import Backend, Device, Processor, Runner, settings_of
from vramline.fit.tensor_types import TensorType

EVERY_HEADER = sorted({run.header for run in runs()})

NAMES = st.one_of(
    st.text(max_size=20),
    st.lists(st.sampled_from(["blk", "0", "1", "12", "007", "", "{}", "exps", "weight"])).map(
        ".".join
    ),
)
TENSORS = st.lists(
    st.builds(
        Tensor,
        name=NAMES,
        type=st.sampled_from(TensorType),
        shape=st.lists(st.integers(0, 2**63 - 1), max_size=4).map(tuple),
    ),
    unique_by=lambda each: each.name,
)
NUMBERS = st.integers(-(2**63), 2**64 - 1)
VALUES = st.one_of(
    NUMBERS,
    st.booleans(),
    st.floats(allow_nan=False),
    st.text(max_size=20),
    st.lists(NUMBERS).map(tuple),
    st.lists(st.floats(allow_nan=False)).map(tuple),
    st.lists(st.booleans()).map(tuple),
    st.lists(st.text(max_size=5)).map(tuple),
    st.builds(ArraySummary, type=st.text(max_size=9), count=NUMBERS),
)
MODELS = st.builds(
    Model,
    architecture=st.text(max_size=9),
    metadata=st.dictionaries(st.text(max_size=9), VALUES),
    tensors=TENSORS.map(tuple),
    file_bytes=st.integers(0, 2**63),
    missing_bytes=st.integers(0, 2**63),
)


@settings(deadline=None)
@given(MODELS)
def test_any_model_comes_back(header: Model) -> None:
    found = unpack(pack(header))

    assert found == header
    assert repr(found) == repr(replace(header, metadata=dict(header.metadata)))  # 1 is no 1.0


@pytest.mark.parametrize("header", EVERY_HEADER)
def test_every_measured_header_comes_back_from_few_bytes(header: str) -> None:
    packed = pack(model_of(header))

    assert unpack(packed) == model_of(header)
    assert len(packed) < 12_000


def test_a_number_that_is_none_comes_back() -> None:
    header = model("llama", 1, {"eps": math.nan})

    assert math.isnan(float(unpack(pack(header)).metadata["llama.eps"]))  # type: ignore[arg-type]


def test_a_header_of_very_many_tensors_packs_small() -> None:
    experts = tuple(
        tensor(f"model.layers.{layer}.mlp.experts.{expert}.{name}.weight", 7168, 2048)
        for layer in range(10)
        for expert in range(256)
        for name in ("up_proj", "gate_proj", "down_proj")
    )
    header = model("deepseek_v3", 10, tensors=experts)

    packed = pack(header)

    assert len(packed) < len(experts) * 5
    assert unpack(packed) == header


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"=",
        b"={}",
        b"=[]",
        b"=" + b"[" * 100_000,
        b"~garbage",
        b"x{}",
        pack(model("llama", 1))[:-1],
        pack(model("llama", 1)).replace(b'"F16"', b'"F17"'),
        pack(model("llama", 1)).replace(b"\n[0,", b"\n[9,"),
        pack(model("llama", 1)).replace(b"\n[0,", b"\n[0,0,"),
        pack(model("llama", 1)).replace(b"\n[0,", b'\n["a",'),
        pack(model("llama", 1)).replace(b'"bytes":[0,0]', b'"bytes":[0]'),
    ],
)
def test_what_was_not_packed_is_refused(packed: bytes) -> None:
    with pytest.raises(ValueError, match="no header that was packed"):
        unpack(packed)


@pytest.mark.parametrize("architecture", architectures())
def test_a_packed_header_has_the_same_needs(architecture: str) -> None:
    laid_out = {
        run.header: lay_out_packed(*unpack_lazily(pack(model_of(run.header))))
        for run in runs_of(architecture)
    }

    for run in runs_of(architecture):
        expected = layout_of(run.header)
        found = laid_out[run.header]
        assert need_of(found, run.settings) == need_of(expected, run.settings)
        assert (found.shape, found.cache) == (expected.shape, expected.cache)
    for header, found in laid_out.items():
        assert found.model == model_of(header)


@pytest.mark.parametrize(
    ("architecture", "tensors"),
    [
        ("llama", (tensor("blk.07.attn_q.weight", 32), tensor("blk.1.attn_q.weight", 32))),
        ("llama", (tensor("blk.999999999.attn_q.weight", 32),)),
        ("llama", (tensor("blk.0.ffn_up.3.weight", 32), tensor("blk.0.ffn_up.4.weight", 32))),
        ("llama", (tensor("v.blk.0.attn_q.weight", 32), tensor("blk", 32), tensor("blk.0", 32))),
        ("llama", tuple(tensor(f"blk.{at}.ffn_up_exps.weight", 256, 8, 4) for at in range(4))),
        ("glm4moe", tuple(tensor(f"blk.{at}.attn_q.weight", 256, 8) for at in range(4))),
        ("gemma4", (tensor("rope_freqs.weight", 64), tensor("per_layer_model_proj.weight", 64))),
        ("lfm2", (tensor("token_embd_norm.weight", 64),)),
    ],
)
def test_odd_tensors_lie_where_they_would(architecture: str, tensors: tuple[Tensor, ...]) -> None:
    keys = {"attention.sliding_window": 512, "nextn_predict_layers": 1}
    for every in ((EMBEDDING, *tensors), (EMBEDDING, OUTPUT, *tensors), tensors):
        header = model(architecture, 4, {**keys}, every)
        expected, found = lay_out(header), lay_out_packed(*unpack_lazily(pack(header)))

        assert found.shape == expected.shape
        for processor in Processor:
            for backend in Backend:
                for layers in range(6):
                    loaded_so = settings_of(
                        Runner.LLAMA_SERVER,
                        processor=processor,
                        devices=(Device(uid="a", backend=backend), Device(uid="b")),
                        device_layers=layers,
                        host_expert_layers=2,
                    )
                    assert need_of(found, loaded_so) == need_of(expected, loaded_so)


def test_a_layer_that_is_not_loaded_takes_nothing() -> None:
    last = tuple(tensor(f"blk.{at}.attn_q.weight", 256, 8) for at in range(3))
    header = model("llama", 3, {"nextn_predict_layers": 3}, (EMBEDDING, *last))
    try:
        expected = lay_out(header)
    except ValueError as error:
        pytest.skip(f"such a model is not laid out: {error}")

    found = lay_out_packed(*unpack_lazily(pack(header)))

    assert need_of(found, settings_of(Runner.LLAMA_SERVER)) == need_of(
        expected, settings_of(Runner.LLAMA_SERVER)
    )


def test_packed_tensors_are_what_a_tuple_is() -> None:
    header = model_of(EVERY_HEADER[0])
    tensors = unpack_lazily(pack(header))[1]

    assert tensors == header.tensors
    assert header.tensors == tensors
    assert tensors == unpack_lazily(pack(header))[1]
    assert tensors != header.tensors[1:]
    assert (tensors[0], tensors[-1], tensors[1:3]) == (
        header.tensors[0],
        header.tensors[-1],
        header.tensors[1:3],
    )
    assert hash(tensors) == hash(header.tensors)
    assert isinstance(tensors, PackedTensors)
    assert len(tensors) == len(header.tensors)


def test_there_are_headers_to_test_with() -> None:
    assert headers().is_dir()
    assert len(EVERY_HEADER) == 32
