from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fit.plan.standin import (
    F16,
    Q8_0,
    Estimator,
    candidate,
    dense,
    gpu,
    routed,
    snapshot,
)
from vramline.fit.plan.candidates import AnyLayout, Candidate
from vramline.fit.plan.planning import plan
from vramline.fit.plan.rooms import WhyNot
from vramline.fit.plan.values import Choice, Plan, Standing
from vramline.fit.plan.wish import Criterion, Placement, Wish
from vramline.fit.settings import HOST, Backend, Device, Runner, settings_of
from vramline.readings import GpuState, MemoryPool, Snapshot
from vramline.units import GIB, MIB

CUDA = Wish(backends=(Backend.CUDA,))
BIG = candidate("big", dense(layer_bytes=256 * MIB))
MIDDLE = candidate("middle", dense(layer_bytes=128 * MIB))
SMALL = candidate("small", dense(layer_bytes=32 * MIB))
MIXED = candidate("mixed", routed())


def made(
    machine: Snapshot,
    candidates: Sequence[Candidate],
    wish: Wish = CUDA,
    estimator: Estimator | None = None,
) -> Plan:
    return plan(machine, candidates, wish, estimate=estimator or Estimator())


def chosen(
    machine: Snapshot,
    candidates: Sequence[Candidate],
    wish: Wish = CUDA,
    estimator: Estimator | None = None,
) -> Choice:
    choice = made(machine, candidates, wish, estimator).choice
    assert choice is not None
    return choice


def told(choice: Choice) -> tuple[object, ...]:
    return (choice.candidate.name, choice.placement, choice.context_tokens, choice.cache_type)


def test_the_best_model_that_is_all_on_the_device_is_chosen() -> None:
    # 8 GiB free, 1 kept: 8 GiB of weights do not fit, 4 do, with 8192 tokens of 128 KiB.
    choice = chosen(snapshot(gpu()), (SMALL, MIDDLE, BIG))

    assert told(choice) == ("middle", Placement.DEVICES, 8192, F16)
    assert choice.settings == settings_of(
        Runner.LLAMA_SERVER,
        context_tokens=8192,
        sequences=1,
        devices=(Device(uid="GPU-a"),),
    )
    assert [use.room.places for use in choice.uses] == [(HOST,), ("GPU-a",)]
    needed = 4 * GIB + 2048000 + 8192 * 128 * 1024 + 128 * MIB + 256 * MIB
    assert choice.uses[1].needed.bytes == needed
    assert choice.uses[1].left_bytes == 8 * GIB - needed
    assert choice.exact


def test_a_cache_of_8_bits_comes_before_less_context_and_before_a_smaller_model() -> None:
    # 4 GiB + 384 MiB + 2 MiB, with 7 GiB to plan with: 2.6 GiB for a cache, and 16 bits want 4.
    choice = chosen(snapshot(gpu()), (SMALL, MIDDLE), replace(CUDA, context_tokens=32768))

    assert told(choice) == ("middle", Placement.DEVICES, 32768, Q8_0)


def test_the_wanted_context_comes_before_a_better_model() -> None:
    wide = candidate("wide", dense(kv_heads=32))

    choice = chosen(snapshot(gpu()), (SMALL, wide), replace(CUDA, context_tokens=32768))

    assert told(choice) == ("small", Placement.DEVICES, 32768, F16)


def test_a_shorter_context_on_the_device_comes_before_layers_on_the_host() -> None:
    machine = snapshot(gpu())
    only = (candidate("wide", dense(kv_heads=32)),)
    choice = chosen(machine, only, replace(CUDA, context_tokens=32768, cache_types=(F16,)))

    assert choice.placement is Placement.DEVICES
    assert 4096 <= choice.context_tokens < 32768
    assert choice.context_tokens % 256 == 0
    left = choice.uses[1].left_bytes
    assert left is not None
    # 256 more tokens would have taken 32 layers * 256 * 2 * 32 heads * 128 * 2 bytes.
    assert GIB <= left < GIB + 32 * 256 * 2 * 32 * 128 * 2


def test_as_much_context_as_fits_is_no_more_than_the_model_was_trained_on() -> None:
    choice = chosen(snapshot(gpu()), (SMALL,), replace(CUDA, context_tokens=None))

    assert choice.context_tokens == 32768


def test_layers_that_the_device_has_no_room_for_stay_on_the_host() -> None:
    choice = chosen(snapshot(gpu()), (BIG,))

    assert told(choice) == ("big", Placement.PARTLY, 8192, F16)
    # A layer is 256 MiB, and 32 MiB of cache; the output layer counts as one.
    assert choice.settings.device_layers == 1 + (7 * GIB - 384 * MIB - 2048000) // (288 * MIB)


def test_experts_stay_on_the_host_before_whole_layers_do() -> None:
    # 8 GiB of experts, half a GiB of the rest, 1 GiB of cache.
    choice = chosen(snapshot(gpu(free=5 * GIB)), (MIXED,))

    assert told(choice) == ("mixed", Placement.EXPERTS_ON_HOST, 8192, F16)
    kept = (4 * GIB - 384 * MIB - 2048000 - GIB - 512 * MIB) // (256 * MIB)
    assert choice.settings.host_expert_layers == 32 - kept


def test_without_a_device_the_host_runs_it() -> None:
    choice = chosen(snapshot(), (SMALL, MIDDLE))

    assert told(choice) == ("middle", Placement.HOST, 8192, F16)
    assert choice.settings.devices == ()
    assert choice.speed is None


def test_two_devices_take_together_what_one_cannot() -> None:
    machine = snapshot(gpu("GPU-a", free=8 * GIB), gpu("GPU-b", free=6 * GIB))

    choice = chosen(machine, (BIG,))

    assert told(choice) == ("big", Placement.DEVICES, 8192, F16)
    # The roomier one is filled first: 288 MiB a layer.
    first = (7 * GIB - 384 * MIB) // (288 * MIB)
    assert choice.settings.devices == (
        Device(uid="GPU-a", share=float(first)),
        Device(uid="GPU-b", share=float(33 - first)),
    )
    assert all(use.missing_bytes == 0 for use in choice.uses)


def test_a_way_that_fits_is_not_taken_for_the_best_while_a_better_one_is_left() -> None:
    machine = snapshot(gpu("GPU-a", free=8 * GIB), gpu("GPU-b", free=6 * GIB))
    order = (Criterion.PLACEMENT, Criterion.MORE_CONTEXT, Criterion.CACHE_TYPE)
    wish = replace(CUDA, context_tokens=None, preferences=order)

    # 16 bits would have room for some 26,000 tokens.
    assert told(chosen(machine, (BIG,), wish)) == ("big", Placement.DEVICES, 32768, Q8_0)


def test_the_longest_context_wins_where_no_model_reaches_the_wanted_one() -> None:
    better = candidate("better", dense(layer_bytes=150 * MIB, kv_heads=16))
    machine, wish = snapshot(gpu()), replace(CUDA, context_tokens=32768, cache_types=(F16,))

    (first, second) = made(machine, (better, MIDDLE), wish).choices

    assert told(first)[0] == "middle"
    assert first.context_tokens > second.context_tokens


def test_what_is_needed_at_worst_must_be_there_though_it_takes_of_what_is_kept() -> None:
    # 2 GiB and 130 MiB, and a runner's 2 GiB that may be 4: 5.1 with what is kept, or 6.1.
    estimator, wish = Estimator(runtime=2 * GIB), replace(CUDA, replay=False)

    enough = chosen(snapshot(gpu(free=6 * GIB + 256 * MIB)), (SMALL,), wish, estimator)
    less = chosen(snapshot(gpu(free=6 * GIB)), (SMALL,), wish, estimator)

    assert told(enough) == ("small", Placement.DEVICES, 8192, F16)
    assert enough.uses[1].needed.high_bytes > 5 * GIB
    assert told(less)[1:] != told(enough)[1:]


def test_one_device_is_enough_where_it_has_room() -> None:
    machine = snapshot(gpu("GPU-a"), gpu("GPU-b"))

    assert len(chosen(machine, (MIDDLE,)).settings.devices) == 1


def test_of_two_devices_with_room_the_quicker_one_is_used() -> None:
    slow = gpu("GPU-a", memory_bandwidth_bytes_per_second=100 * 10**9)
    quick = gpu("GPU-b", memory_bandwidth_bytes_per_second=900 * 10**9)

    choice = chosen(snapshot(slow, quick), (MIDDLE,))

    assert [device.uid for device in choice.settings.devices] == ["GPU-b"]


def test_mig_instances_are_never_used_together() -> None:
    instances = (gpu("MIG-1", parent_uid="GPU-a"), gpu("MIG-2", parent_uid="GPU-a"))

    choice = chosen(snapshot(gpu("GPU-a"), *instances), (BIG,))

    assert told(choice)[:2] == ("big", Placement.PARTLY)
    assert [device.uid for device in choice.settings.devices] == ["MIG-1"]


def test_a_unified_pool_is_counted_once() -> None:
    apple = gpu(
        "apple",
        free=10 * GIB,
        vendor="apple",
        memory_pool=MemoryPool.UNIFIED,
        memory_total_bytes=16 * GIB,
    )
    metal = Wish(
        backends=(Backend.METAL,),
        placements=(Placement.SHARED_DEVICE,),
        host_keep_bytes=GIB,
        device_keep_bytes=GIB,
        cache_types=(F16,),
        least_context_tokens=8192,
    )

    # 8 GiB of weights, 1 of cache, 0.75 of the rest on both sides: 9 to plan with.
    assert made(snapshot(apple, available=10 * GIB), (BIG,), metal).choice is None
    # With another GiB on the host, the device's own limit stands against it.
    assert made(snapshot(apple, available=11 * GIB), (BIG,), metal).choice is None
    apple = replace(apple, memory_free_bytes=11 * GIB)
    choice = chosen(snapshot(apple, available=11 * GIB), (BIG,), metal)
    assert told(choice) == ("big", Placement.SHARED_DEVICE, 8192, F16)
    assert choice.uses[0].room.places == (HOST, "apple")
    assert choice.uses[0].needed.bytes == choice.need.total.bytes


def test_a_device_with_its_own_memory_comes_before_one_that_shares_the_hosts() -> None:
    shared = gpu("igpu", free=16 * GIB, vendor="intel", memory_pool=MemoryPool.GTT)
    wish = Wish(backends=(Backend.VULKAN,))

    assert told(chosen(snapshot(gpu(), shared), (BIG, MIDDLE), wish))[:2] == (
        *("middle", Placement.DEVICES),
    )


VULKAN = Wish(backends=(Backend.VULKAN,))
SHARING = gpu("igpu", free=16 * GIB, vendor="intel", memory_pool=MemoryPool.GTT)


@pytest.mark.parametrize("changes", [{"state": GpuState.ASLEEP}, {"memory_free_bytes": 0}])
def test_a_device_that_the_runner_would_not_take_by_itself_is_in_no_plan(
    changes: dict[str, Any],
) -> None:
    # Whatever is planned for the other one, the card is what llama.cpp takes, and wakes.
    card = replace(gpu("0000:01:00.0"), **changes)

    assert told(chosen(snapshot(SHARING), (SMALL,), VULKAN))[1] is Placement.SHARED_DEVICE
    assert told(chosen(snapshot(SHARING, card), (SMALL,), VULKAN))[1] is Placement.HOST


def test_devices_that_cannot_be_named_are_used_together_in_the_machines_order() -> None:
    cards = (gpu("0000:01:00.0", free=6 * GIB), gpu("0000:02:00.0", free=8 * GIB))
    named = (gpu("GPU-a", free=6 * GIB), gpu("GPU-b", free=8 * GIB))

    together = chosen(snapshot(*cards), (SMALL,), VULKAN)

    assert [device.uid for device in together.settings.devices] == [card.uid for card in cards]
    assert len(chosen(snapshot(*named), (SMALL,), CUDA).settings.devices) == 1


def test_a_host_whose_free_memory_nobody_tells_is_neither_empty_nor_full() -> None:
    machine = snapshot(gpu(), available=None)

    choice = chosen(machine, (MIDDLE,))

    assert told(choice) == ("middle", Placement.DEVICES, 8192, F16)
    assert choice.unchecked == (HOST,)
    assert choice.uses[0].left_bytes is None
    assert made(machine, (BIG,)).choice is None


def test_a_device_that_the_runner_cannot_use_is_in_no_plan() -> None:
    found = made(snapshot(gpu(vendor="amd")), (MIDDLE,))

    assert found.choice is not None
    assert found.choice.placement is Placement.HOST
    assert [(each.uid, each.why) for each in found.unused] == [("GPU-a", WhyNot.OTHER_BACKEND)]


def test_a_runner_is_not_asked_for_what_it_cannot_do() -> None:
    wish = replace(CUDA, settings=settings_of(Runner.OLLAMA))

    choice = chosen(snapshot(gpu(free=5 * GIB)), (MIXED,), wish)

    assert choice.placement is Placement.PARTLY
    assert choice.settings.runner is Runner.OLLAMA


def test_the_callers_order_of_preference_decides() -> None:
    quality = replace(CUDA, preferences=(Criterion.QUALITY, Criterion.PLACEMENT))
    ranked = candidate("ranked", SMALL.layout, rank=1.0)

    assert told(chosen(snapshot(gpu()), (SMALL, MIDDLE, BIG), quality))[:2] == (
        *("big", Placement.PARTLY),
    )
    assert told(chosen(snapshot(gpu()), (ranked, MIDDLE)))[0] == "ranked"


def test_more_layers_are_preferred_to_context_if_speed_comes_first() -> None:
    only = (candidate("wide", dense(layer_bytes=256 * MIB, kv_heads=32)),)
    wish = replace(CUDA, context_tokens=16384, cache_types=(F16,))
    quick = replace(wish, preferences=(Criterion.PLACEMENT, Criterion.SPEED, Criterion.CONTEXT))

    usual, first = chosen(snapshot(gpu()), only, wish), chosen(snapshot(gpu()), only, quick)

    assert usual.context_tokens == 16384
    assert 4096 <= first.context_tokens < 16384
    assert first.settings.device_layers > usual.settings.device_layers


def test_several_slots_have_the_wanted_context_each() -> None:
    choice = chosen(snapshot(gpu()), (SMALL,), replace(CUDA, slots=3))

    assert (choice.settings.context_tokens, choice.settings.sequences) == (24576, 3)
    assert choice.context_tokens == 8192


def test_weights_may_be_read_from_the_disk_only_if_that_is_wished() -> None:
    machine = snapshot(available=5 * GIB)
    wish = replace(CUDA, placements=(Placement.HOST,))

    assert made(machine, (BIG,), wish).choice is None
    choice = chosen(machine, (BIG,), replace(wish, mapped_counts=False))
    # 8 GiB, a cache of 1 and the rest, of 3 GiB to plan with: 6 do not stay in memory.
    assert 6 * GIB < choice.disk_bytes < 8 * GIB


def test_only_what_the_bounds_leave_open_is_replayed() -> None:
    estimator = Estimator()
    made(snapshot(gpu()), (SMALL, MIDDLE, BIG), replace(CUDA, reasons=0), estimator)
    assert len(estimator.replayed) == 1

    # The bounds are 64 MiB to each side: with half of that missing a replay decides.
    need = 4 * GIB + 2048000 + GIB + 128 * MIB + 256 * MIB
    edge = snapshot(gpu(free=need + GIB))
    estimator = Estimator()
    choice = chosen(edge, (MIDDLE,), replace(CUDA, reasons=0), estimator)
    assert told(choice) == ("middle", Placement.DEVICES, 8192, F16)
    assert choice.exact
    assert choice.uses[1].left_bytes == GIB
    assert len(estimator.replayed) == 1
    without = replace(CUDA, reasons=0, replay=False, least_context_tokens=8192, cache_types=(F16,))
    assert told(chosen(edge, (MIDDLE,), without))[1] is Placement.PARTLY


def test_of_a_thousand_candidates_few_are_looked_into() -> None:
    many = tuple(
        candidate(f"{each.name}-{number}", each.layout)
        for number in range(250)
        for each in (SMALL, MIDDLE, BIG, MIXED)
    )
    estimator = Estimator()

    found = made(snapshot(gpu()), many, CUDA, estimator)

    assert [choice.candidate.name for choice in found.choices] == [
        *("middle-0", "middle-1", "middle-10"),
    ]
    assert len(found.ranking) == 1000
    assert estimator.quick < 100
    assert len(estimator.replayed) < 10


def test_every_candidate_has_its_place() -> None:
    huge = candidate("huge", dense(layer_bytes=2 * GIB))
    found = made(snapshot(gpu()), (huge, BIG, SMALL, MIDDLE), replace(CUDA, choices=2))

    assert [
        (each.candidate.name, each.standing, each.sure, each.placement) for each in found.ranking
    ] == [
        ("middle", Standing.FITS, True, Placement.DEVICES),
        ("small", Standing.FITS, True, Placement.DEVICES),
        ("big", Standing.OPEN, False, Placement.PARTLY),
        ("huge", Standing.NOT, True, None),
    ]


def test_no_candidates_is_a_plan_without_a_choice() -> None:
    found = made(snapshot(gpu()), ())

    assert (found.choice, found.ranking, found.refusals) == (None, (), ())


EVERY = (
    candidate("a", dense(4, 256 * MIB)),
    candidate("b", dense(8, 256 * MIB, kv_heads=2)),
    candidate("c", dense(6, 512 * MIB, trained=2048)),
    candidate("d", routed(4, 64 * MIB, GIB)),
    candidate("e", dense(12, 700 * MIB)),
)
FREE = st.integers(0, 9 * GIB)
WISHES = st.builds(
    Wish,
    context_tokens=st.sampled_from([None, 2048, 8192, 32768]),
    least_context_tokens=st.sampled_from([256, 4096, 8192]),
    slots=st.integers(1, 4),
    preferences=st.permutations(list(Criterion)).map(tuple),
    placements=st.permutations(list(Placement)).map(tuple),
    replay=st.booleans(),
    reasons=st.just(0),
    choices=st.integers(1, 5),
)


@given(free=st.lists(FREE, max_size=3), available=st.integers(0, 24 * GIB), wish=WISHES)
def test_nothing_is_ever_planned_above_what_is_free_less_what_is_kept(
    free: list[int], available: int, wish: Wish
) -> None:
    machine = snapshot(
        *(gpu(f"GPU-{at}", free=size) for at, size in enumerate(free)), available=available
    )

    found = made(machine, EVERY, wish)

    for choice in found.choices:
        for use in choice.uses:
            budget = use.room.budget_bytes
            assert budget is not None
            assert use.needed.bytes <= budget
            assert use.needed.high_bytes <= (use.room.free_bytes or 0)
        assert choice.need.refusal is None


@given(free=st.lists(FREE, max_size=2), wish=WISHES, order=st.permutations(EVERY))
def test_the_order_of_the_candidates_does_not_matter(
    free: list[int], wish: Wish, order: list[Candidate]
) -> None:
    machine = snapshot(*(gpu(f"GPU-{at}", free=size) for at, size in enumerate(free)))

    assert made(machine, order, wish) == made(machine, EVERY, wish)


def value(choice: Choice | None, wish: Wish) -> tuple[tuple[float, ...], ...]:
    """Return what speaks for a choice, but for its speed, which devices differ in."""
    if choice is None:
        return ()
    candidate, context = choice.candidate, choice.context_tokens
    values: dict[Criterion, tuple[float, ...]] = {
        Criterion.PLACEMENT: (-wish.placements.index(choice.placement),),
        Criterion.CONTEXT: (min(context, wish.context_tokens or wish.least_context_tokens),),
        Criterion.QUALITY: (candidate.rank, candidate.parameters, candidate.bits),
        Criterion.CACHE_TYPE: (-wish.cache_types.index(choice.cache_type),),
        Criterion.MORE_CONTEXT: (context,),
        Criterion.FEWER_DEVICES: (-len(choice.settings.devices),),
    }
    return tuple(values[each] for each in wish.preferences if each in values)


def is_reasonable(wish: Wish) -> bool:
    """Whether more memory can only be better: whoever prefers layers on the host loses them."""
    placements = wish.placements
    return wish.preferences[-1] is Criterion.SPEED and (
        placements.index(Placement.DEVICES) < placements.index(Placement.PARTLY)
    )


@given(
    free=st.lists(st.tuples(FREE, FREE), max_size=3),
    available=st.tuples(st.integers(0, 24 * GIB), st.integers(0, 8 * GIB)),
    wish=WISHES.filter(is_reasonable),
)
def test_a_bigger_machine_never_has_a_worse_plan(
    free: list[tuple[int, int]], available: tuple[int, int], wish: Wish
) -> None:
    small, large = (
        snapshot(
            *(
                gpu(f"GPU-{at}", free=size + bigger * more, memory_total_bytes=18 * GIB)
                for at, (size, more) in enumerate(free)
            ),
            available=available[0] + bigger * available[1],
        )
        for bigger in (0, 1)
    )

    assert value(made(large, EVERY, wish).choice, wish) >= value(
        made(small, EVERY, wish).choice, wish
    )


def test_equal_candidates_come_in_the_order_of_their_names_and_paths() -> None:
    same = [
        candidate("twin", MIDDLE.layout, path=path) for path in ("/m/2.gguf", "/m/1.gguf", None)
    ]

    for order in permutations(same):
        found = made(snapshot(gpu()), order)
        assert [each.candidate.path for each in found.ranking] == [None, "/m/1.gguf", "/m/2.gguf"]


@pytest.mark.parametrize("layout", [MIDDLE.layout, MIXED.layout])
def test_more_context_never_needs_less(layout: AnyLayout) -> None:
    totals = [
        Estimator()(layout, settings_of(Runner.LLAMA_SERVER, context_tokens=tokens)).total.bytes
        for tokens in range(256, 32768, 256)
    ]

    assert totals == sorted(totals)
