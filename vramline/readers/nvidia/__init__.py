"""NVIDIA GPUs, through NVML and its Python binding pynvml. Linux and Windows.

https://docs.nvidia.com/deploy/nvml-api/
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import ModuleType

from vramline.errors import ReadError, ReaderUnavailableError
from vramline.machine import Machine
from vramline.readers.nvidia.errors import DRIVER_NOT_LOADED, LIBRARY_NOT_FOUND, why_closed
from vramline.readers.nvidia.findings import VENDOR
from vramline.readers.nvidia.reader import NvidiaReader, Slot
from vramline.readers.pci import PciGpu, find_gpus, is_asleep
from vramline.readings import GpuReading

PCI_VENDOR = "0x10de"


def open_reader(machine: Machine, *, clock: Callable[[], float] = time.monotonic) -> NvidiaReader:
    """Open NVML and look for GPUs.

    Where every GPU sleeps NVML is not opened, as that would wake them. Raises
    ``ReaderUnavailableError`` where there is no NVIDIA GPU, or no binding, and
    ``ReadError`` where there is one and its driver does not work.
    """
    nvml = _binding(machine)
    on_bus = find_gpus(machine, PCI_VENDOR)
    driven = [gpu.address for gpu in on_bus if gpu.driver == "nvidia"]
    asleep = [address for address in driven if is_asleep(machine, address)]
    if driven and driven == asleep:
        return NvidiaReader(machine, nvml, _by_address(driven), is_open=False, clock=clock)
    _init(nvml, on_bus)
    try:
        slots = _by_address(driven) if asleep else _by_index(_count(nvml), driven)
    except BaseException:
        with suppress(nvml.NVMLError):
            nvml.nvmlShutdown()
        raise
    return NvidiaReader(machine, nvml, slots, is_open=True, clock=clock)


def _binding(machine: Machine) -> ModuleType:
    try:
        nvml = machine.library("pynvml")
    except ImportError as error:
        raise ReaderUnavailableError(
            "the Python module pynvml is not installed: pip install nvidia-ml-py"
        ) from error
    if not hasattr(nvml, "nvmlInit"):
        raise ReadError(
            f"the module pynvml at {getattr(nvml, '__file__', None)} is not NVIDIA's: "
            "pip uninstall pynvml, then pip install --force-reinstall nvidia-ml-py"
        )
    return nvml


def _init(nvml: ModuleType, on_bus: Sequence[PciGpu]) -> None:
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        if error.value not in (LIBRARY_NOT_FOUND, DRIVER_NOT_LOADED):
            raise ReadError(why_closed(error.value)) from error
        if on_bus:
            raise ReadError(_without_driver(on_bus, error.value)) from error
        raise ReaderUnavailableError("no NVIDIA GPU, and no NVIDIA driver") from error


def _without_driver(on_bus: Sequence[PciGpu], code: int) -> str:
    gpu = on_bus[0]
    if gpu.driver not in (None, "nvidia"):
        return (
            f"the NVIDIA GPU at {gpu.address} is bound to {gpu.driver}, which reports nothing: "
            "install NVIDIA's driver"
        )
    return f"an NVIDIA GPU is at {gpu.address}, but {why_closed(code)}"


def _count(nvml: ModuleType) -> int:
    try:
        count = nvml.nvmlDeviceGetCount()
    except nvml.NVMLError as error:
        raise ReadError(why_closed(error.value)) from error
    if count == 0:
        raise ReaderUnavailableError("the NVIDIA driver is loaded, and shows no GPU")
    return int(count)


def _by_index(count: int, driven: Sequence[str]) -> dict[str, Slot]:
    # NVML numbers in the order of the bus. In a container it may show only some.
    addresses: Sequence[str | None] = driven if len(driven) == count else [None] * count
    return {str(index): _slot(index, address) for index, address in enumerate(addresses)}


def _by_address(driven: Sequence[str]) -> dict[str, Slot]:
    return {address: _slot(None, address) for address in driven}


def _slot(index: int | None, address: str | None) -> Slot:
    known = GpuReading(
        uid=address or f"{VENDOR}:{index}", vendor=VENDOR, index=index, pci_address=address
    )
    return Slot(index=index, known=known)
