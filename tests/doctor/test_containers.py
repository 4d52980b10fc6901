import pytest

from tests.doctor import (
    LOADED,
    NODES,
    Entries,
    a_card,
    an_amd_apu,
    found,
    on_bus,
)
from tests.snapshots import a_gpu, a_snapshot
from vramline.doctor import Finding, Status
from vramline.readers.nvidia.errors import (
    LIBRARY_NOT_FOUND,
    OPERATING_SYSTEM,
    UNKNOWN,
    why_closed,
)

DOCKER = {"/.dockerenv": "", "/dev/null": ""}
ID = "3f2a9c0d11ee" * 5


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
        ({"/run/systemd/container": "lxc\n", "/proc/self/cgroup": "0::/init.scope\n"}, {}, "LXC"),
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
    assert found("container", {"/run/systemd/container": "wsl\n"}) == []
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


SYS = "no program in this container can use it; what is shown of it is what /sys tells"
RENDER = {"/dev/dri/renderD128": "", "/dev/kfd": ""}
PODMAN = {"/run/.containerenv": ""}
KUBERNETES = {"/proc/self/cgroup": "4:memory:/kubepods/pod1/3f2a\n"}
LXC = {"/proc/self/cgroup": "0::/lxc.payload.box\n"}


@pytest.mark.parametrize(
    ("driver", "marks", "name", "kind", "mend"),
    [
        (
            "amdgpu",
            DOCKER,
            "AMD",
            "Docker",
            "docker run --device /dev/kfd --device /dev/dri ...",
        ),
        (
            "amdgpu",
            PODMAN,
            "AMD",
            "Podman",
            "podman run --group-add keep-groups --device /dev/kfd --device /dev/dri ...",
        ),
        (
            "amdgpu",
            KUBERNETES,
            "AMD",
            "Kubernetes",
            "give the container the limit amd.com/gpu: 1",
        ),
        ("amdgpu", LXC, "AMD", "LXC", "lxc config device add CONTAINER gpu gpu, on the host"),
        ("xe", DOCKER, "Intel", "Docker", "docker run --device /dev/dri ..."),
        (
            "xe",
            KUBERNETES,
            "Intel",
            "Kubernetes",
            "give the container the limit gpu.intel.com/xe: 1",
        ),
    ],
)
def test_a_container_that_was_not_given_its_hosts_card_is_a_problem(
    driver: str, marks: Entries, name: str, kind: str, mend: str
) -> None:
    assert found("container", {**marks, **a_card(driver)}) == [
        Finding(
            check="container",
            status=Status.PROBLEM,
            found=f"the host has an {name} GPU at 0000:03:00.0; "
            f"this {kind} container was not given it",
            meaning=SYS,
            mend=mend,
        )
    ]


def test_a_container_with_its_cards_is_well() -> None:
    entries = {
        **DOCKER,
        **NODES,
        **LOADED,
        **on_bus(),
        **a_card("amdgpu"),
        **a_card("amdgpu", "0000:04:00.0", 1),
        **RENDER,
        "/dev/dri/renderD129": "",
    }

    assert found("container", entries, snapshot=a_snapshot(a_gpu(0))) == [
        Finding(
            check="container",
            status=Status.OK,
            found="this is a Docker container, with access to 1 NVIDIA GPU and 2 AMD GPUs",
        )
    ]


def test_a_container_may_be_given_one_card_of_two() -> None:
    entries = {**DOCKER, **a_card(), **a_card("amdgpu", "0000:04:00.0", 1), **RENDER}

    assert found("container", entries) == [
        Finding(
            check="container",
            status=Status.NOTE,
            found="the host has an AMD GPU at 0000:04:00.0; this Docker container was not given it",
            meaning=SYS,
            mend="docker run --device /dev/kfd --device /dev/dri ...",
        ),
        Finding(
            check="container",
            status=Status.OK,
            found="this is a Docker container, with access to 1 AMD GPU",
        ),
    ]


@pytest.mark.parametrize(
    "card",
    [a_card("i915", "0000:00:02.0"), a_card("amdgpu", "0000:c4:00.0")],
    ids=["intel", "amd"],
)
def test_a_container_can_do_without_the_gpu_in_the_processor(card: Entries) -> None:
    entries = {**DOCKER, **NODES, **LOADED, **on_bus(), **card}

    findings = found("container", entries, snapshot=a_snapshot(a_gpu(0), an_amd_apu()))

    assert [finding.status for finding in findings] == [Status.NOTE, Status.OK]
