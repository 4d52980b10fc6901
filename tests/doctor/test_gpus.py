import pytest

from tests.doctor import PCI, Entries, an_amd_gpu, found
from tests.snapshots import (
    a_gpu,
    a_snapshot,
    an_instance,
    asleep,
    lost,
    without,
)
from vramline.doctor import Finding, Status, examine
from vramline.machine import RecordedMachine
from vramline.readings import Cause, GpuReading, GpuState

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
    ("platform", "vendor", "mend"),
    [
        ("linux", "amd", "sudo dmesg | grep -iE 'amdgpu|radeon', then reboot"),
        ("linux", "intel", "sudo dmesg | grep -wE 'xe|i915', then reboot"),
        ("win32", "nvidia", "reboot"),
    ],
)
def test_a_lost_gpu_is_looked_for_in_its_drivers_log(platform: str, vendor: str, mend: str) -> None:
    snapshot = a_snapshot(lost(0, vendor=vendor))

    findings = found("answers", snapshot=snapshot, platform=platform)

    assert [finding.mend for finding in findings] == [mend]


def test_a_gpu_without_a_name_is_told_by_its_maker_and_place() -> None:
    gpu = without(lost(0, vendor="amd"), Cause.LOST, "name", index=None)

    assert [finding.found for finding in found("answers", snapshot=a_snapshot(gpu))] == [
        "AMD GPU at 0000:01:00.0 is lost"
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


def test_a_sleeping_gpu_whose_memory_is_told_all_the_same_is_still_asleep() -> None:
    gpu = without(
        an_amd_gpu(state=GpuState.ASLEEP), Cause.ASLEEP, "power_watts", "utilization_percent"
    )

    assert found("sleep", snapshot=a_snapshot(gpu)) == [
        Finding(
            check="sleep",
            status=Status.NOTE,
            found="GPU 0 (AMD Radeon RX 7900 XTX) is asleep",
            meaning="it saves power, and wakes when a program uses it; vramline leaves it asleep, "
            "and reads of it what wakes nothing",
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


REFUSED = "run it as root, or ask who administers this machine"
REFUSED_ON_WINDOWS = "run it as administrator, or ask who administers this machine"
KERNEL = "update the kernel and linux-firmware"
CAUSES = {
    Cause.NO_PERMISSION: "refused to this user",
    Cause.DRIVER_TOO_OLD: "unknown to this old driver",
    Cause.DRIVER_ERROR: "answered with an error",
    Cause.GARBLED: "answered with nonsense",
}


@pytest.mark.parametrize(
    ("platform", "vendor", "mends"),
    [
        ("linux", "nvidia", [REFUSED, "update NVIDIA's driver", XIDS, "update NVIDIA's driver"]),
        ("linux", "amd", [REFUSED, KERNEL, "sudo dmesg | grep -iE 'amdgpu|radeon'", KERNEL]),
        ("linux", "intel", [REFUSED, KERNEL, "sudo dmesg | grep -wE 'xe|i915'", KERNEL]),
        ("win32", "amd", [REFUSED_ON_WINDOWS, "update AMD's driver", None, "update AMD's driver"]),
        ("win32", "qualcomm", [REFUSED_ON_WINDOWS, "update Qualcomm's driver", None]),
        ("darwin", "apple", [REFUSED, "update macOS", None, "update macOS"]),
    ],
)
def test_values_that_could_be_had_are_told(
    platform: str, vendor: str, mends: list[str | None]
) -> None:
    for (cause, words), mend in zip(CAUSES.items(), mends, strict=False):
        gpu = without(a_gpu(0, vendor=vendor), cause, "power_watts", "throttle")

        assert found("values", snapshot=a_snapshot(gpu), platform=platform) == [
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
