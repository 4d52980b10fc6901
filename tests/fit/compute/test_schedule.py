"""The scheduler against what llama.cpp's own gave with an emulated CUDA device."""

from dataclasses import replace

import pytest

from tests.fit.truth import DEVICES, Run, layout_of, runs
from vramline.fit.compute.allocator import peaks
from vramline.fit.compute.batches import prompt_batch
from vramline.fit.compute.build import Batch
from vramline.fit.compute.graph import F32, Graph, Node, add, leaf, matmul
from vramline.fit.compute.graphs import graph_of
from vramline.fit.compute.placement import Placement
from vramline.fit.compute.schedule import Schedule
from vramline.fit.compute.splits import Splits
from vramline.fit.items import Layout
from vramline.fit.settings import Device, Settings, take_effect

ON_DEVICES = [run for run in runs() if run.tier == "gpu"]


def batch_of(layout: Layout, settings: Settings) -> Batch:
    shape = layout.shape
    effect = take_effect(settings, trained_tokens=shape.context_length, causal=shape.causal)
    return prompt_batch(layout.model, shape, layout.cache, settings, effect)


def splits_of(run: Run) -> Splits:
    layout = layout_of(run.header)
    batch = batch_of(layout, run.settings)
    architecture = layout.shape.architecture
    placement = Placement(run.settings, layout.weights.block_count, architecture)
    graph = graph_of(layout.model, layout.shape, batch)
    return Splits(Schedule(graph, placement, tokens=batch.tokens, asked=False))


@pytest.mark.parametrize("offload", sorted({run.columns["offload"] for run in ON_DEVICES}))
def test_every_measured_run_has_as_many_splits_and_takes_what_was_reported(offload: str) -> None:
    wrong = {}
    for run in ON_DEVICES:
        if run.columns["offload"] != offload:
            continue
        splits = splits_of(run)
        devices = len(run.settings.devices)
        found = (len(splits.every), *peaks(splits.operations(), devices + 1))
        places = [f"compute_{place}" for place in ("dev0", "dev1")[:devices]]
        reported = int(run.columns["graph_splits"].split("/")[0])
        truth = (reported, *(run.bytes(place) for place in (*places, "compute_host")))
        if found != truth:
            wrong[run.row] = (found, truth)

    assert wrong == {}


def test_all_148_runs_are_compared() -> None:
    assert len(ON_DEVICES) == 148


def weight(name: str, layer: int | None, *lengths: int) -> Node:
    node = leaf(F32, *lengths)
    node.name, node.layer, node.external = name, layer, True
    return node


def given(name: str, *lengths: int) -> Node:
    node = leaf(F32, *lengths)
    node.name, node.input = name, True
    return node


def small_graph(tokens: int, *, pinned: bool = False) -> Graph:
    """Two products, one by a weight of each of two blocks, with a sum between them."""
    graph = Graph()
    value = given("inp_embd", 128, tokens)
    first = matmul(weight("blk.0.ffn_up.weight", 0, 128, 128), value)
    between = add(first, value)
    between.pinned, between.layer = pinned, 1
    graph.expand(matmul(weight("blk.1.ffn_up.weight", 1, 128, 128), between))
    return graph


def places(
    settings: Settings, *, tokens: int = 64, pinned: bool = False, asked: bool = False
) -> list[int]:
    """Return where the small graph's operations run: devices from 0, then the host."""
    graph = small_graph(tokens, pinned=pinned)
    placement = Placement(settings, 2, "llama")
    schedule = Schedule(graph, placement, tokens=tokens, asked=asked)
    return [schedule.where[node.at] for node in graph.nodes]


ONE = Settings(devices=DEVICES[:1])
TWO = Settings(devices=(Device(uid="dev0", share=0.2), Device(uid="dev1", share=0.8)))
"""The first block on one, the second and the output on the other."""


def test_an_operation_runs_where_its_weight_lies_and_others_follow_the_device_before() -> None:
    assert places(ONE) == [0, 0, 0]
    assert places(TWO) == [0, 0, 1]


def test_many_rows_are_computed_on_a_device_though_the_weight_is_on_the_host() -> None:
    half = replace(ONE, device_layers=2)

    assert places(half, tokens=32) == [0, 0, 0]
    assert places(half, tokens=31) == [1, 0, 0]


def test_a_norm_runs_with_its_layer_where_llama_cpp_asks_for_that() -> None:
    assert places(TWO, pinned=True, asked=True) == [0, 1, 1]
    assert places(TWO, pinned=True) == [0, 0, 1]


def test_a_weight_from_the_host_is_copied_for_its_operation_alone() -> None:
    settings = replace(ONE, device_layers=1)
    graph = small_graph(64)
    schedule = Schedule(graph, Placement(settings, 2, "llama"), tokens=64, asked=False)

    splits = Splits(schedule)

    assert [[node.name for node in split.inputs] for split in splits.every] == [
        ["blk.0.ffn_up.weight", "inp_embd"],
        ["blk.1.ffn_up.weight"],
    ]
    size, value = 4 * 128 * 128, 4 * 128 * 64
    # The first weight makes room for the second; the sum is written over the first product.
    assert peaks(splits.operations(), 2) == [size + 2 * value, value]


def test_several_devices_hold_four_copies_of_what_they_read_from_elsewhere() -> None:
    graph = small_graph(64)
    schedule = Schedule(graph, Placement(TWO, 2, "llama"), tokens=64, asked=False)

    found = peaks(Splits(schedule).operations(), 3)

    value = 4 * 128 * 64
    assert found == [4 * value + value, 4 * value + value, 4 * value]
