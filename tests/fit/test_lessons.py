from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from vramline.fit.amounts import Amount, Item, Part, about
from vramline.fit.learned import Learned, Sample
from vramline.fit.lessons import Lessons, Loading, lessons_of
from vramline.fit.need import MemoryNeed
from vramline.fit.settings import HOST, Backend, Device, Runner, settings_of
from vramline.readings import (
    FrozenDict,
    GpuProcess,
    GpuReading,
    HostReading,
    MemoryPool,
    Snapshot,
)
from vramline.units import GIB, MIB

AT = datetime(2026, 1, 1, tzinfo=UTC)
BROWSER = GpuProcess(pid=1, start_time=1.0, memory_bytes=GIB)
SERVER = GpuProcess(pid=7, start_time=2.0, memory_bytes=4 * GIB + 300 * MIB)
SETTINGS = settings_of(Runner.LLAMA_SERVER, devices=(Device(uid="gpu"),))


def snapshot(*processes: GpuProcess, used: int | None = None, **changes: Any) -> Snapshot:
    gpu = GpuReading(
        uid="gpu",
        vendor="nvidia",
        driver_version="580.1",
        memory_used_bytes=used,
        processes=processes,
    )
    return Snapshot(taken_at=AT, host=HostReading(), gpus=(replace(gpu, **changes),))


def item(part: Part, place: str, amount: Amount, *, mapped: bool = False) -> Item:
    return Item(part=part, place=place, amount=amount, rule="", mapped=mapped)


NEED = MemoryNeed(
    items=(
        item(Part.WEIGHTS, "gpu", about(3 * GIB)),
        item(Part.COMPUTE, "gpu", about(GIB)),
        item(Part.RUNTIME, "gpu", about(GIB, GIB)),
        item(Part.WEIGHTS, HOST, about(GIB), mapped=True),
        item(Part.OUTPUT, HOST, about(MIB)),
    )
)
LOAD = Loading(
    settings=SETTINGS,
    need=NEED,
    before=snapshot(BROWSER, used=GIB),
    after=snapshot(BROWSER, SERVER, used=5 * GIB + 400 * MIB),
    pids=frozenset((7,)),
    host_bytes=61 * MIB,
)


def learned(place: str, size: int, driver: str | None) -> Learned:
    return Learned(
        runner=Runner.LLAMA_SERVER,
        backend=Backend.CUDA,
        place=place,
        driver_version=driver,
        samples=(Sample(bytes=size, at=AT),),
        times=1,
    )


def on_gpu(load: Loading) -> int | str:
    lessons = lessons_of(load)
    sizes = [each.samples[0].bytes for each in lessons.learned if each.place == "gpu"]
    return sizes[0] if sizes else lessons.refused["gpu"]


def test_a_load_teaches_what_was_taken_beside_what_was_said() -> None:
    assert lessons_of(LOAD) == Lessons(
        learned=(learned(HOST, 60 * MIB, None), learned("gpu", 300 * MIB, "580.1")),
        refused=FrozenDict(),
    )


def test_where_processes_are_not_told_the_difference_is_taken() -> None:
    before = snapshot(used=GIB, processes=None)
    after = snapshot(used=5 * GIB + 400 * MIB, processes=None)

    assert on_gpu(replace(LOAD, before=before, after=after)) == 400 * MIB


def test_the_difference_is_not_taken_where_others_moved() -> None:
    moved = replace(BROWSER, memory_bytes=GIB + 17 * MIB)
    unknown = replace(SERVER, memory_bytes=None)
    after = snapshot(moved, unknown, used=5 * GIB)

    assert on_gpu(replace(LOAD, after=after)) == (
        "other programs took or gave back memory meanwhile"
    )


def test_what_is_told_of_the_load_itself_is_no_move() -> None:
    worker = GpuProcess(pid=8, start_time=3.0, memory_bytes=None)
    after = snapshot(BROWSER, SERVER, worker, used=5 * GIB + 400 * MIB)

    assert on_gpu(replace(LOAD, after=after, pids=frozenset((7, 8)))) == 400 * MIB


def test_one_that_left_has_moved() -> None:
    after = snapshot(used=5 * GIB)

    assert on_gpu(replace(LOAD, after=after, pids=frozenset())) == (
        "other programs took or gave back memory meanwhile"
    )


def test_one_that_came_has_moved() -> None:
    came = GpuProcess(pid=9, start_time=3.0, memory_bytes=GIB)
    unknown = replace(SERVER, memory_bytes=None)
    after = snapshot(BROWSER, came, unknown, used=6 * GIB)

    assert on_gpu(replace(LOAD, after=after)) == (
        "other programs took or gave back memory meanwhile"
    )


def test_a_process_that_was_there_before_counts_for_what_it_added() -> None:
    before = snapshot(BROWSER, replace(SERVER, memory_bytes=100 * MIB))

    assert on_gpu(replace(LOAD, before=before)) == 200 * MIB


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        (snapshot(SERVER, age_seconds=3.0), "the driver did not answer in time"),
        (snapshot(SERVER, uid="other"), "the device was not read"),
        (
            snapshot(SERVER, memory_pool=MemoryPool.UNIFIED),
            "this device shares the host's memory, where it is counted",
        ),
        (snapshot(BROWSER, used=None), "how much of it is used is not known"),
        (
            snapshot(replace(SERVER, memory_bytes=2 * GIB)),
            "it took 2.0 GiB less than was said before",
        ),
        (
            snapshot(replace(SERVER, memory_bytes=100 * GIB)),
            "it took 96.0 GiB more than was said before",
        ),
    ],
)
def test_what_does_not_look_like_a_load_teaches_nothing(after: Snapshot, reason: str) -> None:
    assert on_gpu(replace(LOAD, after=after)) == reason


def test_a_little_less_than_was_said_is_nothing_beside_it() -> None:
    after = snapshot(replace(SERVER, memory_bytes=4 * GIB - 20 * MIB))

    assert on_gpu(replace(LOAD, after=after)) == 0


def test_a_loose_need_teaches_nothing() -> None:
    need = replace(NEED, items=(item(Part.COMPUTE, "gpu", about(GIB, GIB)),))

    assert on_gpu(replace(LOAD, need=need)) == "what was said before is too loose to learn from"


def test_a_runner_that_takes_a_share_teaches_nothing() -> None:
    need = replace(NEED, claims=FrozenDict({"gpu": GIB}))

    assert on_gpu(replace(LOAD, need=need)) == (
        "the runner takes a share of this place, whatever the model"
    )


def test_without_the_hosts_figure_the_devices_are_learned_alone() -> None:
    lessons = lessons_of(replace(LOAD, host_bytes=None))

    assert [each.place for each in lessons.learned] == ["gpu"]
    assert lessons.refused == {HOST: "what the process holds on the host is not known"}
