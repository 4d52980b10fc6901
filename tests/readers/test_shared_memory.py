from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.readers.nvidia.machines import AVAILABLE, HOST, TOTAL
from vramline.machine import RecordedMachine
from vramline.readers.shared_memory import Pool, SharedMemory, room
from vramline.readings import Cause, MemoryBound, MemoryPool
from vramline.units import GIB

USED = TOTAL - AVAILABLE
OF_A_DEVICE = (MemoryBound.GTT, MemoryBound.WIRED_LIMIT, MemoryBound.SHARED_LIMIT)


def shared(files: dict[str, Any] | None = None) -> SharedMemory:
    return SharedMemory(RecordedMachine({**HOST, **(files or {})}))


def test_without_limits_it_is_the_hosts_memory() -> None:
    assert shared().figures() == {
        "memory_pool": MemoryPool.UNIFIED,
        "memory_total_bytes": TOTAL,
        "memory_used_bytes": USED,
        "memory_free_bytes": AVAILABLE,
        "memory_free_bound_by": MemoryBound.HOST,
        "memory_reserved_bytes": Cause.NOT_SUPPORTED,
    }


def test_the_least_of_all_limits_binds() -> None:
    limits = {MemoryBound.WIRED_LIMIT: 20 * GIB, MemoryBound.SHARED_LIMIT: 21 * GIB}
    figures = shared().figures(limits)

    assert figures["memory_free_bytes"] == 20 * GIB
    assert figures["memory_free_bound_by"] is MemoryBound.WIRED_LIMIT


def test_a_limit_above_what_the_host_has_does_not_bind() -> None:
    figures = shared().figures({MemoryBound.GTT: TOTAL})

    assert figures["memory_free_bytes"] == AVAILABLE
    assert figures["memory_free_bound_by"] is MemoryBound.HOST


def test_a_cgroups_limit_is_told_apart_from_what_the_host_has() -> None:
    cgroup = {
        "/proc/self/cgroup": "0::/box\n",
        "/sys/fs/cgroup/box/memory.max": f"{8 * GIB}\n",
        "/sys/fs/cgroup/box/memory.high": "max\n",
        "/sys/fs/cgroup/box/memory.current": f"{2 * GIB}\n",
        "/sys/fs/cgroup/box/memory.stat": ("active_file 0\ninactive_file 0\nslab_reclaimable 0\n"),
    }
    figures = shared(cgroup).figures()

    assert figures["memory_free_bytes"] == 6 * GIB
    assert figures["memory_free_bound_by"] is MemoryBound.CGROUP


def test_a_pool_that_the_driver_keeps_apart_has_its_own_size() -> None:
    pool = Pool(kind=MemoryPool.GTT, total_bytes=16 * GIB, used_bytes=3 * GIB)
    figures = shared().figures({MemoryBound.GTT: room(16 * GIB, 3 * GIB)}, pool=pool)

    assert figures == {
        "memory_pool": MemoryPool.GTT,
        "memory_total_bytes": 16 * GIB,
        "memory_used_bytes": 3 * GIB,
        "memory_free_bytes": 13 * GIB,
        "memory_free_bound_by": MemoryBound.GTT,
        "memory_reserved_bytes": Cause.NOT_SUPPORTED,
    }


def test_a_limit_that_is_not_known_leaves_the_free_memory_unknown() -> None:
    figures = shared().figures({MemoryBound.GTT: Cause.DRIVER_ERROR})

    assert figures["memory_free_bytes"] is Cause.DRIVER_ERROR
    assert figures["memory_free_bound_by"] is None
    assert figures["memory_total_bytes"] == TOTAL


def test_a_host_that_is_not_known_leaves_everything_unknown() -> None:
    figures = SharedMemory(RecordedMachine({})).figures({MemoryBound.GTT: GIB})

    assert figures["memory_total_bytes"] is Cause.NOT_SUPPORTED
    assert figures["memory_free_bytes"] is Cause.NOT_SUPPORTED


def test_more_used_than_there_is_leaves_nothing() -> None:
    assert room(4, 5) == 0
    assert room(Cause.GARBLED, 5) is Cause.GARBLED


@given(st.dictionaries(st.sampled_from(OF_A_DEVICE), st.integers(0, 2**63)))
def test_free_is_never_more_than_any_limit(limits: dict[MemoryBound, int | Cause]) -> None:
    free = shared().figures(limits)["memory_free_bytes"]

    assert free == min([AVAILABLE, *(each for each in limits.values() if isinstance(each, int))])
