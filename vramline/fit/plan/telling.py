"""How a runner is told which devices to use, where its own options have no word for them.

The order is the one that is said: https://docs.nvidia.com/cuda/cuda-programming-guide/
(``CUDA_VISIBLE_DEVICES``), https://rocm.docs.amd.com/en/latest/conceptual/gpu-isolation.html
(``ROCR_VISIBLE_DEVICES``). Vulkan's and SYCL's variables take numbers alone, which nobody here
knows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from vramline.fit.settings import Backend, Device
from vramline.readings import FrozenDict


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A variable that names the devices which a program sees.

    Attributes:
        prefixes: How the uids begin that it takes.
    """

    name: str
    prefixes: tuple[str, ...]


VARIABLES: Mapping[Backend, Variable] = MappingProxyType(
    {
        Backend.CUDA: Variable(name="CUDA_VISIBLE_DEVICES", prefixes=("GPU-", "MIG-")),
        Backend.ROCM: Variable(name="ROCR_VISIBLE_DEVICES", prefixes=("GPU-",)),
    }
)


def can_be_chosen(uid: str, backend: Backend) -> bool:
    """Whether a program can be made to use this device and no other."""
    variable = VARIABLES.get(backend)
    return variable is not None and uid.startswith(variable.prefixes)


def choosing(devices: Sequence[Device]) -> Mapping[str, str]:
    """Return the variable that makes a program see *devices* alone, in their order.

    Nothing, where it cannot be made to.
    """
    if not all(can_be_chosen(device.uid, device.backend) for device in devices):
        return FrozenDict()
    return FrozenDict(
        {
            VARIABLES[backend].name: ",".join(device.uid for device in devices)
            for backend in {device.backend for device in devices}
        }
    )
