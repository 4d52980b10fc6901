"""Checks on what bounds the memory that a model could take."""

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass

from vramline.doctor import surroundings
from vramline.doctor.findings import Case, Finding, Findings, Status, title
from vramline.doctor.makers import APPLE, INTEL
from vramline.readers.drm import Card
from vramline.readings import Cause, GpuReading, MemoryBound, MemoryPool
from vramline.units import GIB, MIB, format_bytes

MEMORY = "memory"
LIMIT = "memory limit"
USED = "used memory"

PAGE_BYTES = 4096

ONCE = "what it takes is gone from the host's: a model counts once, not against both"

# https://docs.kernel.org/admin-guide/perf-security.html
PERFMON_IN = {
    "Docker": "docker run --cap-add PERFMON ...",
    "Podman": "podman run --cap-add PERFMON ...",
    "Kubernetes": 'add "PERFMON" to capabilities in the container\'s securityContext',
    "LXC": "run vramline on the host, as root",
}
PERFMON = (
    'sudo setcap cap_perfmon=ep "$(readlink -f "$(command -v python3)")"  '
    "# every program in this Python may then read all users' performance counters"
)
TO_WHOM = {"i915": "root is told", "xe": "root is told, and by newer kernels everybody"}


_UNIT = re.compile(r"[\w:.@\\-]+\.(slice|service|scope)", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What is said of one bound.

    Attributes:
        words: Who leaves the GPU so much.
        raise_it: What raises the bound.
    """

    words: Callable[[Case, GpuReading], str]
    raise_it: Callable[[Case, GpuReading], str | None]


def shared(case: Case) -> Findings:
    """GPUs that have no memory of their own, and what bounds the part of it that is free."""
    for gpu in case.snapshot.gpus:
        if gpu.memory_pool is MemoryPool.VRAM:
            continue
        found, bound = f"{title(gpu)} has the host's memory", None
        if gpu.memory_free_bytes is not None and gpu.memory_free_bound_by is not None:
            bound = BOUNDS[gpu.memory_free_bound_by]
            found += f": {format_bytes(gpu.memory_free_bytes)} free, by {bound.words(case, gpu)}"
        yield Finding(
            check=MEMORY,
            status=Status.NOTE,
            found=found,
            meaning=ONCE,
            mend=bound.raise_it(case, gpu) if bound else None,
        )


def hidden_use(case: Case) -> Findings:
    """Intel's cards, whose drivers tell some programs only how full they are.

    i915 says to all others that a card is empty, as older versions of xe do: without
    ``CAP_PERFMON`` they fill in nothing (``query_mem_regions`` in
    drivers/gpu/drm/xe/xe_query.c; https://github.com/oneapi-src/level-zero/issues/133).
    """
    cards = {card.address: card for card in case.cards.get(INTEL, ())}
    for gpu in case.gpus(INTEL):
        card = cards.get(gpu.pci_address or "")
        if card is None or not told_apart(gpu) or _is_closed(case, card):
            continue
        yield Finding(
            check=USED,
            status=Status.NOTE,
            found=f"only programs with the right CAP_PERFMON are told how full {title(gpu)} is",
            meaning="its free memory is not known, and no model is measured against it; "
            + TO_WHOM[card.driver],
            mend=PERFMON_IN[case.container] if case.container else PERFMON,
        )


def _is_closed(case: Case, card: Card) -> bool:
    """Tell whether the driver could not be asked at all: the checks on device files tell that."""
    node = card.render_node
    may_open = surroundings.may_open(case.machine, node) if node else None
    return not may_open and not case.looks_at_host


def told_apart(gpu: GpuReading) -> tuple[str, ...]:
    """Return the fields of which these checks say why they are not known."""
    fields = ("memory_used_bytes", "memory_free_bytes")
    is_hidden = gpu.vendor == INTEL and gpu.unknown.get(fields[0]) is Cause.NO_PERMISSION
    return fields if is_hidden and gpu.memory_total_bytes is not None else ()


def limit(case: Case) -> Findings:
    """The cgroup that bounds the host's memory."""
    host = case.snapshot.host
    if host.memory_limit_bytes is not None:
        yield Finding(
            check=LIMIT,
            status=Status.NOTE,
            found=f"{format_bytes(host.memory_limit_bytes)}, set by {host.limit_source}",
            meaning="the system ends a process that goes past it, whatever the machine has left",
        )


def _cgroup(case: Case, _gpu: GpuReading) -> str:
    source = case.snapshot.host.available_source or case.snapshot.host.limit_source
    return f"the limit of the cgroup {source}" if source else "the limit of a cgroup"


def _raise_cgroup(case: Case, _gpu: GpuReading) -> str | None:
    """Return what lifts the limit, for the cgroups that are known to be somebody's."""
    if case.container in ("Docker", "Podman"):
        program = case.container.lower()
        return f"{program} update --memory N --memory-swap N CONTAINER, on the host"
    if case.container == "Kubernetes":
        return "raise resources.limits.memory of the container"
    unit = (case.snapshot.host.available_source or "").rpartition("/")[2]
    if case.container is None and _UNIT.fullmatch(unit):
        # https://www.freedesktop.org/software/systemd/man/latest/systemd.resource-control.html
        user = "--user " if "/user@" in (case.snapshot.host.available_source or "") else ""
        sudo = "" if user else "sudo "
        return (
            f"{sudo}systemctl {user}set-property --runtime {shlex.quote(unit)} "
            "MemoryMax=infinity MemoryHigh=infinity"
        )
    return None


def _gtt(_case: Case, gpu: GpuReading) -> str:
    total = gpu.memory_total_bytes
    of = "" if total is None else f" of {format_bytes(total)}"
    return f"the driver's limit{of} (GTT)"


def _raise_gtt(case: Case, gpu: GpuReading) -> str | None:
    """Return the option that lets the GPU have three quarters of the host's memory.

    https://rocm.docs.amd.com/en/latest/how-to/system-optimization/strixhalo.html
    https://docs.kernel.org/gpu/amdgpu/module-parameters.html (gttsize, for older kernels)
    """
    total = case.snapshot.host.memory_total_bytes or 0
    wanted = total * 3 // 4 // GIB * GIB
    if gpu.memory_total_bytes is None or wanted <= gpu.memory_total_bytes:
        return None
    on_host = "on the host: " if case.container else ""
    return (
        f"{on_host}add ttm.pages_limit={wanted // PAGE_BYTES} to the kernel's command line, and "
        f"reboot: {format_bytes(wanted)} (older kernels: amdgpu.gttsize={wanted // MIB})"
    )


def _raise_wired(_case: Case, gpu: GpuReading) -> str | None:
    """Return what sets another limit. For Intel's GPUs macOS has a fixed one.

    https://github.com/gpustack/gpustack/issues/1375
    """
    if gpu.vendor != APPLE:
        return None
    return (
        "sudo sysctl iogpu.wired_limit_mb=N  "
        "# N MiB, until the next restart; 0 is macOS' own choice"
    )


BOUNDS = {
    MemoryBound.HOST: Bound(
        words=lambda _case, _gpu: "what the host has available", raise_it=lambda _case, _gpu: None
    ),
    MemoryBound.CGROUP: Bound(words=_cgroup, raise_it=_raise_cgroup),
    MemoryBound.GTT: Bound(words=_gtt, raise_it=_raise_gtt),
    MemoryBound.WIRED_LIMIT: Bound(
        words=lambda _case, _gpu: "what macOS lets the GPU hold", raise_it=_raise_wired
    ),
    MemoryBound.SHARED_LIMIT: Bound(
        words=lambda _case, _gpu: "what Windows lends to GPUs",
        raise_it=lambda _case, _gpu: None,
    ),
}

CHECKS = (shared, limit)
LINUX_CHECKS = (hidden_use,)
