from collections.abc import Mapping

import pytest

from tests.doctor import found
from tests.snapshots import a_gpu, a_snapshot, without
from vramline.doctor import Finding, Status
from vramline.readers.nvidia.visible import Mig, Visibility
from vramline.readings import Cause, GpuReading, Snapshot

VARIABLE = "CUDA_VISIBLE_DEVICES"
MEND = f"unset {VARIABLE}, or name in it what `vramline` lists"
GPU_0 = "GPU 0 (NVIDIA GeForce RTX 4090)"
GPU_1 = "GPU 1 (NVIDIA GeForce RTX 4090)"
ANOTHER = a_gpu(1, name="NVIDIA GeForce GT 1030")


def shown(environ: Mapping[str, str], *gpus: GpuReading) -> Snapshot:
    """Two GPUs, as CUDA would show them."""
    return a_snapshot(*Visibility(environ).arrange(gpus or (a_gpu(0), a_gpu(1)), Mig()))


def findings(value: str) -> list[Finding]:
    environ = {VARIABLE: value}
    return found(VARIABLE, snapshot=shown(environ), environ=environ)


@pytest.mark.parametrize(
    ("value", "gpus"), [("1", GPU_1), ("1,0", f"{GPU_0}, {GPU_1}"), ("0,-1", GPU_0)]
)
def test_what_cuda_is_shown_is_told(value: str, gpus: str) -> None:
    assert findings(value) == [
        Finding(check=VARIABLE, status=Status.NOTE, found=f"{value!r} shows CUDA {gpus}")
    ]


@pytest.mark.parametrize("value", ["", "-1"])
def test_a_value_that_hides_every_gpu_is_told(value: str) -> None:
    assert findings(value) == [
        Finding(
            check=VARIABLE,
            status=Status.NOTE,
            found=f"{value!r} hides every GPU from CUDA",
            mend=f"unset {VARIABLE}",
        )
    ]


@pytest.mark.parametrize(
    ("value", "wrong", "left"),
    [("0,2,1", "2", GPU_0), ("two", "two", "none"), ("GPU-7", "GPU-7", "none")],
)
def test_an_entry_that_is_no_gpu_is_a_problem(value: str, wrong: str, left: str) -> None:
    assert findings(value) == [
        Finding(
            check=VARIABLE,
            status=Status.PROBLEM,
            found=f"{value!r}: {wrong!r} is no GPU here",
            meaning=f"CUDA leaves out that entry and all after it: it shows {left}",
            mend=MEND,
        )
    ]


def test_a_name_may_be_that_of_a_gpu_that_does_not_tell_its_own() -> None:
    environ = {VARIABLE: "GPU-7"}
    snapshot = shown(environ, a_gpu(0), a_gpu(1, uid="0000:02:00.0"))

    assert found(VARIABLE, snapshot=snapshot, environ=environ) == [
        Finding(
            check=VARIABLE,
            status=Status.NOTE,
            found="'GPU-7': whether 'GPU-7' is here is not known",
            meaning="a GPU that sleeps, or is read without NVML, does not tell its name in CUDA",
        )
    ]


def test_a_gpu_that_is_named_twice_is_a_problem() -> None:
    assert findings("0,0") == [
        Finding(
            check=VARIABLE,
            status=Status.PROBLEM,
            found="'0,0' names a GPU twice",
            meaning="CUDA then shows no GPU at all",
            mend=MEND,
        )
    ]


def test_nothing_is_said_of_a_variable_that_is_not_set() -> None:
    assert found(VARIABLE, snapshot=shown({})) == []
    assert found(VARIABLE, environ={VARIABLE: "0"}) == []


def test_a_card_that_runs_no_cuda_program_is_shown_to_none() -> None:
    silent = without(a_gpu(1, name="NVIDIA GeForce GT 710"), Cause.DRIVER_EXPOSES_NOTHING)
    environ = {VARIABLE: "0"}

    assert found(VARIABLE, snapshot=a_snapshot(a_gpu(0), silent), environ=environ) == [
        Finding(check=VARIABLE, status=Status.NOTE, found=f"'0' shows CUDA {GPU_0}")
    ]
    assert found("CUDA_DEVICE_ORDER", snapshot=a_snapshot(a_gpu(0), silent)) == []


def test_gpus_of_different_models_may_have_other_numbers_in_cuda() -> None:
    assert found("CUDA_DEVICE_ORDER", snapshot=shown({}, a_gpu(0), ANOTHER)) == [
        Finding(
            check="CUDA_DEVICE_ORDER",
            status=Status.NOTE,
            found="the GPUs are of different models",
            meaning="CUDA puts the fastest first: its cuda:0 may be another GPU than GPU 0 here",
            mend="export CUDA_DEVICE_ORDER=PCI_BUS_ID",
        )
    ]


def test_a_gpu_that_does_not_tell_its_name_is_not_another_model() -> None:
    snapshot = shown({}, a_gpu(0), a_gpu(1, name=None))

    assert found("CUDA_DEVICE_ORDER", snapshot=snapshot) == []


def test_the_order_of_the_bus_is_unambiguous() -> None:
    environ = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    snapshot = shown(environ, a_gpu(0), ANOTHER)

    assert found("CUDA_DEVICE_ORDER", snapshot=snapshot, environ=environ) == []
    assert found("CUDA_DEVICE_ORDER", snapshot=shown({})) == []
