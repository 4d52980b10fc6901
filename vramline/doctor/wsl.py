"""Checks on Linux under Windows (WSL 2), where every driver is Windows' own.

https://learn.microsoft.com/windows/wsl/tutorials/gpu-compute
"""

from vramline.doctor import surroundings
from vramline.doctor.findings import Case, Finding, Findings, Status
from vramline.machine.files import names_in

WSL = "WSL 2"
DXG = "/dev/dxg"
ON_WINDOWS = "on Windows itself: py -m pip install 'vramline[cli]', then py -m vramline"


def nvidia(case: Case) -> Findings:
    """Whether NVIDIA's driver comes from Windows, as it must.

    https://docs.nvidia.com/cuda/wsl-user-guide/
    """
    if not case.wsl or case.container:
        return
    if versions := surroundings.library_versions(case.machine):
        yield Finding(
            check=WSL,
            status=Status.PROBLEM,
            found=f"a Linux driver ({', '.join(versions)}) is installed under WSL 2",
            meaning="it takes the place of Windows' driver, and has no GPU to drive",
            mend="sudo apt purge 'nvidia-driver-*' 'libnvidia-compute-*', or as your "
            "distribution removes it",
        )
    if not _has_nvidia(case):
        yield Finding(
            check=WSL,
            status=Status.NOTE,
            found=f"Windows offers no NVIDIA driver in {surroundings.WSL_LIBRARIES}",
            meaning="an NVIDIA GPU of this machine cannot be used under WSL 2",
            mend="install NVIDIA's driver on Windows, then run there: wsl --update",
        )
    elif case.gpus():
        yield Finding(
            check=WSL,
            status=Status.NOTE,
            found="the GPU is reached through Windows' driver",
            meaning="the memory of each process is not told, nor are processes of Windows",
        )


def others(case: Case) -> Findings:
    """GPUs of AMD and Intel, of which only Windows' interface is here.

    There is neither ``/sys/class/drm`` nor ``/dev/kfd``
    (https://rocm.docs.amd.com/projects/amdsmi/en/develop/how-to/amdsmi-wsl-mode.html).
    """
    if not case.wsl or case.container or _has_nvidia(case):
        return
    if surroundings.exists(case.machine, DXG):
        yield Finding(
            check=WSL,
            status=Status.NOTE,
            found=f"Windows hands on its GPUs through {DXG}",
            meaning="the memory of an AMD or Intel GPU cannot be read from inside WSL 2; "
            "ROCm, Level Zero and DirectX reach the GPU all the same",
            mend=ON_WINDOWS,
        )
    elif names_in(case.machine, "/dev"):
        yield Finding(
            check=WSL,
            status=Status.NOTE,
            found=f"there is no {DXG}: Windows hands on no GPU",
            meaning="no program here can use one",
            mend="run on Windows: wsl --update, then wsl --shutdown",
        )


def _has_nvidia(case: Case) -> bool:
    names = names_in(case.machine, surroundings.WSL_LIBRARIES)
    return any(name.startswith(surroundings.LIBRARY) for name in names)


LINUX_CHECKS = (nvidia, others)
