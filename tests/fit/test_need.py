from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fit.made import EMBEDDING, layout, tensor
from tests.fit.truth import Run, architectures, layout_of, runs_of
from vramline.fit.amounts import Amount, Item, Part, about, add
from vramline.fit.items import Layout
from vramline.fit.model import Value
from vramline.fit.need import MemoryNeed, need_of
from vramline.fit.settings import (
    HOST,
    Backend,
    Device,
    FlashAttention,
    Runner,
    Settings,
)
from vramline.fit.tensor_types import TensorType

GPU = Device(uid="gpu")
WIDE = Settings(context_tokens=8192)


def computed(run: Run) -> list[Item]:
    """What the run computed with, as measured."""
    return [
        Item(
            part=Part.COMPUTE,
            place=place,
            amount=about(run.bytes(f"compute_{column}")),
            rule="measured",
        )
        for place, column in ((HOST, "host"), ("dev0", "dev0"), ("dev1", "dev1"))
    ]


@pytest.mark.parametrize("architecture", architectures())
def test_with_what_was_computed_with_the_totals_of_every_run_are_exact(architecture: str) -> None:
    told, true = {}, {}
    for run in runs_of(architecture):
        need = need_of(layout_of(run.header), run.settings, computed(run))
        told[run.row] = [
            need.total.bytes,
            *(need.at(place).bytes for place in (HOST, "dev0", "dev1")),
        ]
        true[run.row] = [
            run.bytes(f"total_{column}") for column in ("bytes", "host", "dev0", "dev1")
        ]

    assert told == true


@pytest.mark.parametrize("architecture", architectures())
def test_no_run_that_happened_is_refused_or_unsupported(architecture: str) -> None:
    needs = [need_of(layout_of(run.header), run.settings) for run in runs_of(architecture)]

    assert {(need.refusal, need.unsupported) for need in needs} == {(None, None)}


def test_the_pages_that_stay_mapped_are_those_of_rearranged_weights() -> None:
    told, true = {}, {}
    for architecture in architectures():
        for run in runs_of(architecture):
            if run.tier != "load" or not run.settings.map_file:
                continue
            need = need_of(layout_of(run.header), run.settings)
            mapped = sum(item.amount.bytes for item in need.items if item.mapped)
            told[run.row] = mapped + need.file_cache_bytes
            true[run.row] = run.bytes("load_mapped_bytes")

    assert told == true


def test_a_need_is_told_by_part_and_place_with_its_rule() -> None:
    matrix = tensor("blk.0.attn_q.weight", 1024, 512)
    model = layout("llama", 1, None, (EMBEDDING, matrix))
    source = "https://github.com/ggml-org/llama.cpp/blob/master/src/"

    need = need_of(model, replace(WIDE, devices=(GPU,)))

    assert need == MemoryNeed(
        items=(
            Item(
                part=Part.WEIGHTS,
                place=HOST,
                amount=about(2048000),
                rule=source + "llama-model-loader.cpp",
                mapped=True,
            ),
            Item(
                part=Part.WEIGHTS,
                place="gpu",
                amount=about(2048000 + 2**20),
                rule=source + "llama-model-loader.cpp",
            ),
            Item(
                part=Part.KV_CACHE,
                place="gpu",
                amount=about(8192 * 1024),
                rule=source + "llama-kv-cache.cpp",
            ),
            Item(
                part=Part.OUTPUT,
                place=HOST,
                amount=about(4000),
                rule=source + "llama-context.cpp",
            ),
        )
    )
    assert need.at("gpu") == about(2048000 + 2**20 + 2**23)
    assert need.of(Part.WEIGHTS) == about(2 * 2048000 + 2**20)


def test_what_others_work_out_is_added_with_its_bounds() -> None:
    model = layout("llama", 1)
    runtime = Item(
        part=Part.RUNTIME,
        place="gpu",
        amount=Amount(bytes=300, low_bytes=150, high_bytes=500),
        rule="measured",
    )

    need = need_of(model, WIDE, [runtime])

    assert need.at("gpu") == runtime.amount
    assert need.total.high_bytes - need.total.low_bytes == 350
    assert not need.total.exact


def test_weights_that_are_read_and_not_mapped_are_nobodys_cache() -> None:
    matrix = tensor("blk.0.attn_q.weight", 1024, 512, kind=TensorType.Q4_K)

    need = need_of(layout("llama", 1, None, (EMBEDDING, matrix)), replace(WIDE, map_file=False))

    assert need.file_cache_bytes == 0
    assert not any(item.mapped for item in need.items)


@pytest.mark.parametrize(
    ("settings", "keys", "words"),
    [
        (
            replace(WIDE, flash_attention=FlashAttention.OFF, cache_type_v=TensorType.Q8_0),
            {},
            "need flash attention",
        ),
        (replace(WIDE, sequences=257), {}, "1 to 256"),
        (replace(WIDE, context_tokens=0), {"context_length": 0}, "no room"),
        (replace(WIDE, batch_tokens=0, micro_batch_tokens=0), {}, "no room"),
        (
            replace(WIDE, cache_type_k=TensorType.Q8_0),
            {"attention.key_length": 80},
            "do not divide a head of 80",
        ),
        (
            replace(WIDE, cache_type_k=TensorType.Q8_0),
            {"attention.key_length_mla": 192, "attention.value_length_mla": 128},
            "one row for both",
        ),
    ],
)
def test_what_llama_cpp_would_not_load_says_why(
    settings: Settings, keys: dict[str, Value], words: str
) -> None:
    refusal = need_of(layout("llama", 1, keys), settings).refusal

    assert refusal is not None
    assert words in refusal


@pytest.mark.parametrize("architecture", ["bert", "mamba"])
def test_the_types_of_a_cache_are_refused_though_the_model_keeps_none(architecture: str) -> None:
    settings = replace(WIDE, flash_attention=FlashAttention.OFF, cache_type_v=TensorType.Q8_0)

    refusal = need_of(layout(architecture, 1), settings).refusal

    assert refusal == "values in Q8_0 need flash attention: turn it on, or keep values in F16"


def test_an_architecture_without_rules_is_told_with_bounds_that_allow_for_anything() -> None:
    keys: dict[str, Value] = {
        "attention.head_count_kv": (2, 0),
        "attention.indexer.key_length": 128,
        "ssm.conv_kernel": 4,
        "ssm.inner_size": 2048,
        "ssm.state_size": 16,
    }

    need = need_of(layout("brand-new", 2, keys), WIDE)

    assert need.unsupported == "there are no rules here for the architecture brand-new"
    assert need.of(Part.KV_CACHE) == Amount(
        bytes=8192 * 1024, low_bytes=0, high_bytes=2 * 8192 * (1024 + 256)
    )
    assert need.of(Part.RECURRENT_STATE) == Amount(
        bytes=0, low_bytes=0, high_bytes=2 * 4 * (3 * 2048 + 16 * 2048)
    )


def test_the_same_layout_answers_for_any_settings() -> None:
    model = layout("gpt-oss", 4, {"attention.sliding_window": 128})

    first = need_of(model, WIDE)
    need_of(model, replace(WIDE, devices=(GPU,), sequences=3, cache_type_k=TensorType.F32))

    assert need_of(model, WIDE) == first


LAYERS = 12

MODELS = (
    layout("llama", LAYERS),
    layout("gemma4", LAYERS, {"attention.sliding_window": 512, "attention.shared_kv_layers": 4}),
    layout("falcon-h1", LAYERS, {"ssm.conv_kernel": 4, "ssm.inner_size": 64, "ssm.state_size": 8}),
    layout("brand-new", LAYERS),
)

ANY_DEVICE = st.builds(
    Device,
    uid=st.sampled_from(["a", "b", "c"]),
    backend=st.sampled_from(Backend),
    share=st.floats(0, 2**40),
)

ANY_SETTINGS = st.builds(
    Settings,
    runner=st.sampled_from(Runner),
    context_tokens=st.integers(0, 2**20),
    batch_tokens=st.integers(0, 4096),
    micro_batch_tokens=st.integers(0, 4096),
    sequences=st.none() | st.integers(0, 300),
    unified_cache=st.none() | st.booleans(),
    full_window_cache=st.booleans(),
    embeddings=st.booleans(),
    flash_attention=st.sampled_from(FlashAttention),
    cache_type_k=st.sampled_from([TensorType.F16, TensorType.Q8_0]),
    cache_type_v=st.sampled_from([TensorType.F16, TensorType.Q4_0]),
    devices=st.lists(ANY_DEVICE, max_size=3, unique_by=lambda device: device.uid).map(tuple),
    device_layers=st.integers(-1, LAYERS + 3),
    host_expert_layers=st.integers(0, LAYERS + 3),
    cache_on_devices=st.booleans(),
)


@given(model=st.sampled_from(MODELS), settings=ANY_SETTINGS)
def test_any_settings_give_parts_and_places_that_add_up(model: Layout, settings: Settings) -> None:
    need = need_of(model, settings)

    assert need.total == add(need.of(part) for part in Part)
    assert need.total == add(
        need.at(place) for place in (HOST, *(device.uid for device in settings.devices))
    )
    for item in need.items:
        assert 0 <= item.amount.low_bytes <= item.amount.bytes <= item.amount.high_bytes


@given(model=st.sampled_from(MODELS), settings=ANY_SETTINGS)
def test_where_layers_lie_changes_nothing_about_what_they_keep(
    model: Layout, settings: Settings
) -> None:
    def kept(need: MemoryNeed) -> list[int]:
        amounts = [need.of(part) for part in (Part.KV_CACHE, Part.RECURRENT_STATE)]
        return [amount.bytes - amount.padding_bytes for amount in amounts]

    assert kept(need_of(model, settings)) == kept(need_of(model, replace(settings, devices=())))
