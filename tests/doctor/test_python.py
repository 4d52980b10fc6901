from importlib.metadata import version

import pytest

from tests.doctor import Entries, a_card, an_amd_gpu, found, on_bus
from tests.snapshots import a_gpu, a_snapshot
from vramline.doctor import Finding, Status, installed_version

MEND = "pip uninstall -y pynvml && pip install --force-reinstall nvidia-ml-py"


def test_the_maintained_binding_is_well() -> None:
    assert found("Python binding") == [
        Finding(check="Python binding", status=Status.OK, found="nvidia-ml-py 13.615.71")
    ]


@pytest.mark.parametrize(
    ("version", "status", "meaning"),
    [
        (
            "11.5.3",
            Status.PROBLEM,
            "it hides the maintained module pynvml, which is nvidia-ml-py's",
        ),
        ("8.0.4", Status.PROBLEM, "it hides the maintained module pynvml, which is nvidia-ml-py's"),
        ("12.0.0", Status.NOTE, "it is deprecated, and holds nvidia-ml-py below version 13"),
        (
            "13.0.1",
            Status.NOTE,
            "it is deprecated: it slows every start of Python, and warns at `import pynvml`",
        ),
    ],
)
def test_the_distribution_that_gets_in_the_way_is_named(
    version: str, status: Status, meaning: str
) -> None:
    versions = {"nvidia-ml-py": "13.615.71", "pynvml": version}

    findings = found("Python binding", versions=versions)

    assert findings[0] == Finding(
        check="Python binding",
        status=status,
        found=f"the distribution pynvml {version} is installed",
        meaning=meaning,
        mend=MEND,
    )


@pytest.mark.parametrize(
    ("entries", "status"),
    [
        ({}, Status.NOTE),
        (on_bus(), Status.PROBLEM),
        (on_bus(driver="nouveau"), Status.NOTE),
        (a_card(), Status.NOTE),
    ],
    ids=["none", "gpu", "nouveau", "amd"],
)
def test_a_missing_binding_is_a_problem_where_there_is_a_gpu(
    entries: Entries, status: Status
) -> None:
    assert found("Python binding", entries, versions={}) == [
        Finding(
            check="Python binding",
            status=status,
            found="nvidia-ml-py is not installed",
            meaning="no NVIDIA GPU of a PC or a server can be read without it",
            mend="pip install nvidia-ml-py",
        )
    ]


def test_on_windows_a_missing_binding_costs_what_windows_does_not_tell() -> None:
    [finding] = found("Python binding", platform="win32", versions={})

    assert (finding.status, finding.meaning) == (
        Status.NOTE,
        "of an NVIDIA GPU only what Windows tells is known: no power, no CUDA",
    )


def test_a_mac_needs_no_binding() -> None:
    assert found("Python binding", platform="darwin", versions={}) == []


@pytest.mark.parametrize(
    ("entries", "names", "programs"),
    [
        (on_bus(), "NVIDIA", "nvidia-smi"),
        (a_card(), "AMD", "amd-smi"),
        ({**on_bus(), **a_card()}, "NVIDIA and AMD", "nvidia-smi or amd-smi"),
    ],
    ids=["nvidia", "amd", "both"],
)
def test_the_last_resort_is_proposed_for_gpus_that_nobody_reads(
    entries: Entries, names: str, programs: str
) -> None:
    assert found("gpu-tracker", entries) == [
        Finding(
            check="gpu-tracker",
            status=Status.NOTE,
            found=f"{names} GPUs are here, and could not be read; gpu-tracker, "
            "which may stand in, is not installed",
            meaning=f"it asks {programs}, and helps where that works",
            mend="pip install 'vramline[gpu-tracker]'",
        )
    ]


@pytest.mark.parametrize(
    "entries",
    [
        on_bus(driver="nouveau"),
        on_bus(driver=None),
        on_bus("0000:03:00.0", "vfio-pci", "0x1002"),
        a_card("radeon"),
        a_card("xe"),
    ],
    ids=["nouveau", "no driver", "vfio-pci", "radeon", "xe"],
)
def test_the_last_resort_is_not_proposed_where_it_cannot_help(entries: Entries) -> None:
    assert found("gpu-tracker", entries) == []


def test_the_last_resort_that_failed_is_told() -> None:
    assert found("gpu-tracker", on_bus(), versions={"gpu-tracker": "5.0.1"}) == [
        Finding(
            check="gpu-tracker",
            status=Status.NOTE,
            found="gpu-tracker 5.0.1 was asked, and could not read the GPUs either",
        )
    ]


def test_readings_of_the_last_resort_are_told() -> None:
    snapshot = a_snapshot(a_gpu(0, uid="gpu-tracker:nvidia"))

    assert found("gpu-tracker", on_bus(), snapshot=snapshot, versions={"gpu-tracker": "5.0.1"}) == [
        Finding(
            check="gpu-tracker",
            status=Status.NOTE,
            found="GPUs are read by gpu-tracker 5.0.1",
            meaning="it tells the sum over all GPUs of a vendor, and nothing of each",
        )
    ]


def test_the_last_resort_is_not_spoken_of_where_nobody_needs_it() -> None:
    assert found("gpu-tracker") == []
    assert found("gpu-tracker", on_bus(), snapshot=a_snapshot(a_gpu(0))) == []
    assert found("gpu-tracker", a_card(), snapshot=a_snapshot(an_amd_gpu())) == []


def test_versions_are_those_of_installed_distributions() -> None:
    assert installed_version("nvidia-ml-py") == version("nvidia-ml-py")
    assert installed_version("no-such-distribution") is None
