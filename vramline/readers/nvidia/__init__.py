"""NVIDIA GPUs, through NVML and its Python binding pynvml. Linux and Windows.

https://docs.nvidia.com/deploy/nvml-api/

On Linux also what NVML leaves out: the GPU of a Jetson (``readers/tegra.py``), and cards
that the driver nouveau has taken, which are listed without figures.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import ModuleType
from typing import TYPE_CHECKING

from vramline.errors import ReadError, ReaderUnavailableError
from vramline.machine import Machine
from vramline.machine.files import names_in, read
from vramline.readers.base import GpuReader
from vramline.readers.drm import Card, find_cards
from vramline.readers.nvidia.errors import DRIVER_NOT_LOADED, LIBRARY_NOT_FOUND, why_closed
from vramline.readers.pci import PciGpu, find_gpus, is_asleep

if TYPE_CHECKING:
    from vramline.readers.nvidia.board import Tegra
    from vramline.readers.nvidia.reader import NvidiaReader

VENDOR = "nvidia"
PCI_VENDOR = "0x10de"
NVIDIA, NOUVEAU = "nvidia", "nouveau"
TEGRA_FOLDERS, TEGRA_RELEASE = ("/sys/class/devfreq", "/proc/device-tree"), "/etc/nv_tegra_release"


def open_reader(machine: Machine, *, clock: Callable[[], float] = time.monotonic) -> GpuReader:
    """Look for GPUs: in NVML, on the board, and under nouveau.

    Where every GPU sleeps NVML is not opened, as that would wake them; nor where
    other drivers have them all. Raises ``ReaderUnavailableError`` where there is
    no NVIDIA GPU for this system's programs, or no binding, and ``ReadError``
    where there is one and its driver does not work.
    """
    on_bus = find_gpus(machine, PCI_VENDOR)
    silent = _silent_cards(machine, on_bus)
    readers = _open_first(machine, on_bus, clock, or_else=bool(silent))
    return _with_silent(machine, readers, silent) if silent else readers[0]


def _with_silent(
    machine: Machine, readers: Sequence[GpuReader], silent: Sequence[Card]
) -> GpuReader:
    from vramline.readers.joined import JoinedReader
    from vramline.readers.silent import SilentCards

    count = sum(len(reader.devices()) for reader in readers)
    cards = SilentCards(machine, VENDOR, "NVIDIA", silent, first_index=count)
    return JoinedReader([*readers, cards]) if readers else cards


def _open_first(
    machine: Machine, on_bus: Sequence[PciGpu], clock: Callable[[], float], *, or_else: bool
) -> list[GpuReader]:
    """Open NVML, or else the board's files; nothing of the two where there is something else."""
    tegra = _find_tegra(machine)
    needing = [gpu for gpu in on_bus if _needs_driver(gpu)]
    if on_bus and not needing and tegra is None:
        if or_else:
            return []
        raise ReaderUnavailableError(_kept(on_bus[0]))
    try:
        reader = _open_nvml(machine, on_bus, clock)
    except (ReaderUnavailableError, ReadError) as error:
        if isinstance(error, ReadError) and needing:
            raise
        if tegra is not None and tegra.board is not None:
            return [tegra.alone(tegra.board)]
        if or_else:
            return []
        if tegra is not None:
            raise ReaderUnavailableError(
                "the GPU of this Tegra system is not in use: the driver nvgpu is not loaded"
            ) from error
        raise
    return [reader if tegra is None else tegra.beside(reader)]


def _find_tegra(machine: Machine) -> "Tegra | None":
    """Return the system where it is a Tegra. Loads nothing for what is plainly none."""
    if not any(names_in(machine, folder) for folder in TEGRA_FOLDERS) and not read(
        machine, TEGRA_RELEASE
    ):
        return None
    from vramline.readers.nvidia.board import find_tegra

    return find_tegra(machine)


def _needs_driver(gpu: PciGpu) -> bool:
    return not (gpu.driver == NOUVEAU or gpu.is_kept)


def _kept(gpu: PciGpu) -> str:
    return f"the NVIDIA GPU at {gpu.address} is kept for a virtual machine, by {gpu.driver}"


def _silent_cards(machine: Machine, on_bus: Sequence[PciGpu]) -> list[Card]:
    cards = {card.address: card for card in find_cards(machine, {NOUVEAU})}
    for gpu in on_bus:
        if gpu.driver == NOUVEAU:
            from vramline.readers.silent import card_without_node

            card = card_without_node(machine, gpu.address, NOUVEAU)
            cards.setdefault(card.address, card)
    return [cards[address] for address in sorted(cards)]


def _open_nvml(
    machine: Machine, on_bus: Sequence[PciGpu], clock: Callable[[], float]
) -> "NvidiaReader":
    nvml = _binding(machine)
    driven = [gpu.address for gpu in on_bus if gpu.driver == NVIDIA]
    asleep = [address for address in driven if is_asleep(machine, address)]
    if not driven or driven != asleep:
        _init(nvml, on_bus)
    # Loaded only here: where there is no driver nothing more is needed.
    from vramline.readers.nvidia.reader import NvidiaReader, by_address, by_index

    if driven and driven == asleep:
        return NvidiaReader(machine, nvml, by_address(driven), is_open=False, clock=clock)
    try:
        slots = by_address(driven) if asleep else by_index(_count(nvml), driven)
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
        if gpu := next(filter(_needs_driver, on_bus), None):
            raise ReadError(_without_driver(gpu, error.value)) from error
        raise ReaderUnavailableError("no NVIDIA GPU, and no NVIDIA driver") from error


def _without_driver(gpu: PciGpu, code: int) -> str:
    if gpu.driver not in (None, NVIDIA):
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
