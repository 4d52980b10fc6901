import json
from pathlib import Path

import pytest

from tests.doctor import a_card, an_amd_apu, an_intel_gpu, on_bus
from tests.snapshots import a_gpu, a_snapshot, lost, without
from vramline.cli import run
from vramline.cli.doctor import as_json, as_text
from vramline.doctor import Finding, Status, examine
from vramline.machine import RecordedMachine
from vramline.readings import Cause

MENDED = Finding(
    check="sleep",
    status=Status.NOTE,
    found="GPU 0 could sleep while idle, and never did since it was started",
    meaning="some program, often a desktop or a monitor, keeps it open",
    mend="sudo fuser -v /dev/nvidia* # which is a command that is longer than the page is wide",
)
GOOD = Finding(check="PCI bus", status=Status.OK, found="0000:01:00.0: bound to nvidia")
BAD = Finding(check="answers", status=Status.PROBLEM, found="GPU 1 is \x1b[2Jlost")


def test_findings_are_told_with_what_mends_them() -> None:
    text = """\
problem  answers: GPU 1 is ?[2Jlost
note     sleep: GPU 0 could sleep while idle, and never
         did since it was started
         some program, often a desktop or a monitor,
         keeps it open
         -> sudo fuser -v /dev/nvidia* # which is a command that is longer than the page is wide
ok       PCI bus: 0000:01:00.0: bound to nvidia

1 problem, 1 note
"""

    assert as_text([BAD, MENDED, GOOD], 56) == text


A_MACHINE = {
    **a_card("xe"),
    **a_card("amdgpu", "0000:c4:00.0", 1),
    **on_bus("0000:04:00.0", None, "0x1002"),
    "/dev/dri/renderD128": "",
    "/dev/dri/renderD129": {"errno": "EACCES"},
    "/dev/kfd": "",
    "/proc/2/comm": "kthreadd\n",
    "/proc/self/status": "Uid:\t1000\t1000\t1000\t1000\n",
}
USED = ("memory_used_bytes", "memory_free_bytes")
OF_ALL_MAKERS = {
    60: """\
problem  PCI bus: no kernel driver has taken the AMD GPU at
         0000:04:00.0
         the driver is not loaded, or this kernel or its
         firmware is older than the card
         -> sudo modprobe amdgpu; if that fails, update the kernel and linux-firmware
note     memory: GPU 0 (AMD Radeon 890M) has the host's
         memory: 12.0 GiB free, by the driver's limit of
         16.0 GiB (GTT)
         what it takes is gone from the host's: a model
         counts once, not against both
         -> add ttm.pages_limit=6291456 to the kernel's command line, and reboot: \
24.0 GiB (older kernels: amdgpu.gttsize=24576)
note     device nodes: this user may not read and write
         /dev/dri/renderD129
         its figures are read without it; programs that
         compute on it need it
         -> sudo usermod -aG render,video $USER, and log in again
note     used memory: only programs with the right
         CAP_PERFMON are told how full GPU 0 (Intel Arc
         B580) is
         its free memory is not known, and no model is
         measured against it; root is told, and by newer
         kernels everybody
         -> sudo setcap cap_perfmon=ep "$(readlink -f "$(command -v python3)")"  \
# every program in this Python may then read all users' performance counters
note     processes: 4.0 GiB on GPU 0 (AMD Radeon 890M) is
         held by processes that are not listed
         processes of other users cannot be looked at
         -> sudo "$(command -v vramline)"
ok       Python binding: nvidia-ml-py 13
ok       Intel GPUs: 1 found, driver 6.12.10
ok       AMD GPUs: 1 found, driver 6.12.10
ok       PCI bus: 0000:c4:00.0: bound to the driver amdgpu
ok       PCI bus: 0000:03:00.0: bound to the driver xe
ok       device nodes: this user may use /dev/dri/renderD128

1 problem, 4 notes
""",
    80: """\
problem  PCI bus: no kernel driver has taken the AMD GPU at 0000:04:00.0
         the driver is not loaded, or this kernel or its firmware is older than
         the card
         -> sudo modprobe amdgpu; if that fails, update the kernel and linux-firmware
note     memory: GPU 0 (AMD Radeon 890M) has the host's memory: 12.0 GiB free,
         by the driver's limit of 16.0 GiB (GTT)
         what it takes is gone from the host's: a model counts once, not against
         both
         -> add ttm.pages_limit=6291456 to the kernel's command line, and reboot: \
24.0 GiB (older kernels: amdgpu.gttsize=24576)
""",
    120: """\
problem  PCI bus: no kernel driver has taken the AMD GPU at 0000:04:00.0
         the driver is not loaded, or this kernel or its firmware is older than the card
         -> sudo modprobe amdgpu; if that fails, update the kernel and linux-firmware
note     memory: GPU 0 (AMD Radeon 890M) has the host's memory: 12.0 GiB free, by the \
driver's limit of 16.0 GiB (GTT)
         what it takes is gone from the host's: a model counts once, not against both
""",
}


@pytest.mark.parametrize("width", [60, 80, 120])
def test_every_makers_findings_fit_the_page(width: int) -> None:
    hidden = without(an_intel_gpu(), Cause.NO_PERMISSION, *USED)
    findings = examine(
        RecordedMachine(A_MACHINE),
        a_snapshot(hidden, an_amd_apu()),
        version_of={"nvidia-ml-py": "13"}.get,
    )

    text = as_text(findings, width)

    assert text.startswith(OF_ALL_MAKERS[width])
    told = [line for line in text.splitlines() if not line.startswith("         -> ")]
    assert max(map(len, told)) <= width


def test_findings_are_told_to_programs() -> None:
    assert json.loads(as_json([GOOD])) == {
        "format": 1,
        "findings": [
            {
                "check": "PCI bus",
                "status": "ok",
                "found": "0000:01:00.0: bound to nvidia",
                "meaning": None,
                "mend": None,
            }
        ],
    }


@pytest.mark.parametrize("arguments", [["doctor"], ["doctor", "--json"]])
def test_the_status_tells_whether_there_is_a_problem(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments, look=lambda machine: a_snapshot(lost(0))) == 1
    assert "GPU 0 (NVIDIA GeForce RTX 4090) is lost" in capsys.readouterr().out


def test_the_status_is_zero_where_there_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("proc", "sys"):
        (tmp_path / name).mkdir()

    status = run(
        ["doctor", "--host-root", str(tmp_path)], look=lambda machine: a_snapshot(a_gpu(0))
    )

    assert status == 0
    assert "ok       NVIDIA GPUs: 1 found, driver 580.65.06" in capsys.readouterr().out
