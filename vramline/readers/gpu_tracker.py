"""The last resort: GPUs through gpu-tracker, which runs ``nvidia-smi`` or ``amd-smi``.

https://pypi.org/project/gpu-tracker/ (optional: ``pip install vramline[gpu-tracker]``)

It stands behind every other reader, for what can be had with it is little:

- It profiles a program, and has no function that lists GPUs. All GPUs of a
  brand are one sum here, as if they were one device. A model is loaded into one
  of them, so the free memory of the sum is more than fits any of them.
- Free is total minus used, and not what the driver would hand out.
- Memory comes in whole MiB, which it calls megabytes: ``amd-smi`` does so as
  well. The two figures are read a few tenths of a second apart.
- Where a value is ``[N/A]`` it stops: on machines whose CPU and GPU share
  memory, with MIG, and with a process running under WSL 2. It cannot read AMD
  at all while ``amd-smi`` lists no process, nor on Python 3.13 and newer
  (``classmethod`` over ``property``: https://github.com/python/cpython/issues/119628).
- A reading starts a Python with pandas, a process of gpu-tracker's own and the
  vendor's program three times or more: a second and 100 MB, as measured with
  programs that answer at once. So it is done in a process apart, and every ten
  seconds at most. In between the last reading is given again, with its age.

``nvidia-smi`` asks NVML as the NVIDIA reader does. What is left for this one is
a Python that cannot load NVML on a machine whose ``nvidia-smi`` can.
"""

import json
import math
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import fields, replace

from vramline.errors import ReadError, ReaderUnavailableError
from vramline.machine import Machine
from vramline.readers.base import GpuReader
from vramline.readers.causes import settle
from vramline.readings import Cause, GpuReading
from vramline.units import MIB

NAMES = {"nvidia": "NVIDIA", "amd": "AMD"}
PROGRAMS = {"nvidia": "nvidia-smi", "amd": "amd-smi"}
CHILD = os.path.join(os.path.dirname(__file__), "gpu_tracker_child.py")
TIMEOUT_SECONDS = 30.0
"""Without persistence mode NVIDIA's driver takes 1-3 s a GPU each time that it is asked."""
PAUSE_SECONDS = 10.0
LARGEST = 2**43 - 1
"""In MiB: what is past that is past 63 bits in bytes."""

_FIGURES = [
    field.name
    for field in fields(GpuReading)
    if field.default is None and field.name not in {"name", "parent_uid", "memory_free_bound_by"}
]

# What Python says of the places where gpu-tracker 5.0.1 stops, and what that means here.
_EXPLAINED = (
    (r"'(\[[^']*\])'", "{program} says {} where gpu-tracker needs a number"),
    (r"has no attribute 'ram'", "gpu-tracker needs {program} to list a process, and it lists none"),
    (r"'method' object is not sub", "gpu-tracker cannot use {program} on Python 3.13 and newer"),
)


def open_reader(machine: Machine, brand: str, *, python: str | None = None) -> GpuReader:
    """Return a reader of *brand*, ``nvidia`` or ``amd``, without starting anything.

    *python* is what gpu-tracker is run with: the one that runs now, if not told.
    """
    python = sys.executable if python is None else python
    try:
        machine.which(PROGRAMS[brand])
    except FileNotFoundError as error:
        raise ReaderUnavailableError(
            f"gpu-tracker reads {NAMES[brand]} GPUs with {PROGRAMS[brand]}, which is not on PATH"
        ) from error
    if not machine.has_library("gpu_tracker"):
        raise ReaderUnavailableError(
            "gpu-tracker is not installed: pip install 'vramline[gpu-tracker]'"
        )
    # A packed application, or one with Python inside, has its own name here: it is not run again.
    if not os.path.basename(python or "").lower().startswith(("python", "pypy")):
        raise ReaderUnavailableError(f"gpu-tracker needs a Python to run in, and not {python!r}")
    return GpuTrackerReader(machine, brand, python=python)


class GpuTrackerReader:
    """Reads the sum of a brand's GPUs, each time in a process of its own."""

    def __init__(
        self,
        machine: Machine,
        brand: str,
        *,
        python: str = sys.executable,
        timeout_seconds: float = TIMEOUT_SECONDS,
        pause_seconds: float = PAUSE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._machine = machine
        self._brand = brand
        self._python = python
        self._timeout_seconds = timeout_seconds
        self._pause_seconds = pause_seconds
        self._clock = clock
        self._measured_at = -math.inf
        self._outcome: GpuReading | str = ""
        self._folder = ExitStack()

    def devices(self) -> Sequence[str]:
        return [_uid(self._brand)]

    def read(self, device: str) -> Sequence[GpuReading]:
        age_seconds = self._clock() - self._measured_at
        if age_seconds >= self._pause_seconds:
            self._outcome = self._measure()
            self._measured_at = self._clock()
            age_seconds = 0.0
        if isinstance(self._outcome, str):
            raise ReadError(self._outcome)
        return [replace(self._outcome, age_seconds=age_seconds)]

    def describe(self, device: str, cause: Cause) -> GpuReading:
        return _reading(self._brand, count=None, why_no_more=cause)

    def arrange(self, readings: Sequence[GpuReading]) -> tuple[GpuReading, ...]:
        return tuple(readings)

    def close(self) -> None:
        self._folder.close()  # a child that is still at work ends when this is gone

    def _measure(self) -> GpuReading | str:
        try:
            return parse(self._brand, self._run())
        except ReadError as error:
            return f"gpu-tracker could not read the {NAMES[self._brand]} GPUs: {error}"

    def _run(self) -> str:
        # Not at the top: every start of vramline looks here whether there is something to run.
        import subprocess

        try:
            # The child's own limit is for the case that nobody is left to end it.
            limit = str(self._timeout_seconds + 5)
            with self._folder:
                folder = self._folder.enter_context(self._machine.scratch_folder())
                return self._machine.run(
                    [self._python, "-P", "-u", CHILD, self._brand, folder, limit],
                    timeout_seconds=self._timeout_seconds,
                )
        except subprocess.TimeoutExpired as error:
            raise ReadError(
                f"no answer within {self._timeout_seconds:g} s;"
                f" see whether {PROGRAMS[self._brand]} hangs"
            ) from error
        except subprocess.CalledProcessError as error:
            said = (error.stderr or "").strip().splitlines()
            ended = f"its process ended with status {error.returncode}"
            raise ReadError("; ".join([ended, *said[-1:]])) from error
        except OSError as error:
            raise ReadError(f"it cannot be started: {error}") from error


def parse(brand: str, output: str) -> GpuReading:
    """Return what the child's one line of JSON tells. Raises ``ReadError`` where that is nothing.

    A figure that makes no sense is not passed on, and nor is what follows from it.
    """
    try:
        answer = json.loads(output)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise ReadError(f"its answer makes no sense: {output[:80]!r}")
    if "failure" in answer:
        raise ReadError(_explained(brand, str(answer["failure"])))
    total = _number(answer.get("total"), least=1)
    used = _number(answer.get("used"), most=LARGEST if isinstance(total, Cause) else total)
    if isinstance(total, Cause) and isinstance(used, Cause):
        raise ReadError(f"its figures make no sense: {output[:200]!r}")
    count = _number(answer.get("count"), least=1)
    return _reading(
        brand,
        count=None if isinstance(count, Cause) else int(count),
        memory_total_bytes=_bytes(total),
        memory_used_bytes=_bytes(used),
        memory_free_bytes=_bytes(_difference(total, used)),
        utilization_percent=_number(answer.get("percent"), most=100),
    )


def _number(value: object, *, least: float = 0, most: float = LARGEST) -> float | Cause:
    if isinstance(value, int | float) and least <= value <= most:
        return value
    return Cause.GARBLED  # not a number, infinite, or out of any GPU's bounds


def _difference(total: float | Cause, used: float | Cause) -> float | Cause:
    if isinstance(total, Cause) or isinstance(used, Cause):
        return Cause.GARBLED
    return total - used


def _bytes(mebibytes: float | Cause) -> int | Cause:
    return mebibytes if isinstance(mebibytes, Cause) else round(mebibytes * MIB)


def _explained(brand: str, failure: str) -> str:
    for pattern, meaning in _EXPLAINED:
        if found := re.search(pattern, failure):
            return meaning.format(*found.groups(), program=PROGRAMS[brand])
    return "; ".join(failure.splitlines())


def _uid(brand: str) -> str:
    return f"gpu-tracker:{brand}"


def _reading(
    brand: str,
    count: int | None,
    why_no_more: Cause = Cause.NOT_SUPPORTED,
    **figures: float | Cause,
) -> GpuReading:
    number = "" if count is None else f"{count} "
    plural = "GPU" if count == 1 else "GPUs, together"
    known: dict[str, object] = {
        "uid": _uid(brand),
        "vendor": brand,
        "name": f"{number}{NAMES[brand]} {plural} (gpu-tracker)",
    }
    return settle(GpuReading, known | dict.fromkeys(_FIGURES, why_no_more) | figures)
