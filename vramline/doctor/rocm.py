"""Checks on what ROCm makes of the environment.

https://rocm.docs.amd.com/en/latest/conceptual/gpu-isolation.html
"""

from vramline.doctor.findings import Case, Finding, Findings, Status, title
from vramline.doctor.makers import AMD
from vramline.readers.amd.visible import CUDA, HIP, ROCR

CHECK = "ROCm"


def visible_devices(case: Case) -> Findings:
    """Which of AMD's GPUs the environment hides from ROCm."""
    hidden = [gpu for gpu in case.gpus(AMD) if not gpu.visible]
    # HIP takes CUDA's variable where its own is not set, or empty.
    of_hip = [name for name in (HIP, CUDA) if case.environ.get(name)][:1]
    names = [*([ROCR] if ROCR in case.environ else []), *of_hip]
    if hidden and names:
        values = " and ".join(f"{name}={case.environ[name]!r}" for name in names)
        yield Finding(
            check=CHECK,
            status=Status.NOTE,
            found=f"{values} hides {', '.join(title(gpu) for gpu in hidden)} from ROCm",
            mend=f"unset {' '.join(names)}",
        )


CHECKS = (visible_devices,)
