from dataclasses import replace
from typing import Any

import pytest

from tests.fit.plan.standin import (
    BROWSER,
    F16,
    Q8_0,
    Estimator,
    candidate,
    dense,
    gpu,
    routed,
    snapshot,
)
from vramline.fit.plan.candidates import Candidate
from vramline.fit.plan.loaded import LoadedModel
from vramline.fit.plan.planning import plan
from vramline.fit.plan.values import ChangeKind, Holder, HolderKind, Refusal, Why
from vramline.fit.plan.wish import Placement, Wish
from vramline.fit.settings import HOST, Backend, Runner
from vramline.fit.tensor_types import TensorType
from vramline.readings import FrozenDict, Snapshot
from vramline.units import GIB, MIB

STRICT = Wish(
    backends=(Backend.CUDA,),
    least_context_tokens=8192,
    cache_types=(F16,),
    placements=(Placement.DEVICES,),
)
"""All on the device with 8192 tokens of 16 bits, or nothing."""

MIDDLE = candidate("middle", dense(), family="m")
"""4 GiB and 2 MB of weights, 1 GiB of cache, 384 MiB of the rest."""
NEEDED = 5 * GIB + 384 * MIB + 2048000
FIRST, SECOND = replace(BROWSER, pid=1), replace(BROWSER, pid=2, name="game", memory_bytes=4 * GIB)


def refused(
    machine: Snapshot,
    wish: Wish = STRICT,
    candidates: tuple[Candidate, ...] = (MIDDLE,),
    loaded: tuple[LoadedModel, ...] = (),
) -> Refusal:
    found = plan(machine, candidates, wish, loaded=loaded, estimate=Estimator())
    return next(each for each in found.refusals if each.candidate.name == "middle")


def change_of(refusal: Refusal) -> tuple[Any, ...] | None:
    change = refusal.change
    if change is None:
        return None
    choice = change.choice
    return change.kind, choice.candidate.name, choice.context_tokens, choice.cache_type


def test_what_is_needed_and_free_and_missing_and_who_holds_it_is_told() -> None:
    card = gpu(free=4 * GIB, processes=(FIRST,))

    refusal = refused(snapshot(card))

    assert (refusal.why, refusal.placement) == (Why.NO_ROOM, Placement.DEVICES)
    host, device = refusal.uses
    assert host.missing_bytes == 0
    assert device.needed.bytes == NEEDED
    assert device.room.free_bytes == 4 * GIB
    assert device.missing_bytes == NEEDED - 3 * GIB
    assert device.left_bytes == 4 * GIB - NEEDED
    assert refusal.holders == (
        Holder(
            kind=HolderKind.PROCESS,
            name="firefox",
            pid=1,
            place="GPU-a",
            held_bytes=3 * GIB,
        ),
    )


def test_a_shorter_context_is_the_cheapest_change() -> None:
    # Half of the cache is missing: the rest of it is for 4096 tokens.
    card = gpu(free=NEEDED + GIB - 512 * MIB)

    assert change_of(refused(snapshot(card))) == (
        *(ChangeKind.SHORTER_CONTEXT, "middle", 4096, F16),
    )


def test_a_cache_of_fewer_bits_comes_next() -> None:
    # No context is short enough if this much of it is wanted: none is.
    wish = replace(STRICT, context_tokens=256, least_context_tokens=256, slots=32)
    card = gpu(free=NEEDED + GIB - 400 * MIB)

    assert change_of(refused(snapshot(card), wish)) == (ChangeKind.CACHE_TYPE, "middle", 256, Q8_0)


def test_the_types_of_the_cache_go_down_as_far_as_they_must() -> None:
    wish = replace(STRICT, context_tokens=256, least_context_tokens=256, slots=32)
    card = gpu(free=NEEDED + GIB - 600 * MIB)

    assert change_of(refused(snapshot(card), wish)) == (
        *(ChangeKind.CACHE_TYPE, "middle", 256, TensorType.Q5_1),
    )


def test_then_fewer_slots() -> None:
    wish = replace(STRICT, context_tokens=256, least_context_tokens=256, slots=32)
    card = gpu(free=NEEDED + GIB - 800 * MIB)

    refusal = refused(snapshot(card), wish)

    assert refusal.change is not None
    assert refusal.change.kind is ChangeKind.FEWER_SLOTS
    # A slot is 32 MiB: 25 of them are missing.
    assert refusal.change.choice.settings.sequences == 7


@pytest.mark.parametrize("slots", [300, 10**9])
def test_fewer_slots_are_found_at_once_however_many_were_wanted(slots: int) -> None:
    refusal = refused(snapshot(gpu()), replace(STRICT, slots=slots))

    # 7 GiB to plan with, 4.4 for the rest: a slot is 1 GiB.
    assert refusal.change is not None
    assert refusal.change.kind is ChangeKind.FEWER_SLOTS
    assert refusal.change.choice.settings.sequences == 2


def test_then_layers_on_the_host() -> None:
    card = gpu(free=4 * GIB)

    refusal = refused(snapshot(card))

    assert change_of(refusal) == (ChangeKind.ON_HOST, "middle", 8192, F16)
    assert refusal.change is not None
    assert refusal.change.choice.placement is Placement.PARTLY


def test_then_fewer_bits_of_the_same_model() -> None:
    others = (
        candidate("middle-4", dense(layer_bytes=64 * MIB), family="m"),
        candidate("middle-2", dense(layer_bytes=16 * MIB), family="m"),
        candidate("stranger", dense(layer_bytes=70 * MIB)),
    )
    machine = snapshot(gpu(free=GIB + 5 * GIB - 512 * MIB), available=GIB)

    refusal = refused(machine, replace(STRICT, host_keep_bytes=0), (MIDDLE, *others))

    assert refusal.change is not None
    assert refusal.change.kind is ChangeKind.SHORTER_CONTEXT
    full = snapshot(gpu(free=GIB + 4 * GIB), available=GIB)
    kept = replace(STRICT, host_keep_bytes=0, reasons=5)
    assert change_of(refused(full, kept, (MIDDLE, *others))) == (
        *(ChangeKind.SMALLER, "middle-4", 8192, F16),
    )


def model(name: str, size: int, **changes: Any) -> LoadedModel:
    plain = LoadedModel(
        runner=Runner.OLLAMA,
        name=name,
        bytes_at=FrozenDict({"GPU-a": size}),
        can_be_unloaded=True,
    )
    return replace(plain, **changes)


FULL = snapshot(gpu(free=2 * GIB, processes=(FIRST, SECOND)), available=2 * GIB)
LITTLE_HOST = replace(STRICT, host_keep_bytes=0)


def test_then_the_smallest_loaded_model_that_gives_enough_back() -> None:
    # 4.4 GiB are missing.
    loaded = (model("tiny", GIB), model("large", 6 * GIB), model("fitting", 5 * GIB))

    refusal = refused(FULL, LITTLE_HOST, loaded=loaded)

    assert change_of(refusal) == (ChangeKind.UNLOAD, "middle", 8192, F16)
    assert refusal.change is not None
    assert refusal.change.holder == Holder(
        kind=HolderKind.LOADED_MODEL,
        name="fitting",
        pid=None,
        place="GPU-a",
        held_bytes=5 * GIB,
        can_be_unloaded=True,
    )


def test_last_a_process_is_closed() -> None:
    big = replace(SECOND, memory_bytes=5 * GIB)
    machine = snapshot(gpu(free=2 * GIB, processes=(FIRST, big)), available=2 * GIB)
    pinned = model("pinned", 6 * GIB, can_be_unloaded=False)

    refusal = refused(machine, LITTLE_HOST, loaded=(pinned,))

    assert change_of(refusal) == (ChangeKind.CLOSE, "middle", 8192, F16)
    assert refusal.change is not None
    assert refusal.change.holder is not None
    assert refusal.change.holder.name == "game"


@pytest.mark.parametrize("name", ["gnome-shell", "/usr/lib/xorg/Xorg", r"C:\Windows\dwm.exe"])
def test_nobody_is_told_to_close_the_desktop(name: str) -> None:
    desktop = replace(SECOND, name=name, memory_bytes=6 * GIB)

    refusal = refused(
        snapshot(gpu(free=2 * GIB, processes=(FIRST, desktop)), available=2 * GIB), LITTLE_HOST
    )

    assert refusal.change is None
    assert refusal.holders[0].name == name


def test_where_no_single_change_helps_none_is_told() -> None:
    refusal = refused(FULL, LITTLE_HOST)

    assert refusal.change is None
    assert [(each.name, each.held_bytes) for each in refusal.holders] == [
        ("game", 4 * GIB),
        ("firefox", 3 * GIB),
    ]


def test_a_loaded_model_is_told_apart_from_processes_and_is_no_room() -> None:
    loaded = model("chat", 3 * GIB, pid=1, bytes_at=FrozenDict({HOST: GIB}))

    refusal = refused(FULL, LITTLE_HOST, loaded=(loaded,))

    # What it holds on the device is told by its process.
    assert [(each.kind, each.name, each.held_bytes) for each in refusal.holders] == [
        (HolderKind.PROCESS, "game", 4 * GIB),
        (HolderKind.LOADED_MODEL, "chat", 3 * GIB),
    ]


def test_where_only_a_sum_is_told_it_is_the_only_devices() -> None:
    loaded = model("chat", 0, bytes_at=FrozenDict(), gpu_bytes=5 * GIB, total_bytes=6 * GIB)
    refusal = refused(FULL, LITTLE_HOST, loaded=(loaded,))

    assert refusal.change is not None
    assert refusal.change.kind is ChangeKind.UNLOAD

    two = snapshot(*FULL.gpus, gpu("GPU-b", free=0), available=2 * GIB)
    refusal = refused(two, LITTLE_HOST, loaded=(loaded,))
    assert refusal.change is None


def test_a_device_for_a_wish_of_devices_only_is_missed() -> None:
    refusal = refused(snapshot())

    assert (refusal.why, refusal.uses) == (Why.NO_DEVICE, ())
    assert change_of(refusal) == (ChangeKind.ON_HOST, "middle", 8192, F16)


def test_a_host_that_nobody_tells_of_is_no_reason_to_guess() -> None:
    wish = replace(STRICT, placements=(Placement.HOST,))

    refusal = refused(snapshot(available=None), wish)

    assert (refusal.why, refusal.change) == (Why.HOST_UNKNOWN, None)


def test_what_the_runner_would_refuse_is_said_in_its_words() -> None:
    wish = replace(STRICT, slots=300)

    refusal = refused(snapshot(gpu()), wish)

    assert refusal.why is Why.RUNNER
    assert refusal.text == "300 sequences: llama.cpp takes 1 to 256"


def test_the_better_models_that_were_nearly_chosen_are_explained() -> None:
    names = {"huge": 512, "big": 256, "mid": 200, "small": 32}
    every = [candidate(name, dense(layer_bytes=size * MIB)) for name, size in names.items()]

    found = plan(snapshot(gpu()), every, replace(STRICT, reasons=2), estimate=Estimator())

    assert found.choice is not None
    assert found.choice.candidate.name == "small"
    assert [each.candidate.name for each in found.refusals] == ["mid", "big"]
    assert {each.why for each in found.refusals} == {Why.NO_ROOM}


@pytest.mark.parametrize("placements", [(Placement.EXPERTS_ON_HOST,), (Placement.PARTLY,)])
def test_what_came_nearest_is_what_is_told(placements: tuple[Placement, ...]) -> None:
    machine = snapshot(gpu(free=3 * GIB), available=4 * GIB)
    mixed = candidate("middle", routed())

    refusal = refused(machine, replace(STRICT, placements=placements), (mixed,))

    assert refusal.placement is placements[0]
    assert [use.missing_bytes > 0 for use in refusal.uses] == [True, False]
