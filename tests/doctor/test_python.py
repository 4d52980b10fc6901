from importlib.metadata import version

import pytest

from tests.doctor import found, on_bus
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
    ("entries", "status"), [({}, Status.NOTE), (on_bus(), Status.PROBLEM)], ids=["none", "gpu"]
)
def test_a_missing_binding_is_a_problem_where_there_is_a_gpu(
    entries: dict[str, str], status: Status
) -> None:
    assert found("Python binding", entries, versions={}) == [
        Finding(
            check="Python binding",
            status=status,
            found="nvidia-ml-py is not installed",
            meaning="no NVIDIA GPU can be read without it",
            mend="pip install nvidia-ml-py",
        )
    ]


def test_a_mac_needs_no_binding() -> None:
    assert found("Python binding", platform="darwin", versions={}) == []


def test_the_last_resort_is_proposed_for_a_gpu_that_nobody_reads() -> None:
    assert found("gpu-tracker", on_bus(vendor="0x1002", driver="amdgpu")) == [
        Finding(
            check="gpu-tracker",
            status=Status.NOTE,
            found="gpu-tracker, the last resort for GPUs that cannot be read, is not installed",
            meaning="it may read them through nvidia-smi or amd-smi where those work",
            mend="pip install 'vramline[gpu-tracker]'",
        )
    ]


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


def test_versions_are_those_of_installed_distributions() -> None:
    assert installed_version("nvidia-ml-py") == version("nvidia-ml-py")
    assert installed_version("no-such-distribution") is None
