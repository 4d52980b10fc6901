import pytest

from tests.doctor import LOADED, NODES, Entries, found
from tests.snapshots import a_gpu, a_snapshot
from vramline.doctor import Finding, Status
from vramline.readers.nvidia.errors import (
    LIB_RM_VERSION_MISMATCH,
    LIBRARY_NOT_FOUND,
    why_closed,
)

LIBRARY = "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so"
UPDATED = a_snapshot(failures={"nvidia": why_closed(LIB_RM_VERSION_MISMATCH)})
RELOAD = (
    "reboot; or, while no program uses a GPU: "
    "sudo rmmod nvidia_uvm nvidia_drm nvidia_modeset nvidia && sudo modprobe nvidia"
)


def test_a_module_and_a_library_of_one_version_are_well() -> None:
    entries = {**LOADED, f"{LIBRARY}.580.65.06": "", f"{LIBRARY}.1": ""}

    assert found("driver versions", entries) == [
        Finding(
            check="driver versions",
            status=Status.OK,
            found="kernel module and library 580.65.06",
        )
    ]


@pytest.mark.parametrize(
    "kind", ["NVIDIA UNIX x86_64 Kernel Module", "NVIDIA UNIX Open Kernel Module for x86_64"]
)
def test_the_modules_version_is_also_in_proc(kind: str) -> None:
    text = f"NVRM version: {kind}  580.65.06  Release Build  (builder)\nGCC version:  12.3.0\n"

    assert found("driver versions", {"/proc/driver/nvidia/version": text}) == [
        Finding(check="driver versions", status=Status.OK, found="kernel module 580.65.06")
    ]


def test_a_library_that_is_newer_than_the_module_is_a_problem() -> None:
    entries = {**LOADED, f"{LIBRARY}.580.95.05": ""}

    assert found("driver versions", entries, snapshot=UPDATED) == [
        Finding(
            check="driver versions",
            status=Status.PROBLEM,
            found="the kernel module is 580.65.06, the library libnvidia-ml is 580.95.05",
            meaning="the driver was updated, and the module from before is still loaded",
            mend=RELOAD,
        )
    ]


def test_a_library_of_another_version_is_believed_where_its_file_is_not_found() -> None:
    assert found("driver versions", {**LOADED, "/.dockerenv": ""}, snapshot=UPDATED) == [
        Finding(
            check="driver versions",
            status=Status.PROBLEM,
            found="the kernel module is 580.65.06, the library libnvidia-ml is not",
            meaning="the driver was updated, and the module from before is still loaded",
            mend="start the container anew",
        )
    ]


def test_a_library_that_lies_about_is_no_problem_while_the_driver_answers() -> None:
    entries = {**LOADED, f"{LIBRARY}.470.42.01": ""}

    assert found("driver versions", entries, snapshot=a_snapshot(a_gpu(0))) == [
        Finding(check="driver versions", status=Status.OK, found="kernel module 580.65.06")
    ]


def test_a_module_without_its_library_is_a_problem() -> None:
    failure = f"an NVIDIA GPU is at 0000:01:00.0, but {why_closed(LIBRARY_NOT_FOUND)}"

    assert found("driver versions", LOADED, snapshot=a_snapshot(failures={"nvidia": failure})) == [
        Finding(
            check="driver versions",
            status=Status.PROBLEM,
            found="the kernel module 580.65.06 is loaded, and its library is not installed",
            meaning="NVIDIA's GPUs are read through libnvidia-ml",
            mend="sudo apt install libnvidia-compute-580 on Ubuntu, "
            "libnvidia-ml1 on Debian, nvidia-driver-cuda-libs on Fedora",
        )
    ]


def test_a_library_that_is_missing_here_is_not_to_be_installed_on_the_host() -> None:
    failure = why_closed(LIBRARY_NOT_FOUND)

    [finding] = found(
        "driver versions", LOADED, snapshot=a_snapshot(failures={"nvidia": failure}), process="1"
    )

    assert finding.found.endswith("its library is not installed where vramline runs")
    assert finding.mend == "start this container with access to the GPU"


def test_device_nodes_that_may_be_opened_are_well() -> None:
    assert found("device nodes", {**LOADED, **NODES}) == [
        Finding(
            check="device nodes",
            status=Status.OK,
            found="this user may use /dev/nvidia0, /dev/nvidiactl",
        )
    ]


def test_device_nodes_that_are_refused_are_a_problem() -> None:
    entries: Entries = {**LOADED, **NODES, "/dev/nvidia0": {"errno": "EACCES"}}

    assert found("device nodes", entries) == [
        Finding(
            check="device nodes",
            status=Status.PROBLEM,
            found="this user may not read and write /dev/nvidia0",
            meaning="the driver refuses every question",
            mend="ls -l /dev/nvidia* shows who may; if it is a group: "
            "sudo usermod -aG video $USER, and log in again",
        )
    ]


def test_device_nodes_that_are_missing_are_a_problem() -> None:
    assert found("device nodes", {**LOADED, "/dev/null": ""}) == [
        Finding(
            check="device nodes",
            status=Status.PROBLEM,
            found="there is no /dev/nvidiactl",
            meaning="the kernel module is loaded, and cannot be reached",
            mend="sudo nvidia-modprobe -c 0 -u",
        )
    ]


def test_device_nodes_are_not_looked_for_where_there_is_no_dev() -> None:
    assert found("device nodes", LOADED) == []
    assert found("device nodes", {"/dev/null": ""}) == []
