"""What is computed with, by place: against every measured run."""

from dataclasses import replace

import pytest

from tests.fit.made import layout
from tests.fit.truth import DEVICES, architectures, layout_of, runs, runs_of
from vramline.fit.amounts import Item, Part
from vramline.fit.compute.bounds import compute_bounds
from vramline.fit.compute.items import compute_items
from vramline.fit.settings import HOST, Backend, Device, Settings


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


def test_an_architecture_without_a_graph_has_a_wide_range() -> None:
    some = layout("of-tomorrow", 4)

    (item,) = compute_items(some, Settings())

    assert item.amount.low_bytes * 4 < item.amount.high_bytes


def test_a_header_that_lacks_tensors_has_the_bounds() -> None:
    some = layout("llama", 4)

    assert compute_items(some, Settings()) == compute_bounds(some, Settings())
