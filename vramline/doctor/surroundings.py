"""Where this process runs: on the system itself, in a container, under Windows."""

import re

from vramline.machine import Machine
from vramline.machine.files import names_in, read

LIBRARY = "libnvidia-ml.so"
WSL_LIBRARIES = "/usr/lib/wsl/lib"
LIBRARY_FOLDERS = (
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/usr/local/nvidia/lib64",
    "/run/opengl-driver/lib",
)
"""Where distributions, Google's nodes and NixOS put the driver's libraries."""

_MARKS = {"/.dockerenv": "Docker", "/run/.containerenv": "Podman"}
# A container with a cgroup namespace does not see the cgroup that tells. Where it has systemd,
# that says what started it: https://systemd.io/CONTAINER_INTERFACE/
_TOLD = "/run/systemd/container"
_TOLD_KINDS = {"docker": "Docker", "podman": "Podman", "lxc": "LXC", "lxc-libvirt": "LXC"}
_CGROUPS = {"kubepods": "Kubernetes", "docker": "Docker", "libpod": "Podman", "lxc": "LXC"}


def container(machine: Machine) -> str | None:
    """Return what kind of container this process is in. ``None`` where the host is looked at."""
    if machine.process != "self":
        return None
    if "KUBERNETES_SERVICE_HOST" in machine.environ:
        return "Kubernetes"
    marked = (kind for path, kind in _MARKS.items() if exists(machine, path))
    told = _TOLD_KINDS.get(read(machine, _TOLD).strip())
    cgroup = read(machine, f"/proc/{machine.process}/cgroup")
    grouped = (kind for word, kind in _CGROUPS.items() if re.search(rf"/{word}[-./]", cgroup))
    return next(marked, None) or told or next(grouped, None)


def is_wsl(machine: Machine) -> bool:
    """Tell whether the kernel is Microsoft's, for Linux under Windows."""
    return "microsoft" in read(machine, "/proc/sys/kernel/osrelease").lower()


def is_root(machine: Machine) -> bool:
    """Tell whether this process runs as root, whatever a container leaves of its rights."""
    status = read(machine, "/proc/self/status")
    return re.search(r"^Uid:\s+[0-9]+\s+0\s", status, re.MULTILINE) is not None


def sees_all_processes(machine: Machine) -> bool:
    """Tell whether ``/proc`` is that of the whole system, and not of a PID namespace below it.

    The kernel's own threads run in the topmost namespace only, the first of them as number 2.
    https://man7.org/linux/man-pages/man7/pid_namespaces.7.html
    """
    return read(machine, "/proc/2/comm").strip() == "kthreadd"


def kernel_options(machine: Machine) -> list[str]:
    """Return what the kernel was started with."""
    return read(machine, "/proc/cmdline").split()


def library_versions(machine: Machine) -> list[str]:
    """Return the versions of NVIDIA's library that are installed, by its files' names."""
    found = set()
    for folder in LIBRARY_FOLDERS:
        for name in names_in(machine, folder):
            if version := re.fullmatch(rf"{re.escape(LIBRARY)}\.(\d+\.\d[\d.]*)", name):
                found.add(version[1])
    return sorted(found)


def exists(machine: Machine, path: str) -> bool:
    """Tell whether there is a file at *path*, whoever may open it."""
    try:
        machine.may_open(path)
    except OSError:
        return False
    return True


def may_open(machine: Machine, path: str) -> bool | None:
    """Tell whether this user may read and write the file; ``None`` where there is none.

    It is not opened. What a container's rules for devices refuse is refused here too.
    """
    try:
        return machine.may_open(path)
    except PermissionError:
        return False
    except OSError:
        return None
