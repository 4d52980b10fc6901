"""Checks on what lies round this process: a container, Windows, limits."""

from vramline.doctor import surroundings
from vramline.doctor.findings import Case, Finding, Findings, Status
from vramline.readers.nvidia.errors import (
    LIBRARY_NOT_FOUND,
    OPERATING_SYSTEM,
    UNKNOWN,
    why_closed,
)
from vramline.units import format_bytes

CONTAINER = "container"
WSL = "WSL 2"
LIMIT = "memory limit"

GIVE_GPUS = {
    "Docker": "docker run --gpus all ...",
    # https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/cdi-support.html
    "Podman": "podman run --device nvidia.com/gpu=all ...",
    # https://kubernetes.io/docs/tasks/manage-gpus/scheduling-gpus/
    "Kubernetes": "give the container the limit nvidia.com/gpu: 1",
    "LXC": "lxc config device add CONTAINER gpu gpu, on the host",
}
# https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/install-guide.html
CONFIGURE = (
    "on the host, with the NVIDIA Container Toolkit installed: "
    "sudo nvidia-ctk runtime configure --runtime=docker && sudo systemctl restart docker"
)


def container(case: Case) -> Findings:
    """Whether a container was given the GPU that its host has, and still has it."""
    kind = case.container
    if kind is None:
        return
    driven = [gpu.address for gpu in case.on_bus if gpu.driver == "nvidia"]
    has_node = surroundings.exists(case.machine, "/dev/nvidiactl")
    if driven and not has_node:
        yield _not_given(case, kind, driven)
    elif has_node and case.failed(why_closed(LIBRARY_NOT_FOUND)):
        yield _without_library(case)
    elif case.failed(why_closed(UNKNOWN)) or case.failed(why_closed(OPERATING_SYSTEM)):
        yield _taken_away()
    else:
        gpus = len(case.gpus())
        shown = f"with access to {gpus} NVIDIA GPU{'' if gpus == 1 else 's'}"
        found = f"this is a {kind} container" + (f", {shown}" if gpus else "")
        yield Finding(check=CONTAINER, status=Status.OK, found=found)


def _not_given(case: Case, kind: str, driven: list[str]) -> Finding:
    value = case.environ.get("NVIDIA_VISIBLE_DEVICES", "")
    # With these values the toolkit is told to leave the container alone:
    # https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/docker-specialized.html
    asked_for = value not in ("", "none", "void")
    said = f" (NVIDIA_VISIBLE_DEVICES is {value})" if value else ""
    return Finding(
        check=CONTAINER,
        status=Status.PROBLEM,
        found=f"the host has an NVIDIA GPU at {', '.join(driven)}; "
        f"this {kind} container was not given it{said}",
        meaning="the image asks for GPUs, and nothing on the host answers that"
        if asked_for
        else "no program in this container can use it",
        mend=f"{CONFIGURE}; then {GIVE_GPUS[kind]}"
        if asked_for and kind == "Docker"
        else GIVE_GPUS[kind],
    )


def _without_library(case: Case) -> Finding:
    value = case.environ.get("NVIDIA_DRIVER_CAPABILITIES")
    return Finding(
        check=CONTAINER,
        status=Status.PROBLEM,
        found="the GPU's device nodes are here, and the driver's library libnvidia-ml is not"
        + (f" (NVIDIA_DRIVER_CAPABILITIES is {value})" if value else ""),
        meaning="the library comes with the driver's capability `utility`, "
        "or not at all where only devices were passed",
        mend="docker run --gpus all -e NVIDIA_DRIVER_CAPABILITIES=compute,utility ...",
    )


def _taken_away() -> Finding:
    return Finding(
        check=CONTAINER,
        status=Status.PROBLEM,
        found="the container was given the GPU, and has lost it",
        meaning="`systemctl daemon-reload` on the host takes GPUs away from running containers",
        # https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/troubleshooting.html
        # https://github.com/NVIDIA/nvidia-container-toolkit/issues/1227
        mend="start the container anew; version 1.18 of the NVIDIA Container Toolkit "
        "on the host keeps it from happening again",
    )


def wsl(case: Case) -> Findings:
    """Linux under Windows, where the driver is Windows' own.

    https://docs.nvidia.com/cuda/wsl-user-guide/
    """
    if not case.wsl or case.container:
        return
    if versions := surroundings.library_versions(case.machine):
        yield Finding(
            check=WSL,
            status=Status.PROBLEM,
            found=f"a Linux driver ({', '.join(versions)}) is installed under WSL 2",
            meaning="it takes the place of Windows' driver, and has no GPU to drive",
            mend="sudo apt purge 'nvidia-driver-*' 'libnvidia-compute-*', or as your "
            "distribution removes it",
        )
    names = surroundings.names_in(case.machine, surroundings.WSL_LIBRARIES)
    if not any(name.startswith(surroundings.LIBRARY) for name in names):
        yield Finding(
            check=WSL,
            status=Status.NOTE,
            found=f"Windows offers no NVIDIA driver in {surroundings.WSL_LIBRARIES}",
            meaning="an NVIDIA GPU of this machine cannot be used under WSL 2",
            mend="install NVIDIA's driver on Windows, then run there: wsl --update",
        )
    elif case.gpus():
        yield Finding(
            check=WSL,
            status=Status.NOTE,
            found="the GPU is reached through Windows' driver",
            meaning="the memory of each process is not told, nor are processes of Windows",
        )


def memory_limit(case: Case) -> Findings:
    """The cgroup that bounds the host's memory."""
    limit = case.snapshot.host.memory_limit_bytes
    if limit is not None:
        yield Finding(
            check=LIMIT,
            status=Status.NOTE,
            found=f"{format_bytes(limit)}, set by {case.snapshot.host.limit_source}",
            meaning="the system ends a process that goes past it, whatever the machine has left",
        )


LINUX_CHECKS = (container, wsl, memory_limit)
