from dataclasses import replace

import pytest

from tests.doctor import Entries, an_amd_apu, an_amd_gpu, an_intel_gpu, found
from tests.snapshots import a_gpu, a_process, a_snapshot, without
from vramline.doctor import Finding, Status
from vramline.readings import Cause, GpuReading, MemoryPool
from vramline.units import GIB

GPU_0 = "GPU 0 (NVIDIA GeForce RTX 4090)"
DOCKER = {"/.dockerenv": ""}
ROOT = {"/proc/self/status": "Name:\tpython3\nUid:\t0\t0\t0\t0\n"}
USER = {"/proc/self/status": "Name:\tpython3\nUid:\t1000\t1000\t1000\t1000\n"}
WHOLE = {"/proc/2/comm": "kthreadd\n"}
BUSY = an_amd_gpu(memory_used_bytes=9 * GIB, processes=(a_process(7, GIB), a_process(8, None)))


def test_processes_that_cannot_be_named_are_told() -> None:
    stranger = a_process(7, GIB, name=None, user=None)
    gpu = a_gpu(0, processes=(stranger, a_process(8, GIB), replace(stranger, pid=9)))

    assert found("processes", {"/.dockerenv": ""}, snapshot=a_snapshot(gpu)) == [
        Finding(
            check="processes",
            status=Status.NOTE,
            found=f"2 of 3 on {GPU_0} cannot be named",
            meaning="they run outside this container",
            mend="docker run --pid=host ...",
        )
    ]
    assert found("processes", snapshot=a_snapshot(gpu)) == [
        Finding(
            check="processes",
            status=Status.NOTE,
            found=f"2 of 3 on {GPU_0} cannot be named",
            meaning="they ended just now, or this user may not see them",
        )
    ]


@pytest.mark.parametrize(
    ("entries", "meaning", "mend"),
    [
        (
            {**WHOLE, **USER},
            "processes of other users cannot be looked at",
            'sudo "$(command -v vramline)"',
        ),
        (
            {**DOCKER, **ROOT},
            "processes outside this container cannot be seen",
            "docker run --pid=host ...",
        ),
        (
            {"/run/.containerenv": "", **USER},
            "processes outside this container cannot be seen",
            "podman run --pid=host ...",
        ),
        (ROOT, "processes outside this PID namespace cannot be seen", None),
        (
            {"/proc/self/cgroup": "0::/lxc.payload.box\n", **ROOT},
            "processes outside this container cannot be seen",
            None,
        ),
    ],
)
def test_memory_that_none_of_the_listed_processes_holds_is_told(
    entries: Entries, meaning: str, mend: str | None
) -> None:
    assert found("processes", entries, snapshot=a_snapshot(BUSY)) == [
        Finding(
            check="processes",
            status=Status.NOTE,
            found="8.0 GiB on GPU 0 (AMD Radeon RX 7900 XTX) is held by processes "
            "that are not listed",
            meaning=meaning,
            mend=mend,
        )
    ]


@pytest.mark.parametrize(
    ("entries", "meaning", "mend"),
    [
        (
            {**WHOLE, **USER},
            "processes of other users cannot be looked at",
            'sudo "$(command -v vramline)"',
        ),
        (
            {**DOCKER, **ROOT},
            "processes outside this container cannot be seen",
            "docker run --pid=host ...",
        ),
    ],
)
def test_a_gpu_of_which_no_process_can_be_seen_is_told(
    entries: Entries, meaning: str, mend: str
) -> None:
    fields = ("processes", "utilization_percent", "power_watts")
    snapshot = a_snapshot(without(an_intel_gpu(), Cause.NO_PERMISSION, *fields))

    assert found("processes", entries, snapshot=snapshot) == [
        Finding(
            check="processes",
            status=Status.NOTE,
            found="who uses GPU 0 (Intel Arc B580) cannot be seen",
            meaning=meaning,
            mend=mend,
        )
    ]
    assert [each.found for each in found("values", entries, snapshot=snapshot)] == [
        "GPU 0 (Intel Arc B580): power_watts refused to this user"
    ]


@pytest.mark.parametrize(
    ("entries", "gpu"),
    [
        ({**WHOLE, **ROOT}, BUSY),
        ({**WHOLE, **USER}, an_amd_gpu(memory_used_bytes=GIB // 2)),
        ({**WHOLE, **USER}, an_amd_gpu(memory_used_bytes=None)),
        ({**WHOLE, **USER}, an_intel_gpu(memory_used_bytes=9 * GIB, processes=None)),
        ({**WHOLE, **USER}, an_amd_apu(memory_pool=MemoryPool.UNIFIED)),
        ({**WHOLE, **USER}, a_gpu(0, memory_used_bytes=9 * GIB)),
    ],
    ids=["all are seen", "a desktop", "unknown", "no list", "the host's", "another way"],
)
def test_where_nothing_is_missing_nothing_is_told(entries: Entries, gpu: GpuReading) -> None:
    assert found("processes", entries, snapshot=a_snapshot(gpu)) == []
