"""What NVML leaves out of a Tegra system's own GPU, from the board's files.

On Orin NVML knows its name, and nothing else (https://github.com/rbonghi/jetson_stats/pull/867);
on Thor its load, and with later drivers more.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from vramline.machine import Machine
from vramline.readers.base import GpuReader
from vramline.readers.nvidia.errors import FOR_GOOD
from vramline.readers.nvidia.visible import PREFIXES, VARIABLE, Mig, Visibility
from vramline.readers.shared_memory import SharedMemory
from vramline.readers.tegra import (
    Board,
    TegraReader,
    asleep,
    find_board,
    is_tegra,
    with_figures,
)
from vramline.readings import Cause, GpuReading, GpuState, MemoryPool


@dataclass(frozen=True, slots=True, kw_only=True)
class Tegra:
    """A Tegra system.

    Attributes:
        board: Its GPU's files, where the GPU is in use.
    """

    machine: Machine
    board: Board | None

    def alone(self, board: Board) -> GpuReader:
        """Return a reader of the GPU from the board's files."""
        return TegraReader(self.machine, board, arrange=arrange_by(self.machine.environ))

    def beside(self, nvml: GpuReader) -> GpuReader:
        """Return a reader through NVML that adds what NVML leaves out."""
        return OnBoard(self.machine, nvml)


def find_tegra(machine: Machine) -> Tegra | None:
    """Return the system, or ``None`` where it is no Tegra."""
    board = find_board(machine)
    if board is None and not is_tegra(machine):
        return None
    return Tegra(machine=machine, board=board)


class OnBoard:
    """Reads through NVML, and adds to the board's own GPU what NVML does not support.

    That is the one whose memory is the host's. While it is without power it is
    not asked anything, once it is known.
    """

    def __init__(self, machine: Machine, reader: GpuReader) -> None:
        self._machine = machine
        self._reader = reader
        self._memory = SharedMemory(machine)
        self._board: Board | None = None
        self._known: dict[str, GpuReading] = {}

    def devices(self) -> Sequence[str]:
        return self._reader.devices()

    def read(self, device: str) -> Sequence[GpuReading]:
        board = self._find_board()
        known = self._known.get(device)
        if board is not None and known is not None and board.is_asleep():
            return [asleep(known, self._memory.figures())]
        gpu, *instances = self._reader.read(device)
        if gpu.memory_pool is not MemoryPool.UNIFIED:
            return [gpu, *instances]
        if gpu.state is GpuState.ASLEEP:
            return [asleep(gpu, self._memory.figures())]
        if board is not None and gpu.state is GpuState.ACTIVE:
            self._known[device] = gpu = _completed(gpu, board)
        return [gpu, *instances]

    def describe(self, device: str, cause: Cause) -> GpuReading:
        return self._reader.describe(device, cause)

    def arrange(self, readings: Sequence[GpuReading]) -> tuple[GpuReading, ...]:
        return self._reader.arrange(readings)

    def close(self) -> None:
        self._reader.close()

    def _find_board(self) -> Board | None:
        if self._board is None:
            self._board = find_board(self._machine)
        return self._board


def _completed(gpu: GpuReading, board: Board) -> GpuReading:
    missing = [field for field, cause in gpu.unknown.items() if cause in FOR_GOOD]
    told = {**board.identity(), **board.figures(missing)}
    found = {
        field: told[field]
        for field in missing
        if field in told and told[field] is not Cause.NOT_SUPPORTED
    }
    return with_figures(gpu, found) if found else gpu


def arrange_by(
    environ: Mapping[str, str],
) -> Callable[[Sequence[GpuReading]], tuple[GpuReading, ...]]:
    """Return what settles CUDA's view of a board's GPU where there is no NVML."""
    if environ.get(VARIABLE, "").strip().startswith(PREFIXES):
        return tuple  # the name that CUDA has for the GPU is not known
    return partial(Visibility(environ).arrange, mig=Mig())
