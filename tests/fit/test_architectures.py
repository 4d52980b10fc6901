"""Every architecture in every place, against llama.cpp's own pass over the same header."""

import pytest

from tests.fit.truth import Run, architectures, further_runs, layout_of
from vramline.fit.amounts import Item, Part
from vramline.fit.compute.items import compute_items
from vramline.fit.need import need_of
from vramline.fit.settings import HOST
from vramline.fit.shape import KNOWN

SETTINGS = {"default", "half", "two", "host_experts"}
"""On devices: of the others ``bench/fit.py`` compares every row too."""

COLUMNS = {
    Part.WEIGHTS: "weights",
    Part.KV_CACHE: "context",
    Part.RECURRENT_STATE: "context",
    Part.COMPUTE: "compute",
}
PLACES = {HOST: "host", "dev0": "dev0", "dev1": "dev1"}


def told(run: Run) -> dict[str, int]:
    """What is said to be needed, by column."""
    layout = layout_of(run.header)
    sums = {column: 0 for column in run.columns if column.startswith(tuple(COLUMNS.values()))}

    def count(item: Item) -> None:
        sums[f"{COLUMNS[item.part]}_{PLACES[item.place]}"] += item.amount.bytes

    for item in need_of(layout, run.settings, compute_items(layout, run.settings)).items:
        if item.part in COLUMNS:
            count(item)
    return sums


@pytest.mark.parametrize("architecture", sorted({run.architecture for run in further_runs()}))
def test_every_byte_in_every_place_is_as_llama_cpp_has_it(architecture: str) -> None:
    runs = [
        run
        for run in further_runs()
        if run.architecture == architecture
        and (run.tier == "dry" or run.columns["setting"] in SETTINGS)
    ]
    wrong = {
        (run.model, run.tier, run.columns["setting"], column): (size, run.bytes(column))
        for run in runs
        for column, size in told(run).items()
        if size != run.bytes(column)
    }

    assert wrong == {}


def test_every_known_architecture_is_in_a_table() -> None:
    measured = {run.architecture for run in further_runs()} | set(architectures())

    assert measured == KNOWN
