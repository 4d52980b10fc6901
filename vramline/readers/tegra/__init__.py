"""The GPU of an NVIDIA Tegra system, such as a Jetson, from its own files. Linux only.

There is no NVML before JetPack 6, and there it knows the GPU's name and little else.
The files need no rights:

- ``load`` of the GPU's driver nvgpu, in thousandths. For a GPU that is off it says 0:
  https://github.com/OE4T/linux-tegra-5.10/blob/master/drivers/gpu/nvgpu/os/linux/sysfs.c
- the clock, from devfreq: the GPU's folder there is called ``17000000.gv11b``,
  ``17000000.ga10b`` or ``17000000.gpu``, and ``gpu-gpc-0`` on Thor, which has no ``load``
  (https://github.com/rbonghi/jetson_stats/issues/885)
- the temperature, from the thermal zone, and the power, from the board's INA3221
  sensors: ``GPU_RAILS`` says of what

Its memory is the host's. Who uses the GPU only root is told, in debugfs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from vramline.errors import ReadError
from vramline.machine import Machine
from vramline.readers.causes import settle
from vramline.readers.shared_memory import SharedMemory
from vramline.readers.tegra.board import Board, find_board, is_tegra
from vramline.readers.unread import LASTING, MOMENTARY, unread
from vramline.readings import Cause, FrozenDict, GpuReading, GpuState

__all__ = ["Board", "TegraReader", "asleep", "find_board", "is_tegra", "with_figures"]

UID = "tegra:0"
"""A Tegra has one GPU, whose place in the device tree is another with each JetPack."""
VENDOR = "nvidia"


class TegraReader:
    """Reads the GPU of a board where NVML does not.

    Args:
        arrange: What settles CUDA's view of it.
    """

    def __init__(
        self,
        machine: Machine,
        board: Board,
        *,
        arrange: Callable[[Sequence[GpuReading]], tuple[GpuReading, ...]] = tuple,
    ) -> None:
        self._board = board
        self._memory = SharedMemory(machine)
        self._arrange = arrange
        self._figures: dict[str, object] = {
            **dict.fromkeys((*MOMENTARY, *LASTING), Cause.NOT_SUPPORTED),
            **board.identity(),
            "uid": UID,
            "vendor": VENDOR,
            "index": 0,
        }

    def devices(self) -> Sequence[str]:
        return (UID,)

    def read(self, device: str) -> Sequence[GpuReading]:
        memory = self._memory.figures()
        if self._board.is_asleep():
            return [asleep(settle(GpuReading, self._figures), memory)]
        if not self._board.is_there():
            raise ReadError("the driver nvgpu is not loaded any more: it is looked for again")
        return [settle(GpuReading, {**self._figures, **memory, **self._board.figures()})]

    def describe(self, device: str, cause: Cause) -> GpuReading:
        return unread(settle(GpuReading, self._figures), GpuState.ACTIVE, cause)

    def arrange(self, readings: Sequence[GpuReading]) -> tuple[GpuReading, ...]:
        return self._arrange(readings)

    def close(self) -> None:
        """Nothing is held open between reads."""


def asleep(known: GpuReading, memory: Mapping[str, object]) -> GpuReading:
    """Return the reading of a GPU that sleeps, with the memory, which is the host's."""
    return with_figures(unread(known, GpuState.ASLEEP, Cause.ASLEEP), memory)


def with_figures(gpu: GpuReading, figures: Mapping[str, object]) -> GpuReading:
    """Return the reading with other figures. One that is not known is its cause."""
    causes = {name: figure for name, figure in figures.items() if type(figure) is Cause}
    unknown = {name: cause for name, cause in gpu.unknown.items() if name not in figures}
    values: dict[str, Any] = {**figures, **dict.fromkeys(causes)}
    return replace(gpu, **values, unknown=FrozenDict({**unknown, **causes}))
