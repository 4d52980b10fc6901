"""The loop that someone would write by hand who wants these figures and nothing else.

It makes the calls into NVML that one snapshot makes, on the thread that wants the figures, and
reads the files that it reads: no deadline, no thread, no check of an answer, no parsing.
"""

import os
from collections.abc import Callable, Sequence

import pynvml

Ask = Callable[[], object]


def bare_loop(files: Sequence[str]) -> Ask:
    """Return the loop over all GPUs and *files*, its session open and its handles held."""
    handles = _handles()

    def ask() -> object:
        return [read_gpu(handle) for handle in handles], [read_file(path) for path in files]

    return ask


def nvml_alone() -> Ask:
    """Return the loop over all GPUs, without the files."""
    handles = _handles()
    return lambda: [read_gpu(handle) for handle in handles]


def _handles() -> list[object]:
    pynvml.nvmlInit()
    return [pynvml.nvmlDeviceGetHandleByIndex(n) for n in range(pynvml.nvmlDeviceGetCount())]


def read_gpu(handle: object) -> tuple[object, ...]:
    """Return the answers about one GPU that may change, as the driver gives them."""
    return (
        pynvml.nvmlDeviceGetUtilizationRates(handle),
        pynvml.nvmlDeviceGetTemperatureV(handle, pynvml.NVML_TEMPERATURE_GPU),
        pynvml.nvmlDeviceGetPowerUsage(handle),
        pynvml.nvmlDeviceGetEnforcedPowerLimit(handle),
        pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM),
        pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_MEM),
        pynvml.nvmlDeviceGetFanSpeed(handle),
        pynvml.nvmlDeviceGetCurrentClocksEventReasons(handle),
        pynvml.nvmlDeviceGetMemoryInfo(handle, pynvml.nvmlMemory_v2),
        pynvml.nvmlDeviceGetComputeRunningProcesses_v3(handle),
        pynvml.nvmlDeviceGetGraphicsRunningProcesses_v3(handle),
    )


def read_file(path: str) -> bytes | None:
    """Return the file's bytes, or ``None`` where there is none, by the fewest system calls."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    except OSError:
        return None
    try:
        return os.read(descriptor, 65536)
    finally:
        os.close(descriptor)
