from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.doctor import (
    INSTALLED,
    LOADED,
    NODES,
    a_card,
    an_amd_apu,
    an_amd_gpu,
    an_intel_gpu,
    on_bus,
)
from tests.snapshots import a_gpu, a_snapshot, asleep, lost, without
from vramline.doctor import examine
from vramline.machine import RecordedMachine
from vramline.readings import Cause

MACHINE: dict[str, Any] = {
    **LOADED,
    **NODES,
    **on_bus(),
    **on_bus("0000:05:00.0", None, "0x8086"),
    **a_card("amdgpu"),
    **a_card("xe", "0000:04:00.0", 1),
    **a_card("radeon", "0000:06:00.0", 2),
    "/sys/bus/pci/devices/0000:06:00.0/device": "0x6818\n",
    "/sys/class/kfd/kfd/topology/nodes/1/properties": "simd_count 192\n",
    "/sys/bus/platform/drivers/simple-framebuffer/simple-framebuffer.0": {"dir": []},
    "/dev/dri/renderD128": "",
    "/dev/dri/renderD129": "",
    "/dev/kfd": "",
    "/dev/dxg": "",
    "/proc/2/comm": "kthreadd\n",
    "/proc/cmdline": "nomodeset\n",
    "/proc/self/status": "Uid:\t0\t0\t0\t0\n",
    "/proc/self/cgroup": "0::/system.slice/docker-3f2a.scope\n",
    "/proc/sys/kernel/osrelease": "6.6.87.2-microsoft-standard-WSL2\n",
    "/proc/device-tree/model": "NVIDIA Jetson AGX Orin\0",
}
SNAPSHOT = a_snapshot(
    a_gpu(0),
    asleep(1),
    lost(2),
    an_amd_gpu(),
    an_amd_apu(),
    without(an_intel_gpu(), Cause.NO_PERMISSION, "memory_used_bytes", "memory_free_bytes"),
    without(a_gpu(0, vendor="pci:1ed5", name=None, pci_address=None), Cause.DRIVER_ERROR),
    failures={"apple": "gone"},
    absent={"windows": "none"},
)
BROKEN = st.one_of(
    st.sampled_from([{"errno": each} for each in ("ENOENT", "EACCES", "EPERM", "EIO", "EBUSY")]),
    st.just({"dir": []}),
    st.just({"symlink": "../../{gpus}/{0}"}),
    st.text(max_size=40),
    st.integers().map(str),
    st.just(f"Uid:\t0\t{'9' * 5000}\t0\n"),
)


@given(
    st.dictionaries(st.sampled_from(sorted(MACHINE)), BROKEN, max_size=8),
    st.sampled_from(["linux", "win32", "darwin"]),
)
def test_whatever_the_files_hold_each_finding_says_something(
    broken: dict[str, Any], platform: str
) -> None:
    machine = RecordedMachine({**MACHINE, **broken}, platform=platform)

    findings = examine(machine, SNAPSHOT, version_of=INSTALLED.get)

    assert all(finding.check and finding.found for finding in findings)
    said = "".join(f"{finding.found}{finding.meaning}{finding.mend}" for finding in findings)
    assert not any(place in said for place in ("{gpus}", "{node}", "{driver}"))
