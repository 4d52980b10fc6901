"""vLLM and transformers, which reach devices through PyTorch.

What PyTorch was built for stands in its ``torch/version.py``, so nothing is imported:
https://github.com/pytorch/pytorch/blob/main/tools/generate_torch_version.py
"""

import re
from collections.abc import Iterator, Mapping

from vramline.fit.settings import Backend, Runner
from vramline.machine import Machine
from vramline.machine.files import read
from vramline.runners.distributions import Distribution, DistributionOf
from vramline.runners.folders import joined
from vramline.runners.installed import InstalledRunner, in_order

RUNNERS: Mapping[str, Runner] = {"vllm": Runner.VLLM, "transformers": Runner.TRANSFORMERS}

_BUILT_FOR: Mapping[str, Backend] = {
    "cuda": Backend.CUDA,
    "hip": Backend.ROCM,
    "xpu": Backend.SYCL,
}
_LINE = re.compile(r"^(cuda|hip|xpu)\b[^=\n]*=\s*(['\"][^'\"\n]+['\"]|None)", re.MULTILINE)


def find_pytorch_runners(
    machine: Machine, distribution_of: DistributionOf
) -> Iterator[InstalledRunner]:
    """Return vLLM and transformers, where this Python has them."""
    torch = distribution_of("torch")
    for name, runner in RUNNERS.items():
        installed = distribution_of(name)
        if installed is None:
            continue
        backends, note = _backends(machine, torch)
        yield InstalledRunner(
            runner=runner,
            path=joined(machine, installed.folder, name),
            version=installed.version,
            backends=backends,
            note=note,
        )


def _backends(
    machine: Machine, torch: Distribution | None
) -> tuple[tuple[Backend, ...] | None, str]:
    if torch is None:
        return None, "torch, without which it loads no model, is not installed for this Python"
    lines = _LINE.findall(read(machine, joined(machine, torch.folder, "torch", "version.py")))
    if not lines:
        return None, "what torch was built for does not stand in its version.py"
    found = [_BUILT_FOR[name] for name, value in lines if value != "None"]
    if machine.platform == "darwin":
        found.append(Backend.METAL)
    return in_order(found), f"through torch {torch.version}"
