"""Looks for every runner."""

from vramline.machine import Machine
from vramline.runners.distributions import DistributionOf, installed_distribution
from vramline.runners.installed import InstalledRunner
from vramline.runners.llama_cpp import find_llama_cpp_python, find_programs
from vramline.runners.lm_studio import find_lm_studio
from vramline.runners.ollama import find_ollama
from vramline.runners.pytorch import find_pytorch_runners

OF_THE_MACHINE = (find_programs, find_ollama, find_lm_studio)
OF_PYTHON = (find_llama_cpp_python, find_pytorch_runners)


def find_runners(
    machine: Machine, distribution_of: DistributionOf = installed_distribution
) -> tuple[InstalledRunner, ...]:
    """Return the runners that are installed here.

    Args:
        distribution_of: Tells what this Python has installed. A recorded machine
            has its own, or none.
    """
    of_machine = (each for find in OF_THE_MACHINE for each in find(machine))
    of_python = (each for find in OF_PYTHON for each in find(machine, distribution_of))
    return (*of_machine, *of_python)
