"""The allocator against graphs that llama.cpp made, with the bytes that it reported for them."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.fit.compute.measured import INPUT, OUTPUT, graphs
from vramline.fit.compute.allocator import peaks
from vramline.fit.compute.operation import Operation

ALIGNMENT = 32
"""Of tensors in a buffer of the CPU's."""


def operation(tensor: dict[str, Any]) -> Operation:
    return Operation(
        op=tensor["op"],
        size=-(-tensor["bytes"] // ALIGNMENT) * ALIGNMENT,
        layout=(tensor["type"], *tensor["ne"], *tensor["nb"]),
        sources=tuple(tensor["src"]),
        view=tensor["view"],
        leaf=tensor["kind"] == "leaf",
        external=bool(tensor["ext"]),
        input=bool(tensor["flags"] & INPUT),
        output=bool(tensor["flags"] & OUTPUT),
    )


def made(size: int, *sources: int, op: str = "MUL_MAT", **more: Any) -> Operation:
    return Operation(op=op, size=size, layout=size, sources=sources, **more)


def test_every_measured_graph_takes_what_llama_cpp_reported() -> None:
    wrong = {}
    for measured in graphs():
        took = peaks([operation(tensor) for tensor in measured.tensors])
        if took != [measured.compute_bytes]:
            wrong[measured.header, measured.setting] = (took, measured.compute_bytes)

    assert wrong == {}


def test_all_128_graphs_are_compared() -> None:
    assert len({(measured.header, measured.setting) for measured in graphs()}) == 128


def test_a_result_is_written_over_a_source_that_nobody_else_reads() -> None:
    source = made(64, leaf=True, external=True)

    assert peaks([source, made(64, 0), made(64, 1, op="ADD")]) == [64]
    assert peaks([source, made(64, 0), made(64, 1)]) == [128]


def test_what_was_read_for_the_last_time_makes_room() -> None:
    source = made(64, leaf=True, external=True)
    chain = [source, made(100, 0), made(40, 1), made(100, 2)]

    assert peaks(chain) == [140]


def test_an_output_is_never_freed() -> None:
    source = made(64, leaf=True, external=True)
    chain = [source, made(100, 0, output=True), made(40, 1), made(100, 2)]

    assert peaks(chain) == [240]


def test_weights_and_views_take_nothing() -> None:
    weight = made(2**40, leaf=True, external=True)

    assert peaks([weight, made(64, 0), made(64, 1, op="VIEW", view=1)]) == [64]


@given(st.lists(st.tuples(st.integers(1, 64), st.integers(0, 9), st.booleans()), max_size=40))
def test_a_chain_takes_no_less_than_its_largest_and_no_more_than_all(
    steps: list[tuple[int, int, bool]],
) -> None:
    operations = [made(32, leaf=True, input=True)]
    for size, back, in_place in steps:
        source = max(0, len(operations) - 1 - back)
        operations.append(made(size * 32, source, op="ADD" if in_place else "MUL_MAT"))
    sizes = [each.size for each in operations]

    (peak,) = peaks(operations)
    assert max(sizes) <= peak <= sum(sizes)
