from dataclasses import replace

import pytest

from tests.doctor import Entries, a_card, an_amd_apu, an_intel_gpu, found
from tests.snapshots import HOST, a_gpu, a_snapshot, without
from vramline.doctor import Finding, Status
from vramline.readings import Cause, GpuReading, MemoryBound, MemoryPool
from vramline.units import GIB

APU = "GPU 0 (AMD Radeon 890M)"
ONCE = "what it takes is gone from the host's: a model counts once, not against both"
UNIFIED = an_amd_apu(vendor="apple", memory_pool=MemoryPool.UNIFIED, name="Apple M4 Max")
NODE = {"/dev/dri/renderD128": ""}
FULL = without(
    an_intel_gpu(), Cause.NO_PERMISSION, "memory_used_bytes", "memory_free_bytes", "throttle"
)
SETCAP = (
    'sudo setcap cap_perfmon=ep "$(readlink -f "$(command -v python3)")"  '
    "# every program in this Python may then read all users' performance counters"
)
LIFTED = "MemoryMax=infinity MemoryHigh=infinity"
WIRED = (
    "sudo sysctl iogpu.wired_limit_mb=N  # N MiB, until the next restart; 0 is macOS' own choice"
)


def told(found: str, mend: str | None = None) -> list[Finding]:
    return [Finding(check="memory", status=Status.NOTE, found=found, meaning=ONCE, mend=mend)]


def bound_by(bound: MemoryBound | None, gpu: GpuReading = UNIFIED) -> GpuReading:
    return replace(gpu, memory_free_bound_by=bound)


def test_memory_that_is_the_hosts_is_told() -> None:
    snapshot = a_snapshot(a_gpu(0, memory_pool=MemoryPool.UNIFIED))

    assert found("memory", snapshot=snapshot) == told(
        "GPU 0 (NVIDIA GeForce RTX 4090) has the host's memory"
    )


def test_what_the_driver_lets_a_gpu_map_can_be_raised() -> None:
    assert found("memory", snapshot=a_snapshot(an_amd_apu())) == told(
        f"{APU} has the host's memory: 12.0 GiB free, by the driver's limit of 16.0 GiB (GTT)",
        "add ttm.pages_limit=6291456 to the kernel's command line, and reboot: 24.0 GiB "
        "(older kernels: amdgpu.gttsize=24576)",
    )


def test_in_a_container_it_is_the_hosts_to_raise() -> None:
    findings = found("memory", {"/.dockerenv": ""}, snapshot=a_snapshot(an_amd_apu()))

    assert [str(finding.mend)[:37] for finding in findings] == [
        "on the host: add ttm.pages_limit=6291"
    ]


def test_a_limit_that_leaves_the_host_little_is_not_raised_further() -> None:
    raised = an_amd_apu(memory_total_bytes=28 * GIB)

    assert found("memory", snapshot=a_snapshot(raised)) == told(
        f"{APU} has the host's memory: 12.0 GiB free, by the driver's limit of 28.0 GiB (GTT)"
    )


@pytest.mark.parametrize(
    ("bound", "words", "mend"),
    [
        (MemoryBound.HOST, "what the host has available", None),
        (
            MemoryBound.WIRED_LIMIT,
            "what macOS lets the GPU hold",
            WIRED,
        ),
        (MemoryBound.SHARED_LIMIT, "what Windows lends to GPUs", None),
    ],
)
def test_what_bounds_the_free_memory_is_told(
    bound: MemoryBound, words: str, mend: str | None
) -> None:
    snapshot = a_snapshot(bound_by(bound))

    assert found("memory", snapshot=snapshot, platform="darwin") == told(
        f"GPU 0 (Apple M4 Max) has the host's memory: 12.0 GiB free, by {words}", mend
    )


def test_the_limit_of_intels_gpus_on_a_mac_cannot_be_raised() -> None:
    intel = bound_by(MemoryBound.WIRED_LIMIT, replace(UNIFIED, vendor="intel", name="Intel GPU"))

    assert found("memory", snapshot=a_snapshot(intel), platform="darwin") == told(
        "GPU 0 (Intel GPU) has the host's memory: 12.0 GiB free, by what macOS lets the GPU hold"
    )


@pytest.mark.parametrize(
    ("marks", "source", "mend"),
    [
        (
            {},
            "/user.slice/user-1000.slice/user@1000.service/app.slice/box.scope",
            f"systemctl --user set-property --runtime box.scope {LIFTED}",
        ),
        (
            {},
            "/system.slice/llm.service",
            f"sudo systemctl set-property --runtime llm.service {LIFTED}",
        ),
        (
            {},
            "/system.slice/a\\x2db.service",
            f"sudo systemctl set-property --runtime 'a\\x2db.service' {LIFTED}",
        ),
        ({}, "/slurm/job_7", None),
        ({}, "/a; reboot; .service", None),
        (
            {"/.dockerenv": ""},
            "/",
            "docker update --memory N --memory-swap N CONTAINER, on the host",
        ),
        (
            {"/run/.containerenv": ""},
            "/",
            "podman update --memory N --memory-swap N CONTAINER, on the host",
        ),
        (
            {"/proc/self/cgroup": "4:memory:/kubepods/pod1/3f2a\n"},
            "/kubepods/pod1",
            "raise resources.limits.memory of the container",
        ),
    ],
)
def test_a_cgroup_that_bounds_the_free_memory_is_named(
    marks: dict[str, str], source: str, mend: str | None
) -> None:
    host = replace(HOST, available_source=source)
    snapshot = a_snapshot(bound_by(MemoryBound.CGROUP, an_amd_apu()), host=host)

    assert found("memory", marks, snapshot=snapshot) == told(
        f"{APU} has the host's memory: 12.0 GiB free, by the limit of the cgroup {source}", mend
    )


def test_a_cgroup_without_a_name_is_told_as_one() -> None:
    findings = found("memory", snapshot=a_snapshot(bound_by(MemoryBound.CGROUP)))

    assert findings == told(
        "GPU 0 (Apple M4 Max) has the host's memory: 12.0 GiB free, by the limit of a cgroup"
    )


def test_a_gpu_with_memory_of_its_own_is_not_told() -> None:
    assert found("memory", snapshot=a_snapshot(a_gpu(0))) == []


@pytest.mark.parametrize(
    ("entries", "to_whom", "mend"),
    [
        ({**a_card("xe"), **NODE}, "root is told, and by newer kernels everybody", SETCAP),
        ({**a_card("i915"), **NODE}, "root is told", SETCAP),
        (
            {**a_card("i915"), **NODE, "/.dockerenv": ""},
            "root is told",
            "docker run --cap-add PERFMON ...",
        ),
    ],
    ids=["xe", "i915", "container"],
)
def test_a_card_that_hides_how_full_it_is_is_told(
    entries: Entries, to_whom: str, mend: str
) -> None:
    assert found("used memory", entries, snapshot=a_snapshot(FULL)) == [
        Finding(
            check="used memory",
            status=Status.NOTE,
            found="only programs with the right CAP_PERFMON are told how full "
            "GPU 0 (Intel Arc B580) is",
            meaning="its free memory is not known, and no model is measured against it; " + to_whom,
            mend=mend,
        )
    ]


def test_what_is_told_apart_is_not_told_among_the_values() -> None:
    findings = found("values", {**a_card("xe"), **NODE}, snapshot=a_snapshot(FULL))

    assert [finding.found for finding in findings] == [
        "GPU 0 (Intel Arc B580): throttle refused to this user"
    ]


def test_a_card_that_could_not_be_asked_hides_nothing() -> None:
    refused: Entries = {**a_card("xe"), "/dev/dri/renderD128": {"errno": "EACCES"}}

    assert found("used memory", refused, snapshot=a_snapshot(FULL)) == []
    assert found("used memory", a_card("xe"), snapshot=a_snapshot(FULL)) == []


def test_a_limit_on_memory_is_told_with_its_cgroup() -> None:
    host = replace(HOST, memory_limit_bytes=4 * GIB, limit_source="/sys/fs/cgroup/box")

    assert found("memory limit", snapshot=a_snapshot(host=host)) == [
        Finding(
            check="memory limit",
            status=Status.NOTE,
            found="4.0 GiB, set by /sys/fs/cgroup/box",
            meaning="the system ends a process that goes past it, whatever the machine has left",
        )
    ]
