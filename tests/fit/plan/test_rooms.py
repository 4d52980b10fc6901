from dataclasses import replace

import pytest

from tests.fit.plan.standin import gpu, snapshot
from vramline.fit.plan.rooms import Ground, Room, Unused, Usable, WhyNot, survey
from vramline.fit.plan.wish import Wish
from vramline.fit.settings import HOST, Backend
from vramline.readings import Cause, FrozenDict, GpuReading, GpuState, MemoryPool
from vramline.units import GIB

CUDA = Wish(backends=(Backend.CUDA,))
BOTH = (Backend.CUDA, Backend.VULKAN)


def test_a_machine_offers_its_host_and_its_devices_less_what_is_kept() -> None:
    ground = survey(snapshot(gpu(free=5 * GIB)), Wish())

    assert ground == Ground(
        rooms=(
            Room(places=(HOST,), free_bytes=20 * GIB, keep_bytes=2 * GIB),
            Room(places=("GPU-a",), free_bytes=5 * GIB, keep_bytes=GIB),
        ),
        devices=(
            Usable(
                uid="GPU-a",
                backends=BOTH,
                budget_bytes=4 * GIB,
                total_bytes=8 * GIB,
                bandwidth_bytes_per_second=272 * 10**9,
            ),
        ),
        unused=(),
        taken=FrozenDict(dict.fromkeys(BOTH, frozenset(("GPU-a",)))),
    )


@pytest.mark.parametrize(
    ("reading", "why"),
    [
        (gpu(vendor="amd"), WhyNot.OTHER_BACKEND),
        (gpu(vendor="moore threads"), WhyNot.OTHER_BACKEND),
        (gpu(visible=False), WhyNot.NOT_VISIBLE),
        (gpu(state=GpuState.LOST), WhyNot.LOST),
        (gpu(state=GpuState.ASLEEP), WhyNot.ASLEEP),
        (gpu("gpu-tracker:nvidia"), WhyNot.SUM_OF_DEVICES),
        (gpu(memory_free_bytes=None), WhyNot.UNKNOWN_FREE),
    ],
)
def test_a_device_that_cannot_be_used_is_left_out_and_said(
    reading: GpuReading, why: WhyNot
) -> None:
    ground = survey(snapshot(reading), CUDA)

    assert ground.devices == ()
    assert ground.unused == (Unused(uid=reading.uid, name=reading.name, why=why),)
    assert [room.places for room in ground.rooms] == [(HOST,)]


def test_what_keeps_the_free_memory_from_being_known_is_said() -> None:
    unknown = FrozenDict(memory_free_bytes=Cause.NO_PERMISSION)

    ground = survey(snapshot(gpu(memory_free_bytes=None, unknown=unknown)), CUDA)

    assert [each.cause for each in ground.unused] == [Cause.NO_PERMISSION]


def test_a_gpu_that_is_cut_into_instances_is_none_and_each_instance_is_used_alone() -> None:
    parent = gpu("GPU-a")
    instances = (gpu("MIG-1", parent_uid="GPU-a"), gpu("MIG-2", parent_uid="GPU-a"))

    ground = survey(snapshot(parent, *instances), CUDA)

    assert [(each.uid, each.alone) for each in ground.devices] == [("MIG-1", True), ("MIG-2", True)]
    assert [each.why for each in ground.unused] == [WhyNot.HAS_INSTANCES]


@pytest.mark.parametrize("pool", [MemoryPool.UNIFIED, MemoryPool.GTT])
def test_a_device_that_shares_the_hosts_memory_is_in_its_room_too(pool: MemoryPool) -> None:
    reading = gpu("0000:c4:00.0", free=15 * GIB, vendor="amd", memory_pool=pool)

    ground = survey(snapshot(reading), Wish())

    assert [(room.places, room.free_bytes) for room in ground.rooms] == [
        ((HOST, "0000:c4:00.0"), 20 * GIB),
        (("0000:c4:00.0",), 15 * GIB),
    ]
    assert ground.devices[0].shared


def test_of_a_small_pool_an_eighth_is_kept_and_what_is_asked_for_is_kept_exactly() -> None:
    small = snapshot(gpu(free=3 * GIB, memory_total_bytes=4 * GIB))

    assert survey(small, Wish()).rooms[1].keep_bytes == GIB // 2
    assert survey(small, Wish(device_keep_bytes=7)).rooms[1].keep_bytes == 7
    assert survey(small, Wish(host_keep_bytes=0)).host.keep_bytes == 0
    assert survey(snapshot(gpu(memory_total_bytes=None)), Wish()).rooms[1].keep_bytes == GIB


def test_less_free_than_is_to_be_kept_is_a_budget_of_nothing() -> None:
    assert survey(snapshot(gpu(free=1)), Wish()).rooms[1].budget_bytes == 0


def test_the_backends_of_the_runner_decide_in_their_order() -> None:
    cards = (gpu("GPU-a"), gpu("amd", vendor="amd"), gpu("intel", vendor="intel"))
    backends = (Backend.VULKAN, Backend.CUDA, Backend.SYCL)

    ground = survey(snapshot(*cards), Wish(backends=backends))

    assert [device.backends for device in ground.devices] == [
        (Backend.VULKAN, Backend.CUDA),
        (Backend.VULKAN,),
        (Backend.VULKAN, Backend.SYCL),
    ]
    assert survey(snapshot(*cards), Wish(backends=())).devices == ()


def test_memory_that_comes_back_is_never_more_than_there_is() -> None:
    ground = survey(snapshot(gpu(free=5 * GIB)), Wish(), {"GPU-a": 9 * GIB, HOST: GIB})

    assert [room.free_bytes for room in ground.rooms] == [21 * GIB, 8 * GIB]


CARD = gpu("0000:01:00.0", vendor="nvidia")
SECOND_CARD = gpu("0000:02:00.0", vendor="amd")
SHARING = gpu("0000:00:02.0", vendor="intel", memory_pool=MemoryPool.GTT)
VULKAN = Wish(backends=(Backend.VULKAN,))


@pytest.mark.parametrize(
    ("readings", "taken"),
    [
        ((SHARING,), {SHARING.uid}),
        ((SHARING, CARD), {CARD.uid}),
        ((CARD, SHARING, SECOND_CARD), {CARD.uid, SECOND_CARD.uid}),
        ((SHARING, replace(CARD, state=GpuState.ASLEEP)), {CARD.uid}),
        ((SHARING, replace(CARD, memory_free_bytes=None)), {CARD.uid}),
        ((SHARING, replace(CARD, state=GpuState.LOST)), {SHARING.uid}),
        ((SHARING, replace(CARD, visible=False)), {SHARING.uid}),
    ],
)
def test_what_a_runner_takes_by_itself_are_the_devices_with_their_own_memory_if_there_are_any(
    readings: tuple[GpuReading, ...], taken: set[str]
) -> None:
    ground = survey(snapshot(*readings), VULKAN)

    assert ground.taken == {Backend.VULKAN: taken}
    assert [
        device.uid for device in ground.devices if ground.can_be_told((device,), Backend.VULKAN)
    ] == [uid for uid in taken if len(taken) == 1 and uid in {each.uid for each in ground.devices}]
