"""What is told of machines that were recorded, by vramline and by Glances on the same files.

No other tool that reads AMD's or Intel's files can be pointed at a folder.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench import subjects
from bench.cards import HOST, write
from bench.result import Goal, Report, Result, Table
from tests.machines import entries_of
from vramline import GpuReading, LiveMachine, Sampler
from vramline.readers.unread import MOMENTARY
from vramline.sampler import SETTLE_SECONDS

MACHINES = {
    "amd/r7_240": "Radeon R7 240 on amdgpu",
    "amd/hd7870": "Radeon HD 7870 on radeon",
    "amd/vega56": "Radeon RX Vega 56, UHD 620",
    "amd/strixpoint": "Radeon 890M, integrated",
    "intel/a380_i915": "Arc A380 on i915",
    "intel/b580": "Arc B580 on xe",
    "intel/tigerlake": "Tiger Lake on xe, integrated",
}
OURS, THEIRS = "vramline", "Glances"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How many of the machines are looked at."""

    machines: int = len(MACHINES)


QUICK = Sizes(machines=2)


def run(_library: Path, sizes: Sizes) -> Report:
    """Count what each tells of each machine."""
    results: list[Result] = []
    for name, title in list(MACHINES.items())[: sizes.machines]:
        with TemporaryDirectory() as folder:
            host = {path: each for path, each in entries_of(HOST).items() if "self" not in path}
            write(Path(folder), {**host, **entries_of(name)})
            results += _counted(title, OURS, [_known(gpu) for gpu in ours(folder)])
            if subjects.is_installed(subjects.GLANCES_CARDS):
                results += _counted(title, THEIRS, [_told(card) for card in theirs(folder)])
    silent = sum(each.values[0] == 0 for each in results if each.case == f"GPUs, {OURS}")
    return Report(
        tables=(Table(title="GPUs listed, and figures told of them", results=tuple(results)),),
        goals=(Goal(text="machines whose GPUs are not listed", value=silent, limit=0, unit=""),),
    )


def ours(folder: str) -> tuple[GpuReading, ...]:
    """Return what vramline reads of a machine whose files are in *folder*, after two looks."""
    with Sampler(LiveMachine(host_root=folder)) as sampler:
        sampler.snapshot()
        time.sleep(SETTLE_SECONDS)
        return sampler.snapshot().gpus


def theirs(folder: str) -> list[dict[str, Any]]:
    """Return what Glances reads of the same."""
    cards = import_module("glances.plugins.gpu.cards.amd").AmdGPU(f"{folder}/sys/class/drm")
    others = import_module("glances.plugins.gpu.cards.intel").IntelGPU(f"{folder}/sys/class/drm")
    return [*cards.get_device_stats(), *others.get_device_stats()]


def _known(gpu: GpuReading) -> int:
    return sum(getattr(gpu, name) is not None for name in MOMENTARY)


def _told(card: dict[str, Any]) -> int:
    return sum(card[name] is not None for name in ("mem", "proc", "temperature", "fan_speed"))


def _counted(title: str, subject: str, figures: list[int]) -> Iterator[Result]:
    counts = {"GPUs": len(figures), "figures": sum(figures)}
    for what, count in counts.items():
        yield Result(case=f"{what}, {subject}", subject=title, unit="", values=(float(count),))
