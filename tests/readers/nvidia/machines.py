"""The machines round the stand-in NVML."""

from collections.abc import Mapping

import pynvml

from vramline.machine import RecordedMachine
from vramline.units import GIB, KIB

TOTAL = 64 * GIB
AVAILABLE = 48 * GIB

HOST = {
    "/proc/meminfo": (
        f"MemTotal: {TOTAL // KIB} kB\nMemFree: {GIB // KIB} kB\n"
        f"MemAvailable: {AVAILABLE // KIB} kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n"
    ),
    "/proc/stat": "cpu  100 0 100 800 0 0 0 0 0 0\nbtime 1700000000\n",
    "/proc/self/status": "Name:\tpython\nCpus_allowed_list:\t0-7\n",
    "/proc/self/cgroup": "0::/\n",
    "/proc/self/mountinfo": "25 20 0:22 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
}


def machine(
    extra: Mapping[str, object] | None = None, *, environ: Mapping[str, str] | None = None
) -> RecordedMachine:
    """Return a Linux machine with the stand-in's GPUs, and *extra* files."""
    entries = {**HOST, **(extra or {})}
    return RecordedMachine(entries, environ=environ, libraries={"pynvml": pynvml})  # type: ignore[arg-type]


def on_bus(
    address: str, *, driver: str | None = "nvidia", status: str = "active"
) -> dict[str, object]:
    """Return the files of an NVIDIA GPU on the PCI bus."""
    folder = f"/sys/bus/pci/devices/{address}"
    link = {"symlink": f"../../../../bus/pci/drivers/{driver}"}
    return {
        f"{folder}/vendor": "0x10de\n",
        f"{folder}/class": "0x030000\n",
        f"{folder}/power/runtime_status": f"{status}\n",
        **({f"{folder}/driver": link} if driver else {}),
    }
