"""Checks on a container: which of its host's GPUs it was given, and still has."""

from collections.abc import Iterator

from vramline.doctor import surroundings
from vramline.doctor.bus import is_minor
from vramline.doctor.findings import Case, Finding, Findings, Status
from vramline.doctor.makers import MAKERS, counted
from vramline.doctor.nodes import give, is_given
from vramline.readers.nvidia.errors import (
    LIBRARY_NOT_FOUND,
    OPERATING_SYSTEM,
    UNKNOWN,
    why_closed,
)

CONTAINER = "container"

_NVIDIA = MAKERS[0]

# https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/install-guide.html
CONFIGURE = (
    "on the host, with the NVIDIA Container Toolkit installed: "
    "sudo nvidia-ctk runtime configure --runtime=docker && sudo systemctl restart docker"
)


def container(case: Case) -> Findings:
    """Whether a container was given the GPUs that its host has, and still has them."""
    kind = case.container
    if kind is None:
        return
    findings = [*_of_nvidia(case, kind), *_of_kernel(case, kind)]
    yield from findings
    if all(finding.status is not Status.PROBLEM for finding in findings):
        shown = " and ".join(_shown(case))
        found = f"this is a {kind} container" + (f", with access to {shown}" if shown else "")
        yield Finding(check=CONTAINER, status=Status.OK, found=found)


def _shown(case: Case) -> Iterator[str]:
    for maker in MAKERS:
        given = [card for card in case.cards.get(maker.vendor, ()) if is_given(case, card)]
        count = len(given if maker.in_kernel else case.gpus(maker.vendor))
        if count:
            yield counted(maker, count)


def _of_nvidia(case: Case, kind: str) -> Findings:
    driven = case.driven(_NVIDIA)
    has_node = surroundings.exists(case.machine, "/dev/nvidiactl")
    if driven and not has_node:
        yield _not_given(case, kind, driven)
    elif has_node and case.failed(why_closed(LIBRARY_NOT_FOUND)):
        yield _without_library(case)
    elif case.failed(why_closed(UNKNOWN)) or case.failed(why_closed(OPERATING_SYSTEM)):
        yield _taken_away()


def _of_kernel(case: Case, kind: str) -> Findings:
    """Compare the host's cards, which ``/sys`` shows in a container too, with its ``/dev``."""
    for maker in MAKERS:
        cards = case.cards.get(maker.vendor, ())
        missing = [card for card in cards if not is_given(case, card)]
        if not missing:
            continue
        addresses = [card.address for card in missing]
        meant = len(missing) < len(cards) or all(is_minor(case, maker, each) for each in addresses)
        yield Finding(
            check=CONTAINER,
            status=Status.NOTE if meant else Status.PROBLEM,
            found=f"the host has an {maker.name} GPU at {', '.join(addresses)}; "
            f"this {kind} container was not given it",
            meaning="no program in this container can use it; "
            "what is shown of it is what /sys tells",
            mend=give(case, maker.vendor, missing[0]),
        )


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
        mend=f"{CONFIGURE}; then {_NVIDIA.give[kind]}"
        if asked_for and kind == "Docker"
        else _NVIDIA.give[kind],
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


LINUX_CHECKS = (container,)
