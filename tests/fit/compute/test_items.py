"""What is computed with, by place: against every measured run."""

from dataclasses import replace

import pytest

from tests.fit.made import EMBEDDING, OUTPUT, layout, tensor
from tests.fit.truth import DEVICES, architectures, layout_of, runs, runs_of
from vramline.fit.amounts import Item, Part
from vramline.fit.compute.bounds import compute_bounds
from vramline.fit.compute.items import compute_items
from vramline.fit.items import Layout
from vramline.fit.model import Value
from vramline.fit.settings import HOST, Backend, Device, Settings
from vramline.fit.tensor_types import TensorType


@pytest.mark.parametrize("architecture", architectures())
def test_every_measured_run_takes_what_is_told_and_the_bounds_hold_it(architecture: str) -> None:
    wrong = []
    for run in runs_of(architecture):
        some = layout_of(run.header)
        items, bounds = compute_items(some, run.settings), compute_bounds(some, run.settings)
        for item, bound in zip(items, bounds, strict=True):
            truth = run.bytes(f"compute_{item.place}")
            if item.amount.bytes != truth or not (holds(item, truth) and holds(bound, truth)):
                wrong.append((run.row, truth, item, bound))

    assert wrong == []


def holds(item: Item, size: int) -> bool:
    """Whether *size* is in the item's range."""
    return item.amount.low_bytes <= size <= item.amount.high_bytes


def test_all_419_runs_are_compared() -> None:
    assert sum(len(runs_of(architecture)) for architecture in architectures()) == len(runs()) == 419


def test_there_is_one_item_a_place_even_where_nothing_lies() -> None:
    settings = Settings(devices=DEVICES, device_layers=0)

    items = compute_items(layout_of("s-qwen3.gguf"), settings)

    assert [(item.part, item.place) for item in items] == [
        (Part.COMPUTE, HOST),
        (Part.COMPUTE, "dev0"),
        (Part.COMPUTE, "dev1"),
    ]
    assert items[2].amount.high_bytes == 0


def test_one_device_with_everything_is_exact_without_experts() -> None:
    items = compute_items(layout_of("s-qwen3.gguf"), Settings(devices=DEVICES[:1]))

    assert all(item.amount.exact for item in items)


def test_a_backend_whose_operations_are_not_known_has_the_bounds_of_the_closed_form() -> None:
    settings = Settings(devices=(Device(uid="dev0", backend=Backend.VULKAN),))
    some = layout_of("s-qwen3.gguf")

    ranges = [
        [(item.amount.low_bytes, item.amount.high_bytes) for item in tell(some, settings)]
        for tell in (compute_items, compute_bounds)
    ]
    told = compute_items(some, replace(settings, devices=DEVICES[:1]))

    assert ranges[0] == ranges[1]
    assert compute_items(some, settings)[1].amount.bytes == told[1].amount.bytes


def test_metal_without_flash_attention_for_two_types_makes_room_for_all_weights() -> None:
    some = layout_of("r-llama3.1-8b.gguf")
    metal = (Device(uid="dev0", backend=Backend.METAL),)
    mixed = Settings(context_tokens=32768, cache_type_k=TensorType.Q8_0, devices=metal)
    alike = replace(mixed, cache_type_k=TensorType.F16)

    tops = [compute_items(some, each)[1].amount.high_bytes for each in (mixed, alike)]

    weights = 4 * 512 * 32768 * 32
    assert tops[0] > weights > tops[1]


def test_a_single_token_may_do_without_halves_of_a_quantised_cache() -> None:
    some = layout_of("s-qwen3.gguf")
    quantised = Settings(
        context_tokens=8192,
        cache_type_k=TensorType.Q8_0,
        cache_type_v=TensorType.Q8_0,
        devices=DEVICES[:1],
    )
    single = replace(quantised, micro_batch_tokens=1)

    amount = compute_items(some, single)[1].amount

    assert compute_items(some, quantised)[1].amount.exact
    assert amount.low_bytes < 1 << 20 < amount.bytes == amount.high_bytes


BLOCK = {
    "attn_norm": (1024,),
    "attn_q": (1024, 1024),
    "attn_q_norm": (128,),
    "attn_k": (1024, 256),
    "attn_k_norm": (128,),
    "attn_v": (1024, 256),
    "attn_output": (1024, 1024),
    "ffn_norm": (1024,),
    "ffn_gate_inp": (1024, 1024),
    "ffn_gate_exps": (1024, 64, 1024),
    "ffn_up_exps": (1024, 64, 1024),
    "ffn_down_exps": (64, 1024, 1024),
}
"""Of qwen3moe, with 1024 experts."""


def with_experts(layers: int, used: int) -> Layout:
    keys: dict[str, Value] = {
        "expert_count": 1024,
        "expert_used_count": used,
        "expert_feed_forward_length": 64,
    }
    blocks = [
        tensor(f"blk.{at}.{name}.weight", *shape)
        for at in range(layers)
        for name, shape in BLOCK.items()
    ]
    return layout("qwen3moe", layers, keys, (EMBEDDING, OUTPUT, *blocks))


def test_a_header_with_experts_beyond_measure_has_the_bounds() -> None:
    many, too_many = with_experts(8, 1024), with_experts(9, 1024)

    assert compute_items(many, Settings())[0].amount.exact
    assert compute_items(too_many, Settings()) == compute_bounds(too_many, Settings())


def test_an_architecture_without_a_graph_has_a_wide_range() -> None:
    some = layout("of-tomorrow", 4)

    (item,) = compute_items(some, Settings())

    assert item.amount.low_bytes * 4 < item.amount.high_bytes


def test_a_header_that_lacks_tensors_has_the_bounds() -> None:
    some = layout("llama", 4)

    assert compute_items(some, Settings()) == compute_bounds(some, Settings())
