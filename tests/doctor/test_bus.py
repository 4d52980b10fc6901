import pytest

from tests.doctor import (
    LOADED,
    PCI,
    Entries,
    a_card,
    an_amd_apu,
    found,
    on_bus,
)
from tests.snapshots import a_gpu, a_snapshot
from vramline.doctor import Finding, Status

INSTALL = "install NVIDIA's driver, and reboot (on Ubuntu: sudo ubuntu-drivers install)"
OLDER = "the driver is not loaded, or this kernel or its firmware is older than the card"
UPDATE = "update the kernel and linux-firmware"
TO_LINE = "to the kernel's command line, and reboot"
RADEON = "radeon tells nothing of its memory; amdgpu does, for cards from 2012 on"


def test_gpus_bound_to_their_drivers_are_well() -> None:
    entries = {
        **on_bus(),
        **on_bus("0000:02:00.0"),
        **a_card("amdgpu", "0000:03:00.0"),
        **a_card("xe", "0000:04:00.0"),
        **a_card("i915", "0000:00:02.0"),
    }

    assert found("PCI bus", entries) == [
        Finding(check="PCI bus", status=Status.OK, found=f"{addresses}: bound to the driver {name}")
        for addresses, name in (
            ("0000:01:00.0, 0000:02:00.0", "nvidia"),
            ("0000:03:00.0", "amdgpu"),
            ("0000:00:02.0", "i915"),
            ("0000:04:00.0", "xe"),
        )
    ]


def test_a_gpu_bound_to_nouveau_is_told() -> None:
    assert found("PCI bus", on_bus(driver="nouveau")) == [
        Finding(
            check="PCI bus",
            status=Status.NOTE,
            found="nouveau drives the NVIDIA GPU at 0000:01:00.0",
            meaning="nouveau tells nothing of its memory, and runs no CUDA program",
            mend=INSTALL,
        )
    ]


@pytest.mark.parametrize(
    ("device", "mend"),
    [
        (
            "0x6818",  # Radeon HD 7870
            f"add radeon.si_support=0 amdgpu.si_support=1 {TO_LINE}",
        ),
        (
            "0x67b0",  # Radeon R9 290X
            f"add radeon.cik_support=0 amdgpu.cik_support=1 {TO_LINE}",
        ),
        ("0x6898", None),  # Radeon HD 5870
        ("", None),
    ],
)
def test_a_card_bound_to_radeon_may_have_a_better_driver(device: str, mend: str | None) -> None:
    entries = {**a_card("radeon"), f"{PCI}/0000:03:00.0/device": f"{device}\n"}

    assert found("PCI bus", entries) == [
        Finding(
            check="PCI bus",
            status=Status.NOTE,
            found="radeon drives the AMD GPU at 0000:03:00.0",
            meaning=RADEON,
            mend=mend,
        )
    ]


def test_a_gpu_bound_to_any_other_driver_is_a_problem() -> None:
    assert found("PCI bus", on_bus(driver="nvidiafb")) == [
        Finding(
            check="PCI bus",
            status=Status.PROBLEM,
            found="nvidiafb drives the NVIDIA GPU at 0000:01:00.0",
            meaning="nvidiafb tells nothing of its memory",
            mend=f"sudo modprobe nvidia; if that fails, {INSTALL}",
        )
    ]


@pytest.mark.parametrize(
    ("vendor", "name", "meaning", "mend"),
    [
        (
            "0x10de",
            "NVIDIA",
            "the driver is not installed, not loaded, or not built for this kernel",
            f"sudo modprobe nvidia; if that fails, {INSTALL}",
        ),
        ("0x1002", "AMD", OLDER, f"sudo modprobe amdgpu; if that fails, {UPDATE}"),
        ("0x8086", "Intel", OLDER, f"sudo modprobe -a xe i915; if that fails, {UPDATE}"),
    ],
)
def test_gpus_without_a_driver_are_a_problem(
    vendor: str, name: str, meaning: str, mend: str
) -> None:
    entries = {
        **on_bus("0000:03:00.0", None, vendor),
        **on_bus("0000:04:00.0", None, vendor),
    }
    expected = Finding(
        check="PCI bus",
        status=Status.PROBLEM,
        found=f"no kernel driver has taken the {name} GPUs at 0000:03:00.0, 0000:04:00.0",
        meaning=meaning,
        mend=mend,
    )

    assert found("PCI bus", entries) == [expected]


def test_in_a_container_the_host_is_to_be_mended() -> None:
    entries = {**on_bus("0000:03:00.0", None, "0x1002"), "/.dockerenv": ""}

    findings = found("PCI bus", entries)

    assert [finding.mend for finding in findings] == [
        f"on the host: sudo modprobe amdgpu; if that fails, {UPDATE}"
    ]


def test_a_machine_can_do_without_the_gpu_in_its_intel_processor() -> None:
    findings = found("PCI bus", on_bus("0000:00:02.0", None, "0x8086"))

    assert [(finding.status, finding.found) for finding in findings] == [
        (Status.NOTE, "no kernel driver has taken the Intel GPU at 0000:00:02.0")
    ]


def test_a_kernel_that_was_told_to_leave_graphics_alone_is_told() -> None:
    entries: Entries = {
        **on_bus("0000:03:00.0", None, "0x1002"),
        "/proc/cmdline": "BOOT_IMAGE=/vmlinuz root=/dev/sda2 nomodeset quiet\n",
        "/sys/bus/platform/drivers/simple-framebuffer/simple-framebuffer.0": {"dir": []},
    }

    assert found("PCI bus", entries) == [
        Finding(
            check="PCI bus",
            status=Status.PROBLEM,
            found="no kernel driver has taken the AMD GPU at 0000:03:00.0",
            meaning="the kernel was started with nomodeset, which keeps Linux' graphics drivers "
            "away; the picture is the firmware's (simpledrm)",
            mend="take nomodeset off the kernel's command line, and reboot "
            "(on Ubuntu: in /etc/default/grub, then sudo update-grub)",
        )
    ]


def test_nvidias_driver_does_not_heed_nomodeset() -> None:
    entries = {**on_bus(driver=None), "/proc/cmdline": "nomodeset\n"}

    assert [finding.meaning for finding in found("PCI bus", entries)] == [
        "the driver is not installed, not loaded, or not built for this kernel"
    ]


@pytest.mark.parametrize(
    ("vendor", "name", "driver"),
    [
        ("0x10de", "NVIDIA", "vfio-pci"),
        ("0x1002", "AMD", "vfio-pci"),
        ("0x8086", "Intel", "pci-stub"),
        ("0x10de", "NVIDIA", "nvgrace_gpu_vfio_pci"),
    ],
)
def test_a_gpu_that_is_kept_for_a_virtual_machine_is_told(
    vendor: str, name: str, driver: str
) -> None:
    assert found("PCI bus", on_bus("0000:03:00.0", driver, vendor)) == [
        Finding(
            check="PCI bus",
            status=Status.NOTE,
            found=f"{driver} keeps the {name} GPU at 0000:03:00.0 for virtual machines",
            meaning="programs on this system cannot use it",
            mend=f"take its ids off the options of {driver} (kernel command line, "
            "/etc/modprobe.d), and reboot",
        )
    ]


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_other_systems_are_not_asked_for_linux_files(platform: str) -> None:
    entries: Entries = {
        **on_bus(driver="nouveau"),
        **a_card(),
        **LOADED,
        "/dev/null": "",
        "/.dockerenv": "",
    }
    snapshot = a_snapshot(a_gpu(0), an_amd_apu())

    for check in ("PCI bus", "driver versions", "device nodes", "container", "WSL 2"):
        assert found(check, entries, snapshot=snapshot, platform=platform) == []
