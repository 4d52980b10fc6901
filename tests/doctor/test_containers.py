from dataclasses import replace

import pytest

from tests.doctor import LOADED, NODES, found, on_bus
from tests.snapshots import HOST, a_gpu, a_snapshot
from vramline.doctor import Finding, Status
from vramline.readers.nvidia.errors import (
    LIBRARY_NOT_FOUND,
    OPERATING_SYSTEM,
    UNKNOWN,
    why_closed,
)
from vramline.units import GIB

DOCKER = {"/.dockerenv": "", "/dev/null": ""}
ID = "3f2a9c0d11ee" * 5
WSL = {"/proc/sys/kernel/osrelease": "6.6.87.2-microsoft-standard-WSL2\n"}
WINDOWS_DRIVER = {"/usr/lib/wsl/lib/libnvidia-ml.so.1": ""}


@pytest.mark.parametrize(
    ("entries", "environ", "kind"),
    [
        (DOCKER, {}, "Docker"),
        ({"/run/.containerenv": ""}, {}, "Podman"),
        (DOCKER, {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "Kubernetes"),
        ({"/proc/self/cgroup": f"4:memory:/kubepods/pod1/{ID}\n"}, {}, "Kubernetes"),
        ({"/proc/self/cgroup": f"0::/system.slice/docker-{ID}.scope\n"}, {}, "Docker"),
        ({"/proc/self/cgroup": f"0::/machine.slice/libpod-{ID}.scope\n"}, {}, "Podman"),
        ({"/proc/self/cgroup": "0::/lxc.payload.box\n"}, {}, "LXC"),
    ],
)
def test_a_container_is_known_by_its_marks(
    entries: dict[str, str], environ: dict[str, str], kind: str
) -> None:
    assert found("container", entries, environ=environ) == [
        Finding(check="container", status=Status.OK, found=f"this is a {kind} container")
    ]


def test_a_system_of_its_own_is_no_container() -> None:
    entries = {"/proc/self/cgroup": "0::/user.slice/user-1000.slice/dockerd-tools.scope\n"}

    assert found("container", {"/proc/self/cgroup": "0::/init.scope\n"}) == []
    assert found("container", entries) == []


def test_a_container_with_its_gpu_is_well() -> None:
    entries = {**DOCKER, **NODES, **LOADED, **on_bus()}

    assert found("container", entries, snapshot=a_snapshot(a_gpu(0))) == [
        Finding(
            check="container",
            status=Status.OK,
            found="this is a Docker container, with access to 1 NVIDIA GPU",
        )
    ]


@pytest.mark.parametrize(
    ("entries", "kind", "mend"),
    [
        (DOCKER, "Docker", "docker run --gpus all ..."),
        ({"/run/.containerenv": ""}, "Podman", "podman run --device nvidia.com/gpu=all ..."),
    ],
)
def test_a_container_that_was_not_given_the_gpu_is_a_problem(
    entries: dict[str, str], kind: str, mend: str
) -> None:
    assert found("container", {**entries, **on_bus()}) == [
        Finding(
            check="container",
            status=Status.PROBLEM,
            found="the host has an NVIDIA GPU at 0000:01:00.0; "
            f"this {kind} container was not given it",
            meaning="no program in this container can use it",
            mend=mend,
        )
    ]


def test_a_container_whose_wish_for_a_gpu_was_not_heard_needs_the_toolkit() -> None:
    environ = {"NVIDIA_VISIBLE_DEVICES": "all"}

    assert found("container", {**DOCKER, **on_bus()}, environ=environ) == [
        Finding(
            check="container",
            status=Status.PROBLEM,
            found="the host has an NVIDIA GPU at 0000:01:00.0; this Docker container "
            "was not given it (NVIDIA_VISIBLE_DEVICES is all)",
            meaning="the image asks for GPUs, and nothing on the host answers that",
            mend="on the host, with the NVIDIA Container Toolkit installed: sudo nvidia-ctk "
            "runtime configure --runtime=docker && sudo systemctl restart docker; "
            "then docker run --gpus all ...",
        )
    ]


def test_a_container_that_was_told_to_have_no_gpu_has_none() -> None:
    findings = found(
        "container", {**DOCKER, **on_bus()}, environ={"NVIDIA_VISIBLE_DEVICES": "void"}
    )

    assert [finding.mend for finding in findings] == ["docker run --gpus all ..."]


def test_a_container_without_the_drivers_library_is_a_problem() -> None:
    snapshot = a_snapshot(failures={"nvidia": why_closed(LIBRARY_NOT_FOUND)})
    environ = {"NVIDIA_DRIVER_CAPABILITIES": "compute"}

    assert found("container", {**DOCKER, **NODES}, snapshot=snapshot, environ=environ) == [
        Finding(
            check="container",
            status=Status.PROBLEM,
            found="the GPU's device nodes are here, and the driver's library libnvidia-ml is not "
            "(NVIDIA_DRIVER_CAPABILITIES is compute)",
            meaning="the library comes with the driver's capability `utility`, "
            "or not at all where only devices were passed",
            mend="docker run --gpus all -e NVIDIA_DRIVER_CAPABILITIES=compute,utility ...",
        )
    ]


@pytest.mark.parametrize("code", [UNKNOWN, OPERATING_SYSTEM])
def test_a_container_that_lost_its_gpu_is_a_problem(code: int) -> None:
    snapshot = a_snapshot(failures={"nvidia": why_closed(code)})

    assert found("container", {**DOCKER, **NODES}, snapshot=snapshot) == [
        Finding(
            check="container",
            status=Status.PROBLEM,
            found="the container was given the GPU, and has lost it",
            meaning="`systemctl daemon-reload` on the host takes GPUs away from running containers",
            mend="start the container anew; version 1.18 of the NVIDIA Container Toolkit "
            "on the host keeps it from happening again",
        )
    ]


def test_a_gpu_under_windows_is_told_to_be() -> None:
    assert found("WSL 2", {**WSL, **WINDOWS_DRIVER}, snapshot=a_snapshot(a_gpu(0))) == [
        Finding(
            check="WSL 2",
            status=Status.NOTE,
            found="the GPU is reached through Windows' driver",
            meaning="the memory of each process is not told, nor are processes of Windows",
        )
    ]


def test_windows_without_a_driver_is_told() -> None:
    assert found("WSL 2", WSL) == [
        Finding(
            check="WSL 2",
            status=Status.NOTE,
            found="Windows offers no NVIDIA driver in /usr/lib/wsl/lib",
            meaning="an NVIDIA GPU of this machine cannot be used under WSL 2",
            mend="install NVIDIA's driver on Windows, then run there: wsl --update",
        )
    ]


def test_a_linux_driver_under_windows_is_a_problem() -> None:
    library = {"/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.580.65.06": ""}

    assert found("WSL 2", {**WSL, **WINDOWS_DRIVER, **library}) == [
        Finding(
            check="WSL 2",
            status=Status.PROBLEM,
            found="a Linux driver (580.65.06) is installed under WSL 2",
            meaning="it takes the place of Windows' driver, and has no GPU to drive",
            mend="sudo apt purge 'nvidia-driver-*' 'libnvidia-compute-*', or as your "
            "distribution removes it",
        )
    ]


def test_linux_of_its_own_is_not_under_windows() -> None:
    assert found("WSL 2", {"/proc/sys/kernel/osrelease": "6.8.0-45-generic\n"}) == []


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
