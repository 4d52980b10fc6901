"""What the checks know of each maker of GPUs, and of each kernel driver: a row each."""

from collections.abc import Mapping
from dataclasses import dataclass

NVIDIA = "nvidia"
AMD = "amd"
INTEL = "intel"
APPLE = "apple"

INSTALL_NVIDIA = "install NVIDIA's driver, and reboot (on Ubuntu: sudo ubuntu-drivers install)"

_LXC = "lxc config device add CONTAINER gpu gpu, on the host"


@dataclass(frozen=True, slots=True, kw_only=True)
class Maker:
    """One maker of GPUs that Linux finds on the PCI bus.

    Attributes:
        vendor: As readings have it.
        drivers: The kernel drivers that tell figures.
        in_kernel: Whether they come with Linux. Programs then reach a GPU through
            ``/dev/dri``, and who uses it stands under ``/proc``.
        undriven: Why no driver may have taken a GPU.
        drive: What makes one take it.
        newer: How to get a newer driver.
        log: Finds the driver's lines in the kernel's log.
        give: How a container of each kind is given the GPU.
        program: What gpu-tracker asks.
    """

    vendor: str
    name: str
    pci_id: str
    drivers: tuple[str, ...]
    in_kernel: bool
    undriven: str
    drive: str
    newer: str
    log: str
    give: Mapping[str, str]
    program: str | None = None


MAKERS = (
    Maker(
        vendor=NVIDIA,
        name="NVIDIA",
        pci_id="0x10de",
        drivers=("nvidia",),
        in_kernel=False,
        undriven="the driver is not installed, not loaded, or not built for this kernel",
        drive=f"sudo modprobe nvidia; if that fails, {INSTALL_NVIDIA}",
        newer="update NVIDIA's driver",
        log="sudo dmesg | grep -iE 'xid|nvrm'",
        give={
            "Docker": "docker run --gpus all ...",
            # https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/cdi-support.html
            "Podman": "podman run --device nvidia.com/gpu=all ...",
            # https://kubernetes.io/docs/tasks/manage-gpus/scheduling-gpus/
            "Kubernetes": "give the container the limit nvidia.com/gpu: 1",
            "LXC": _LXC,
        },
        program="nvidia-smi",
    ),
    Maker(
        vendor=AMD,
        name="AMD",
        pci_id="0x1002",
        drivers=("amdgpu",),
        in_kernel=True,
        undriven="the driver is not loaded, or this kernel or its firmware is older than the card",
        drive="sudo modprobe amdgpu; if that fails, update the kernel and linux-firmware",
        newer="update the kernel and linux-firmware",
        log="sudo dmesg | grep -iE 'amdgpu|radeon'",
        # https://rocm.docs.amd.com/projects/install-on-linux/en/latest/how-to/docker.html
        give={
            "Docker": "docker run --device /dev/kfd --device /dev/dri ...",
            "Podman": "podman run --group-add keep-groups --device /dev/kfd --device /dev/dri ...",
            # https://github.com/ROCm/k8s-device-plugin
            "Kubernetes": "give the container the limit amd.com/gpu: 1",
            "LXC": _LXC,
        },
        program="amd-smi",
    ),
    Maker(
        vendor=INTEL,
        name="Intel",
        pci_id="0x8086",
        drivers=("xe", "i915"),
        in_kernel=True,
        undriven="the driver is not loaded, or this kernel or its firmware is older than the card",
        drive="sudo modprobe -a xe i915; if that fails, update the kernel and linux-firmware",
        newer="update the kernel and linux-firmware",
        log="sudo dmesg | grep -wE 'xe|i915'",
        give={
            "Docker": "docker run --device /dev/dri ...",
            "Podman": "podman run --group-add keep-groups --device /dev/dri ...",
            # https://intel.github.io/intel-device-plugins-for-kubernetes/cmd/gpu_plugin/README.html
            "Kubernetes": "give the container the limit gpu.intel.com/{driver}: 1",
            "LXC": _LXC,
        },
    ),
)

_NAMES = {
    **{maker.vendor: maker.name for maker in MAKERS},
    APPLE: "Apple",
    "qualcomm": "Qualcomm",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SilentDriver:
    """A kernel driver that tells nothing of a card's memory.

    Attributes:
        better: What to do, and the PCI device ids that it helps: from, to, both included.
        otherwise: What to do for all other cards.
    """

    meaning: str
    better: tuple[tuple[str, tuple[tuple[int, int], ...]], ...] = ()
    otherwise: str | None = None


_TO_AMDGPU = "add radeon.{0}=0 amdgpu.{0}=1 to the kernel's command line, and reboot"

SILENT_DRIVERS = {
    "nouveau": SilentDriver(
        meaning="nouveau tells nothing of its memory, and runs no CUDA program",
        otherwise=INSTALL_NVIDIA,
    ),
    # amdgpu drives the first two generations of GCN as well; before Linux 6.19 it has to be told.
    # https://docs.kernel.org/gpu/amdgpu/module-parameters.html
    # https://timur.hu/blog/2025/love-song-for-linux-gamers-with-old-gpus-eoy2025
    # The ids are those of drivers/gpu/drm/amd/amdgpu/amdgpu_drv.c.
    "radeon": SilentDriver(
        meaning="radeon tells nothing of its memory; amdgpu does, for cards from 2012 on",
        better=(
            (
                _TO_AMDGPU.format("si_support"),
                ((0x6600, 0x663F), (0x6660, 0x666F), (0x6780, 0x679F), (0x6800, 0x683F)),
            ),
            (
                _TO_AMDGPU.format("cik_support"),
                ((0x1304, 0x131D), (0x6640, 0x665F), (0x67A0, 0x67BF), (0x9830, 0x985F)),
            ),
        ),
    ),
}


def maker_of(vendor: str) -> Maker | None:
    """Return the row of a vendor, as readings name it."""
    return next((maker for maker in MAKERS if maker.vendor == vendor), None)


def vendor_name(vendor: str) -> str:
    """Return what a person calls a vendor of readings."""
    return _NAMES.get(vendor) or vendor.replace("pci:", "PCI vendor ")


def counted(maker: Maker, count: int) -> str:
    """Return such as ``2 AMD GPUs``."""
    return f"{count} {maker.name} GPU{'' if count == 1 else 's'}"
