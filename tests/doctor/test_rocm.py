from collections.abc import Mapping

import pytest

from tests.doctor import an_amd_apu, an_amd_gpu, found
from tests.snapshots import a_gpu, a_snapshot
from vramline.doctor import Finding, Status


@pytest.mark.parametrize(
    ("environ", "values", "names"),
    [
        (
            {"HIP_VISIBLE_DEVICES": "0", "CUDA_VISIBLE_DEVICES": "1"},
            "HIP_VISIBLE_DEVICES='0'",
            "HIP_VISIBLE_DEVICES",
        ),
        (
            {"HIP_VISIBLE_DEVICES": "", "CUDA_VISIBLE_DEVICES": "0"},
            "CUDA_VISIBLE_DEVICES='0'",
            "CUDA_VISIBLE_DEVICES",
        ),
        ({"CUDA_VISIBLE_DEVICES": "0"}, "CUDA_VISIBLE_DEVICES='0'", "CUDA_VISIBLE_DEVICES"),
        (
            {"HIP_VISIBLE_DEVICES": "0", "ROCR_VISIBLE_DEVICES": "0,1"},
            "ROCR_VISIBLE_DEVICES='0,1' and HIP_VISIBLE_DEVICES='0'",
            "ROCR_VISIBLE_DEVICES HIP_VISIBLE_DEVICES",
        ),
    ],
)
def test_gpus_that_the_environment_hides_from_rocm_are_told(
    environ: Mapping[str, str], values: str, names: str
) -> None:
    snapshot = a_snapshot(an_amd_gpu(), an_amd_apu(index=1, visible=False))

    assert found("ROCm", snapshot=snapshot, environ=environ) == [
        Finding(
            check="ROCm",
            status=Status.NOTE,
            found=f"{values} hides GPU 1 (AMD Radeon 890M) from ROCm",
            mend=f"unset {names}",
        )
    ]


def test_gpus_of_other_makers_are_not_rocms() -> None:
    snapshot = a_snapshot(an_amd_gpu(), a_gpu(0, visible=False))

    assert found("ROCm", snapshot=snapshot, environ={"CUDA_VISIBLE_DEVICES": "1"}) == []
