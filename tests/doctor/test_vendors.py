import pytest

from tests.doctor import an_amd_apu, an_amd_gpu, an_intel_gpu, found
from tests.snapshots import a_gpu, a_snapshot, without
from vramline.doctor import Finding, Status
from vramline.readings import Cause, MemoryPool
from vramline.sampler.guard import NOT_OPENED

SILENT = without(a_gpu(0, name="NVIDIA GeForce GT 710"), Cause.DRIVER_EXPOSES_NOTHING)
MEANING = (
    "the driver's library NVML tells little of a GPU in the processor, and nothing before JetPack 6"
)


def test_gpus_that_are_read_are_counted_by_vendor() -> None:
    snapshot = a_snapshot(a_gpu(0), a_gpu(1), an_amd_gpu(), an_amd_apu(), an_intel_gpu())

    assert [
        finding
        for vendor in ("NVIDIA", "AMD", "Intel")
        for finding in found(f"{vendor} GPUs", snapshot=snapshot)
    ] == [
        Finding(
            check="NVIDIA GPUs",
            status=Status.OK,
            found="2 found, driver 580.65.06, CUDA up to 13.0",
        ),
        Finding(check="AMD GPUs", status=Status.OK, found="2 found, driver 6.12.10"),
        Finding(check="Intel GPUs", status=Status.OK, found="1 found, driver 6.12.10"),
    ]


def test_a_gpu_whose_driver_tells_nothing_is_not_counted() -> None:
    assert found("NVIDIA GPUs", snapshot=a_snapshot(SILENT)) == []


@pytest.mark.parametrize(
    ("vendor", "check"),
    [
        ("apple", "Apple GPUs"),
        ("qualcomm", "Qualcomm GPUs"),
        ("pci:1ed5", "PCI vendor 1ed5 GPUs"),
    ],
)
def test_vendors_of_other_systems_have_names(vendor: str, check: str) -> None:
    snapshot = a_snapshot(an_amd_gpu(vendor=vendor, driver_version=None))

    assert found(check, snapshot=snapshot, platform="win32") == [
        Finding(check=check, status=Status.OK, found="1 found")
    ]


def test_what_failed_is_a_problem_and_what_is_absent_is_none() -> None:
    snapshot = a_snapshot(
        failures={"nvidia": "driver gone"}, absent={"amd": "no card", "windows": "none is listed"}
    )

    assert found("NVIDIA GPUs", snapshot=snapshot) == [
        Finding(check="NVIDIA GPUs", status=Status.PROBLEM, found="driver gone")
    ]
    assert found("AMD GPUs", snapshot=snapshot) == [
        Finding(check="AMD GPUs", status=Status.NOTE, found="no card")
    ]
    assert found("display adapters", snapshot=snapshot) == [
        Finding(check="display adapters", status=Status.NOTE, found="none is listed")
    ]


@pytest.mark.parametrize(
    ("platform", "vendor", "check", "mend"),
    [
        ("linux", "nvidia", "NVIDIA GPUs", "sudo dmesg | grep -iE 'xid|nvrm', then reboot"),
        ("linux", "amd", "AMD GPUs", "sudo dmesg | grep -iE 'amdgpu|radeon', then reboot"),
        ("linux", "intel", "Intel GPUs", "sudo dmesg | grep -wE 'xe|i915', then reboot"),
        ("win32", "nvidia", "NVIDIA GPUs", "reboot"),
        ("darwin", "apple", "Apple GPUs", "reboot"),
    ],
)
def test_a_driver_that_hangs_is_looked_for_in_the_log_where_there_is_one(
    platform: str, vendor: str, check: str, mend: str
) -> None:
    snapshot = a_snapshot(failures={vendor: NOT_OPENED})

    assert found(check, snapshot=snapshot, platform=platform) == [
        Finding(
            check=check,
            status=Status.PROBLEM,
            found=NOT_OPENED,
            meaning="a call into the driver hangs",
            mend=mend,
        )
    ]


@pytest.mark.parametrize(
    ("entries", "model"),
    [
        (
            {"/proc/device-tree/model": "NVIDIA Jetson AGX Orin Developer Kit\0"},
            " (NVIDIA Jetson AGX Orin Developer Kit)",
        ),
        ({"/etc/nv_tegra_release": "# R36 (release), REVISION: 4.3\n"}, ""),
        ({"/proc/device-tree/compatible": "nvidia,p3310\0nvidia,tegra186\0"}, ""),
    ],
)
def test_a_board_is_told_to_be_read_by_its_own_files(entries: dict[str, str], model: str) -> None:
    snapshot = a_snapshot(a_gpu(0, memory_pool=MemoryPool.UNIFIED, pci_address=None))

    assert found("Jetson", entries, snapshot=snapshot) == [
        Finding(
            check="Jetson",
            status=Status.NOTE,
            found=f"this is a board of NVIDIA's{model}: its GPU is read from the board's own files",
            meaning=MEANING,
        )
    ]


def test_another_board_is_not_a_jetson() -> None:
    model = {"/proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0"}

    assert found("Jetson", model, snapshot=a_snapshot(a_gpu(0))) == []


def test_a_board_that_could_not_be_read_is_not_said_to_be() -> None:
    assert found("Jetson", {"/proc/device-tree/model": "NVIDIA Jetson Nano\0"}) == []


@pytest.mark.parametrize(
    ("files", "meaning", "mend"),
    [
        (
            {},
            "the driver tells a number, and this system has no list of PCI names",
            "sudo apt install pci.ids (elsewhere: hwdata)",
        ),
        (
            {"/usr/share/misc/pci.ids": "1002  AMD\n"},
            "the system's list of PCI names is older than the card",
            "sudo update-pciids",
        ),
    ],
)
def test_a_gpu_without_a_name_is_explained(files: dict[str, str], meaning: str, mend: str) -> None:
    nameless = without(an_amd_gpu(), Cause.NOT_SUPPORTED, "name")

    assert found("names", entries=files, snapshot=a_snapshot(nameless, a_gpu(0))) == [
        Finding(
            check="names",
            status=Status.NOTE,
            found="1 GPU has no name here",
            meaning=meaning,
            mend=mend,
        )
    ]


def test_a_gpu_that_has_a_name_or_hides_it_for_now_is_not() -> None:
    lost = without(an_amd_gpu(), Cause.LOST, "name")

    assert found("names", snapshot=a_snapshot(an_amd_gpu(), lost)) == []
