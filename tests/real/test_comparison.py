"""What ``scripts/real`` goes by, without the real llama-cpp-python."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.real.__main__ import row
from tests.real.comparison import LOADS, Buffer, Comparison, buffers_of
from tests.real.models import EVERY, GEMMA3, LLAMA, MAMBA, Made, write
from vramline.fit.amounts import Amount, Item, Part, about
from vramline.fit.files import read_model
from vramline.fit.need import MemoryNeed, lay_out
from vramline.fit.settings import HOST
from vramline.units import MIB

LOG = """\
load_tensors:   CPU_Mapped model buffer size =    22.80 MiB
load_tensors:   CPU_REPACK model buffer size =    15.26 MiB
llama_context:        CPU  output buffer size =     0.12 MiB
llama_kv_cache:        CPU KV buffer size =     0.19 MiB
llama_kv_cache:        CPU KV buffer size =     1.12 MiB
sched_reserve:        CPU compute buffer size =    64.50 MiB
"""


def item(part: Part, mebibytes: float) -> Item:
    return Item(part=part, place=HOST, amount=about(round(mebibytes * MIB)), rule="made up")


NEED = MemoryNeed(
    items=(
        item(Part.WEIGHTS, 8.061),
        item(Part.WEIGHTS, 15.258),
        item(Part.KV_CACHE, 1.3125),
        item(Part.OUTPUT, 0.125),
        item(Part.COMPUTE, 64.504),
    ),
    file_cache_bytes=round(14.738 * MIB),
)


def test_each_buffer_is_compared_with_what_was_logged_of_it() -> None:
    buffers = buffers_of(NEED, LOG)

    assert {each.name: (each.logged, each.lines) for each in buffers} == {
        "model": (pytest.approx(38.06), 2),
        "KV": (pytest.approx(1.31), 2),
        "output": (0.12, 1),
        "compute": (64.50, 1),
    }
    assert all(each.is_equal for each in buffers)


@pytest.mark.parametrize(
    ("log", "name"),
    [
        (LOG.replace("64.50", "64.52"), "compute"),
        (LOG.replace("1.12", "1.14"), "KV"),
        (LOG.replace("output", "other"), "output"),
        (LOG + "llama_memory_recurrent:        CPU RS buffer size =     0.15 MiB\n", "RS"),
    ],
)
def test_a_buffer_that_differs_is_missing_or_was_not_said_is_wrong(log: str, name: str) -> None:
    wrong = [each.name for each in buffers_of(NEED, log) if not each.is_equal]

    assert wrong == [name]


RIGHT = Comparison(
    load=LOADS[0],
    buffers=(Buffer(name="KV", said=1.0, logged=1.0, lines=1),),
    said=Amount(bytes=200 * MIB, low_bytes=100 * MIB, high_bytes=300 * MIB),
    taken_bytes=250 * MIB,
)


@pytest.mark.parametrize(
    ("compared", "right"),
    [
        (RIGHT, True),
        (replace(RIGHT, taken_bytes=99 * MIB), False),
        (replace(RIGHT, taken_bytes=301 * MIB), False),
        (
            replace(RIGHT, buffers=(Buffer(name="KV", said=1.0, logged=1.02, lines=1),)),
            False,
        ),
    ],
)
def test_a_load_is_right_where_buffers_and_process_are(compared: Comparison, right: bool) -> None:
    assert compared.is_right == right


def test_what_differs_is_shown_with_both_figures() -> None:
    wrong = replace(RIGHT, buffers=(Buffer(name="KV", said=1.0, logged=1.02, lines=1),))

    assert row(wrong) == (
        *("llama", "-", "1.02, said 1.00", "-", "-", "-"),
        *("100-300", "250", "WRONG", "default"),
    )


@pytest.mark.parametrize("made", [LLAMA, GEMMA3, MAMBA], ids=lambda made: made.name)
def test_a_made_up_model_is_whole_and_has_rules(made: Made, tmp_path: Path) -> None:
    few = replace(made, words=300, others={**made.others, "token_embd.weight": (512, 300)})

    model = read_model(write(few, tmp_path / "made.gguf"))

    assert model.missing_bytes == 0
    assert lay_out(model).shape.known


def test_every_made_up_model_is_loaded() -> None:
    assert {load.made.name for load in LOADS} == {made.name for made in EVERY}
