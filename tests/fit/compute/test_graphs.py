"""Every architecture's list of operations, against the graphs that llama.cpp made."""

from typing import Any

import pytest

from tests.fit.compute.measured import INPUT, OUTPUT, Measured, graphs
from tests.fit.truth import Run, architectures, layout_of, runs_of
from vramline.fit.compute.allocator import peaks
from vramline.fit.compute.batches import prompt_batch
from vramline.fit.compute.graph import Graph, Node
from vramline.fit.compute.graphs import BUILDERS, graph_of, operations
from vramline.fit.items import Layout
from vramline.fit.settings import FlashAttention, Settings, take_effect
from vramline.fit.shape import KNOWN

SETTINGS = {
    "default": Settings(context_tokens=4096),
    "one_output": Settings(context_tokens=4096, outputs=1),
    "fa_off": Settings(context_tokens=4096, outputs=1, flash_attention=FlashAttention.OFF),
    "long": Settings(context_tokens=32768, outputs=1),
}


def prompt_graph(model: Layout, settings: Settings) -> Graph:
    """Build the graph that the buffer is reserved for."""
    shape = model.shape
    effect = take_effect(settings, trained_tokens=shape.context_length, causal=shape.causal)
    batch = prompt_batch(model.model, shape, model.cache, settings, effect)
    return graph_of(model.model, shape, batch)


def listed(graph: Graph) -> list[object]:
    """List a built graph's operations, each with what it reads and what it shows."""
    places = {id(node): at for at, node in enumerate(graph.nodes)}

    def named(node: Node) -> object:
        return places.get(id(node), (node.kind.value.lower(), *node.lengths))

    return [
        (
            node.op,
            node.kind.value.lower(),
            node.lengths,
            node.strides,
            [named(source) for source in node.sources],
            named(node.root) if node.is_view else None,
            node.output,
        )
        for node in graph.nodes
    ]


def recorded(measured: Measured) -> list[object]:
    """List a recorded graph's operations likewise."""
    tensors = measured.tensors
    leaves = sum(tensor["kind"] == "leaf" for tensor in tensors)

    def named(at: int) -> object:
        tensor = tensors[at]
        return at - leaves if at >= leaves else (tensor["type"].lower(), *tensor["ne"])

    def one(tensor: dict[str, Any]) -> object:
        return (
            tensor["op"],
            tensor["type"].lower(),
            tuple(tensor["ne"]),
            tuple(tensor["nb"]),
            [named(source) for source in tensor["src"]],
            named(tensor["view"]) if tensor["view"] >= 0 else None,
            bool(tensor["flags"] & OUTPUT),
        )

    return [one(tensor) for tensor in tensors[leaves:]]


def inputs(measured: Measured) -> list[object]:
    """List what a recorded graph is given, in its order."""
    return [
        (tensor["type"].lower(), *tensor["ne"])
        for tensor in measured.tensors
        if tensor["flags"] & INPUT
    ]


def test_every_recorded_graph_is_built_operation_by_operation() -> None:
    wrong = []
    for measured in graphs():
        graph = prompt_graph(layout_of(measured.header), SETTINGS[measured.setting])
        given = [(leaf.kind.value.lower(), *leaf.lengths) for leaf in graph.leaves if leaf.input]
        if listed(graph) != recorded(measured) or given != inputs(measured):
            wrong.append((measured.header, measured.setting))

    assert wrong == []


def test_every_known_architecture_has_a_list() -> None:
    assert BUILDERS.keys() == KNOWN


@pytest.mark.parametrize("architecture", architectures())
def test_every_run_on_a_cpu_took_what_its_graph_takes(architecture: str) -> None:
    def compute_bytes(run: Run) -> list[int]:
        return peaks(operations(prompt_graph(layout_of(run.header), run.settings)))

    wrong = {
        run.row: (compute_bytes(run), run.bytes("compute_host"))
        for run in runs_of(architecture)
        if run.tier != "gpu" and compute_bytes(run) != [run.bytes("compute_host")]
    }

    assert wrong == {}
