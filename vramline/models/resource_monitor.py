"""What this machine can carry right now, for an application that runs models on it.

    from src.models.resource_monitor import ResourceMonitor      # from a checkout
    from vramline.models.resource_monitor import ResourceMonitor  # installed

    with ResourceMonitor() as monitor:
        resources = monitor.get_current_resources()
        if monitor.can_load_model(4.7):
            ...

One monitor serves the whole application: keep it, and call it from any thread, as
often as is wanted. It holds the driver open, so that a call costs well under a
millisecond beyond what the driver itself takes (docs/performance.md).

What is read, and how
---------------------
NVIDIA GPUs are read through ``pynvml``, the module of the distribution
``nvidia-ml-py``; AMD's and Intel's from what their Linux drivers tell; a Mac's from
the IO registry; on Windows all others from the system's own counters. The figures
are the driver's: no tool's output for people is parsed. Where a vendor's GPUs cannot
be read so, gpu-tracker is tried if it is installed
(``pip install 'vramline[gpu-tracker]'``). The host is read from the kernel on Linux,
with the limits of the cgroups that this process is in, and through psutil elsewhere.

Where a GPU has no memory of its own its figures are the host's, as far as the GPU
may use it, and a model counts once.

What happens when it cannot be read
-----------------------------------
Nothing raises for want of hardware, and nothing waits for a driver that hangs:

===========================  ====================================================
no GPU, no driver            GPU values are 0.0
the driver fails             GPU values are 0.0; NVML is opened again, by itself,
                             after 1 s, then 2, 4 ... 60 s
one GPU lost or forbidden    that GPU's values are 0.0, the others stay right
a call into the driver hangs the last answer, after half a second; only the GPU
                             that hangs is affected, and it is not waited for again
a sleeping laptop GPU        it is left asleep, and its values are 0.0
an idle laptop GPU           it is looked at every 10 s, so that it can fall asleep
a value the GPU has not      0.0 (such as the temperature of a virtual GPU)
after a fork                 the child opens the driver for itself
while the interpreter ends   the last answer
===========================  ====================================================

In this flat form an unknown value is 0.0, as callers of old expect. ``snapshot``
gives the same reading with ``None`` and the reason, for all GPUs, and tells no GPU
from a broken driver, which zeros cannot.

Units
-----
GB is 2**30 bytes throughout. Percentages run from 0 to 100.
"""

import logging
import os
import time
from collections.abc import Iterable
from typing import Self, TypedDict

from vramline.machine import LiveMachine, Machine
from vramline.models.chosen import (
    ALL_GPUS,
    FREE,
    TOTAL,
    USED,
    checked_choice,
    choose_gpus,
    gigabytes,
    highest,
    mean,
)
from vramline.models.trends import Trend, trend_of
from vramline.readings import Cause, GpuReading, Snapshot
from vramline.sampler import Sampler
from vramline.units import to_gib

try:
    import pynvml
except ImportError:  # without it there is no NVIDIA GPU to read, and all else works
    pynvml = None

__all__ = ["ResourceMonitor", "Resources"]

log = logging.getLogger(__name__)

LARGE_MODEL_GB = 8.0
MEDIUM_MODEL_GB = 4.0

USUAL_CONTEXT_TOKENS = 8192
"""How many tokens a model that is told by its path is to see, where nothing is said."""

HOST_MEMORY_FACTOR = 1.5
"""How much of the host's memory a model without a GPU is taken to need, by its size: the
weights, and half as much again for its context and for the program round it."""

FIRST_RATE_SECONDS = 0.1
"""How far apart the first two looks at the CPU must be."""


class Resources(TypedDict):
    """What ``get_current_resources`` returns, and in which unit.

    Attributes:
        memory_percent: How full the host's memory is, 0-100; in a container,
            how full the container's is, where that is fuller.
        cpu_percent: Of all CPUs together, 0-100, since the call before.
        available_memory_gb: The host memory that a new process could take without
            swapping. Page cache counts as available, and the limit of a
            container or a systemd slice as a limit.
        gpu_vram_gb: The same as ``gpu_free_vram_gb``, under the older name.
        gpu_total_vram_gb: The memory of the chosen GPU; where CPU and GPU share
            one memory, the host's.
        gpu_used_vram_gb: What all programs together hold of it.
        gpu_free_vram_gb: What a new model could take of it now. Total, less
            used, less what the driver keeps for itself.
        gpu_utilization_percent: How much of the last sampling period (1 s or
            less, the driver's choice) a kernel was running, 0-100.
        gpu_temperature_c: Of the GPU's core, in degrees Celsius.
    """

    memory_percent: float
    cpu_percent: float
    available_memory_gb: float
    gpu_vram_gb: float
    gpu_total_vram_gb: float
    gpu_used_vram_gb: float
    gpu_free_vram_gb: float
    gpu_utilization_percent: float
    gpu_temperature_c: float


class TimedResources(Resources):
    """One entry of ``resource_history``.

    Attributes:
        timestamp: When it was taken, in seconds since the epoch.
    """

    timestamp: float


class ResourceMonitor:
    """Watches the host and one GPU for an application that loads models.

    The GPU is the first one that CUDA would show this process (it follows
    ``CUDA_VISIBLE_DEVICES``), NVIDIA before other vendors, and of others one with
    memory of its own before one that shares the host's. ``gpu`` chooses another.
    Among GPUs of different models CUDA has an order of its own, which only
    ``CUDA_DEVICE_ORDER=PCI_BUS_ID`` makes the driver's: without it, the first is
    the driver's first.

    May be used from any number of threads, in a forked child, and at exit. Ends
    by itself when the last reference is gone; ``close`` and ``with`` end it sooner.

    Args:
        memory_threshold: Above how many percent of host memory, 0-100, the
            system counts as overloaded.
        cpu_threshold: The same for the CPU.
        gpu: A GPU's uid (``"GPU-8f1c..."``, ``"0000:01:00.0"``), its number as
            ``vramline`` lists it (``1`` or ``"1"``), or ``"all"``: then memory is
            the sum over all that are visible (what several share is counted
            once), utilization the mean and temperature the highest. Where no GPU
            is the one that was chosen its values are 0.0, and a warning is logged.
        machine: What is read, in place of this machine, such as a
            ``LiveMachine(host_root="/host")`` or a ``RecordedMachine``.

    Raises:
        ValueError: A threshold is not between 0 and 100, or *gpu* is nothing
            that could name a GPU.
    """

    def __init__(
        self,
        memory_threshold: float = 80.0,
        cpu_threshold: float = 80.0,
        *,
        gpu: str | int | None = None,
        machine: Machine | None = None,
    ) -> None:
        self.memory_threshold = _percentage("memory_threshold", memory_threshold)
        self.cpu_threshold = _percentage("cpu_threshold", cpu_threshold)
        self.resource_history: list[TimedResources] = []
        self.max_history_size = 100
        self._gpu = checked_choice(gpu)
        self._warned = False
        self._sampler = Sampler(machine or LiveMachine(libraries={"pynvml": pynvml}))
        # Takes the first of the two looks that the CPU's percentage needs, and has
        # the drivers opened, while the application goes on.
        self._sampler.start()

    def __enter__(self) -> Self:
        """Return the monitor itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Let the drivers go.

        Calls after this return the last readings. Safe to call twice. Where a
        call into the driver is outstanding the driver is not closed under it.
        """
        self._sampler.close()

    def snapshot(self) -> Snapshot:
        """Return everything that is known of the machine now.

        All GPUs of all vendors, ``None`` instead of 0.0 for what is not known, and
        the reason. Waits as ``get_current_resources`` does; never raises for what
        the hardware does.
        """
        return self._sampler.snapshot()

    def get_current_resources(self) -> Resources:
        """Return the present state as a flat dict of floats; see ``Resources`` for the keys.

        The first call waits for the drivers to open, and for 0.1 s to have passed
        since the monitor was made, as a CPU percentage needs two looks: a moment,
        or ten seconds and one more where a driver hangs. Later calls wait for the
        driver's answer, half a second, or one where many GPUs answer one after
        the other; then the last answer is returned. Never raises for what the
        hardware does: what is not known is 0.0.
        """
        return self._resources(self._settled_snapshot())

    def _settled_snapshot(self) -> Snapshot:
        """Return a snapshot with a CPU percentage in it, even if it is the first."""
        snapshot = self._sampler.snapshot()
        if snapshot.host.unknown.get("cpu_percent") is not Cause.FIRST_SAMPLE:
            return snapshot
        time.sleep(FIRST_RATE_SECONDS)
        return self._sampler.snapshot()

    def _resources(self, snapshot: Snapshot) -> Resources:
        host = snapshot.host
        gpus = self._chosen(snapshot)
        free = gigabytes(gpus, FREE)
        return {
            "memory_percent": host.memory_percent or 0.0,
            "cpu_percent": host.cpu_percent or 0.0,
            "available_memory_gb": to_gib(host.memory_available_bytes or 0),
            "gpu_vram_gb": free,
            "gpu_total_vram_gb": gigabytes(gpus, TOTAL),
            "gpu_used_vram_gb": gigabytes(gpus, USED),
            "gpu_free_vram_gb": free,
            "gpu_utilization_percent": mean(gpu.utilization_percent for gpu in gpus),
            "gpu_temperature_c": highest(gpu.temperature_celsius for gpu in gpus),
        }

    def _get_gpu_memory(self) -> tuple[float, float, float]:
        """Return total, used and free memory of the chosen GPU, in GB.

        All are 0.0 without a GPU. Read afresh, as ``get_current_resources`` does.
        """
        gpus = self._chosen(self._sampler.snapshot())
        return gigabytes(gpus, TOTAL), gigabytes(gpus, USED), gigabytes(gpus, FREE)

    def update_history(self) -> None:
        """Take a reading and add it to ``resource_history``.

        The list keeps the newest ``max_history_size`` entries, oldest first.
        Nothing else adds to it: the caller decides how often.
        """
        entry: TimedResources = {**self.get_current_resources(), "timestamp": time.time()}
        # No lock, which a fork could leave taken: each of the two steps is one of Python's own.
        self.resource_history.append(entry)
        del self.resource_history[: max(len(self.resource_history) - self.max_history_size, 0)]

    def get_resource_trend(self, window_minutes: float = 5) -> Trend:
        """Return where memory, CPU and GPU memory have been heading in the last minutes.

        Looks at the entries of ``resource_history`` in the window. The mean of its
        later half is compared with that of its earlier half: a difference of more
        than two percentage points is a trend. Fewer than two entries are
        ``insufficient_data``.
        """
        since = time.time() - window_minutes * 60
        entries = tuple(self.resource_history)
        recent = [entry for entry in entries if entry["timestamp"] >= since]
        return {
            "memory": trend_of([entry["memory_percent"] for entry in recent]),
            "cpu": trend_of([entry["cpu_percent"] for entry in recent]),
            "gpu": trend_of([_gpu_fullness(entry) for entry in recent]),
        }

    def is_system_overloaded(self) -> bool:
        """Tell whether host memory or CPU is above its threshold at this moment."""
        resources = self.get_current_resources()
        return (
            resources["memory_percent"] > self.memory_threshold
            or resources["cpu_percent"] > self.cpu_threshold
        )

    def can_load_model(
        self,
        model_size_gb: float | str | os.PathLike[str],
        *,
        context_tokens: int = USUAL_CONTEXT_TOKENS,
    ) -> bool:
        """Tell whether a model of this size, in GB, could be loaded now.

        With a GPU: whether it fits what is free there; host memory does not count.
        Without one, or where its free memory is not known: whether one and a half
        times the size fits the host's available memory. Where ``gpu`` names one
        GPU, nothing fits as long as that one cannot be read.

        In place of a size, which can only be a guess, the model's path may be given. Then
        its header is read, and what it takes is worked out (docs/fit.md), with
        ``context_tokens`` of context: of a GGUF file in llama-server, of a folder of
        safetensors in transformers.

        Raises ``ValueError`` for a size that is negative or not a number, and
        ``ModelFormatError`` where there is no such model.
        """
        if isinstance(model_size_gb, str | os.PathLike):
            # Loaded on first use: most applications never ask, and it is half of the package.
            from vramline.models.fits import fits

            snapshot = self._sampler.snapshot()
            gpus = self._chosen(snapshot)
            return fits(model_size_gb, snapshot, gpus, context_tokens, needs_gpu=self._names_one)
        if not model_size_gb >= 0:
            raise ValueError(f"model_size_gb must be zero or more, not {model_size_gb!r}")
        snapshot = self._sampler.snapshot()
        free = self._free_on_gpu(snapshot)
        if free is not None:
            return model_size_gb <= free
        available = to_gib(snapshot.host.memory_available_bytes or 0)
        return model_size_gb * HOST_MEMORY_FACTOR <= available

    def get_best_model(
        self, paths: Iterable[str | os.PathLike[str]], *, context_tokens: int = USUAL_CONTEXT_TOKENS
    ) -> str | None:
        """Return the path of the model that runs best now, ``None`` if none of them can.

        All on the GPU comes before partly, and that before the host; among equals the
        larger model. Raises ``ModelFormatError`` where one of them is no model.
        """
        from vramline.models.fits import best_of  # as in can_load_model

        snapshot = self._sampler.snapshot()
        return best_of(paths, snapshot, self._chosen(snapshot), context_tokens)

    def get_best_model_size(self) -> str:
        """Return ``large``, ``medium`` or ``small``, by the memory a model could be loaded into.

        That is what is free on the chosen GPU, or without one (or where it is not
        known) what the host has available. ``large`` from 8 GB, ``medium`` from 4.
        """
        snapshot = self._sampler.snapshot()
        free = self._free_on_gpu(snapshot)
        if free is None:
            free = to_gib(snapshot.host.memory_available_bytes or 0)
        if free >= LARGE_MODEL_GB:
            return "large"
        return "medium" if free >= MEDIUM_MODEL_GB else "small"

    def _free_on_gpu(self, snapshot: Snapshot) -> float | None:
        gpus = self._chosen(snapshot)
        known = any(gpu.memory_free_bytes is not None for gpu in gpus)
        return gigabytes(gpus, FREE) if known or self._names_one else None

    @property
    def _names_one(self) -> bool:
        return self._gpu is not None and self._gpu != ALL_GPUS

    def _chosen(self, snapshot: Snapshot) -> list[GpuReading]:
        gpus = choose_gpus(snapshot.gpus, self._gpu)
        if not gpus and self._gpu is not None and not self._warned:
            self._warned = True
            here = ", ".join(gpu.uid for gpu in snapshot.gpus) or "none"
            log.warning("no GPU here is gpu=%r; there are: %s", self._gpu, here)
        return gpus


def _gpu_fullness(entry: TimedResources) -> float:
    total = entry["gpu_total_vram_gb"]
    return 100 * entry["gpu_used_vram_gb"] / total if total else 0.0


def _percentage(name: str, value: float) -> float:
    if not 0 <= value <= 100:
        raise ValueError(f"{name} must be between 0 and 100, not {value!r}")
    return value
