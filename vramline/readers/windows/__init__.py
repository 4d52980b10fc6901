"""GPUs of every maker on Windows, through what Windows itself tells. No rights are needed.

- DXGI lists them, with the size of their memory.
  https://learn.microsoft.com/windows/win32/api/dxgi/ns-dxgi-dxgi_adapter_desc1
- The performance counters that Task Manager shows tell what is used, and by whom.
  https://devblogs.microsoft.com/directx/gpus-in-the-task-manager/
- The graphics kernel tells temperature, fan, clocks, driver and PCI address.
  https://learn.microsoft.com/windows-hardware/drivers/ddi/d3dkmthk/nf-d3dkmthk-d3dkmtqueryadapterinfo

NVIDIA's GPUs are among them: what NVML leaves out on Windows, such as the memory of
each process, comes from here.

What Windows does not tell is not guessed. Power is told in tenths of a percent of what
the adapter may draw, without saying how much that is, so it is not known in watts.
IDXGIAdapter3 tells a budget and a use of the process that asks, and of no other, so it
is not asked.
"""

from vramline.errors import ReaderUnavailableError
from vramline.machine import Machine
from vramline.readers.windows.adapters import find_adapters
from vramline.readers.windows.asking import Windows
from vramline.readers.windows.counters import SharedCounters
from vramline.readers.windows.reader import WindowsReader


def open_reader(machine: Machine) -> WindowsReader:
    """Look for GPUs, and open the counters. The counters take a few tenths of a second.

    Raises ``ReaderUnavailableError`` away from Windows, and where there is no GPU
    but the one that Windows draws with in software; ``ReadError`` where DXGI fails.
    """
    try:
        windows = Windows(machine)
    except ImportError as error:
        raise ReaderUnavailableError("this is not Windows") from error
    adapters = find_adapters(windows)
    if not adapters:
        raise ReaderUnavailableError(
            "Windows lists no GPU but its own software: install the driver of the GPU's maker"
        )
    counters = SharedCounters(windows.open_counters(), clock=windows.seconds)
    return WindowsReader(machine, windows, adapters, counters)
