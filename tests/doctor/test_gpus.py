from dataclasses import replace

import pytest

from tests.doctor import PCI, Entries, found
from tests.snapshots import (
    a_gpu,
    a_process,
    a_snapshot,
    an_instance,
    asleep,
    lost,
    without,
)
from vramline.doctor import Finding, Status, examine
from vramline.machine import RecordedMachine
from vramline.readings import Cause, GpuReading, MemoryPool
from vramline.units import GIB

GPU_0 = "GPU 0 (NVIDIA GeForce RTX 4090)"
XIDS = "sudo dmesg | grep -iE 'xid|nvrm'"
MAY_SLEEP = {
    "/proc/driver/nvidia/gpus/0000:01:00.0/power": "Runtime D3 status: Enabled (fine-grained)\n"
}
POWER = f"{PCI}/0000:01:00.0/power"


def test_a_lost_gpu_is_a_problem() -> None:
    assert found("answers", snapshot=a_snapshot(lost(0), a_gpu(1))) == [
        Finding(
            check="answers",
            status=Status.PROBLEM,
            found=f"{GPU_0} is lost",
            meaning="it fell off the bus (power, heat, its slot), or needs a reset",
            mend=f"{XIDS}, then reboot",
        )
    ]


@pytest.mark.parametrize(
    "gpu", [a_gpu(0, age_seconds=3.0), without(a_gpu(0), Cause.TIMEOUT)], ids=["old", "never"]
)
def test_a_gpu_that_hangs_is_a_problem(gpu: GpuReading) -> None:
    snapshot = a_snapshot(gpu, a_gpu(1), failures={"nvidia": "no answer from GPU-0 within 0.5 s"})

    assert found("answers", snapshot=snapshot) == [
        Finding(
            check="answers",
            status=Status.PROBLEM,
            found=f"{GPU_0} does not answer",
            meaning="a call into the driver hangs; what is shown of it is old or not known",
            mend=f"{XIDS}, then reboot",
        )
    ]


def test_a_gpu_that_is_left_alone_for_its_sleep_does_not_hang() -> None:
    assert found("answers", snapshot=a_snapshot(a_gpu(0, age_seconds=3.0))) == []


def test_a_sleeping_gpu_is_told_to_be_well() -> None:
    assert found("sleep", snapshot=a_snapshot(asleep(0))) == [
        Finding(
            check="sleep",
            status=Status.NOTE,
            found=f"{GPU_0} is asleep",
            meaning="it saves power, and wakes when a program uses it; vramline leaves it asleep",
        )
    ]


def test_a_gpu_that_the_kernel_keeps_on_is_told() -> None:
    entries = {**MAY_SLEEP, f"{POWER}/control": "on\n"}

    assert found("sleep", entries, snapshot=a_snapshot(a_gpu(0))) == [
        Finding(
            check="sleep",
            status=Status.NOTE,
            found=f"{GPU_0} could sleep while idle, and the kernel is told to keep it on",
            meaning="it draws power that a battery could keep",
            mend=f"echo auto | sudo tee {POWER}/control",
        )
    ]


def test_a_gpu_that_never_slept_is_told() -> None:
    entries = {**MAY_SLEEP, f"{POWER}/control": "auto\n", f"{POWER}/runtime_suspended_time": "0\n"}

    assert found("sleep", entries, snapshot=a_snapshot(a_gpu(0))) == [
        Finding(
            check="sleep",
            status=Status.NOTE,
            found=f"{GPU_0} could sleep while idle, and never did since it was started",
            meaning="some program, often a desktop or a monitor, keeps it open",
            mend="sudo fuser -v /dev/nvidia*",
        )
    ]


@pytest.mark.parametrize(
    "entries",
    [
        {**MAY_SLEEP, f"{POWER}/control": "auto\n", f"{POWER}/runtime_suspended_time": "8123\n"},
        {f"{POWER}/control": "on\n", f"{POWER}/runtime_suspended_time": "0\n"},
    ],
    ids=["has slept", "is not meant to"],
)
def test_a_gpu_that_sleeps_as_it_should_is_not_told(entries: Entries) -> None:
    assert found("sleep", entries, snapshot=a_snapshot(a_gpu(0))) == []


def test_a_driver_that_starts_slowly_is_told() -> None:
    assert found("opening the driver", snapshot=a_snapshot(a_gpu(0)), took_seconds=3.2) == [
        Finding(
            check="opening the driver",
            status=Status.NOTE,
            found="it took 3 s",
            meaning="while nobody holds it the driver stops, and starts for the next program",
            mend="sudo systemctl enable --now nvidia-persistenced",
        )
    ]


def test_a_driver_that_hangs_or_sleeps_is_not_one_that_starts_slowly() -> None:
    hung = a_snapshot(a_gpu(0), failures={"nvidia": "no answer from GPU-0 within 0.5 s"})

    assert found("opening the driver", snapshot=hung, took_seconds=10.0) == []
    assert (
        found("opening the driver", MAY_SLEEP, snapshot=a_snapshot(a_gpu(0)), took_seconds=3.2)
        == []
    )


def test_memory_that_is_the_hosts_is_told() -> None:
    snapshot = a_snapshot(a_gpu(0, memory_pool=MemoryPool.UNIFIED))

    assert found("memory", snapshot=snapshot) == [
        Finding(
            check="memory",
            status=Status.NOTE,
            found=f"{GPU_0} has the host's memory",
            meaning="its figures are the host's: a model counts once, not against both",
        )
    ]


def test_a_gpu_that_is_cut_into_instances_is_told() -> None:
    gpu = a_gpu(0)
    snapshot = a_snapshot(gpu, an_instance(0, gpu), an_instance(1, gpu), a_gpu(1))

    assert found("MIG", snapshot=snapshot) == [
        Finding(
            check="MIG",
            status=Status.NOTE,
            found=f"{GPU_0} is cut into 2 MIG instances",
            meaning="a CUDA program gets one instance, and cannot use the GPU as a whole",
        )
    ]


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
    ("cause", "words", "mend"),
    [
        (
            Cause.NO_PERMISSION,
            "refused to this user",
            "run it as root, or ask who administers this machine",
        ),
        (Cause.DRIVER_TOO_OLD, "unknown to this old driver", "update NVIDIA's driver"),
        (Cause.DRIVER_ERROR, "answered with an error", XIDS),
        (Cause.GARBLED, "answered with nonsense", "update NVIDIA's driver"),
    ],
)
def test_values_that_could_be_had_are_told(cause: Cause, words: str, mend: str) -> None:
    gpu = without(a_gpu(0), cause, "power_watts", "throttle")

    assert found("values", snapshot=a_snapshot(gpu)) == [
        Finding(
            check="values",
            status=Status.NOTE,
            found=f"{GPU_0}: power_watts, throttle {words}",
            mend=mend,
        )
    ]


def test_values_that_the_gpu_lacks_are_not_told() -> None:
    gpu = without(a_gpu(0), Cause.NOT_SUPPORTED, "fan_percent")

    assert found("values", snapshot=a_snapshot(gpu)) == []


def test_problems_come_first_and_what_is_well_last() -> None:
    snapshot = a_snapshot(asleep(0), lost(1))

    findings = examine(RecordedMachine({}), snapshot, version_of={"nvidia-ml-py": "13"}.get)

    assert [(finding.status, finding.check) for finding in findings] == [
        (Status.PROBLEM, "answers"),
        (Status.NOTE, "sleep"),
        (Status.OK, "Python binding"),
        (Status.OK, "NVIDIA GPUs"),
    ]
