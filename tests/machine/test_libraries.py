"""Native libraries, as they are captured and replayed."""

import ctypes
import errno
import json
from collections import namedtuple
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.readers.nvidia.machines import machine as nvidia_machine
from tests.standin import SOURCES, StandIn
from vramline.machine import Machine, RecordedMachine
from vramline.machine.capture import CapturingMachine
from vramline.machine.masking import Masks
from vramline.machine.writing import Header, to_text
from vramline.readings import GpuReading, Snapshot
from vramline.sampler import Sampler

DATA = Path(__file__).parent.parent / "data" / "nvidia"
SCRIPTS = [*sorted((SOURCES / "machines").glob("*.txt")), *sorted(DATA.glob("*.txt"))]
WHEN = datetime(2026, 1, 2, tzinfo=UTC)


def recording_of(machine: CapturingMachine, masks: Masks | None = None) -> str:
    return to_text(machine.to_dict(Header(version="0", taken_at=WHEN), masks or Masks()))


def replay(machine: CapturingMachine) -> RecordedMachine:
    return RecordedMachine.from_dict(recording_of(machine))


def two_looks(machine: Machine) -> Snapshot:
    with Sampler(machine, now=lambda: WHEN) as sampler:
        sampler.snapshot()
        return sampler.snapshot()


def without_ages(gpu: GpuReading) -> GpuReading:
    return replace(gpu, age_seconds=0.0)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_replayed_snapshot_is_the_captured_one_but_for_the_masks(
    nvml: StandIn, script: Path
) -> None:
    nvml.load(script.read_text())
    live = CapturingMachine(nvidia_machine())
    masks = Masks()

    captured = two_looks(live)
    recording = recording_of(live, masks)
    calls = nvml.calls("nvmlInit")
    replayed = two_looks(RecordedMachine.from_dict(recording))

    assert masks.value(captured.to_dict()) == replayed.to_dict()
    assert len(replayed.gpus) > 0
    assert nvml.calls("nvmlInit") == calls


@pytest.mark.parametrize("code", [1, 2, 3, 4, 6, 9, 12, 13, 15, 17, 18, 25, 28, 999])
@pytest.mark.parametrize("function", ["nvmlInit", "nvmlDeviceGetMemoryInfo*", "*"])
def test_an_error_of_the_driver_is_replayed(nvml: StandIn, function: str, code: int) -> None:
    nvml.load(f"gpus 2\non {function} error={code}\n")
    live = CapturingMachine(nvidia_machine())
    masks = Masks()

    captured = two_looks(live)
    replayed = two_looks(RecordedMachine.from_dict(recording_of(live, masks)))

    assert masks.value(captured.to_dict()) == replayed.to_dict()


def test_a_call_is_recorded_as_it_is_written_in_python(nvml: StandIn) -> None:
    live = CapturingMachine(nvidia_machine())
    two_looks(live)

    library = json.loads(recording_of(live))["libraries"]["pynvml"]

    first = "nvmlDeviceGetHandleByIndex(0)"
    assert library["calls"]["nvmlDeviceGetCount()"] == 2
    assert library["calls"][first] == {"handle": "LP_struct_c_nvmlDevice_t"}
    assert library["calls"][f"nvmlDeviceGetUtilizationRates({first})"] == {
        "object": {"gpu": 25, "memory": 10}
    }
    assert library["errors"]["NVMLError"] == []


def test_a_call_that_was_not_recorded_is_a_function_that_the_driver_lacks(nvml: StandIn) -> None:
    live = CapturingMachine(nvidia_machine())
    opened: Any = live.library("pynvml")
    opened.nvmlInit()
    pynvml: Any = replay(live).library("pynvml")

    pynvml.nvmlInit()
    for function, arguments in ((pynvml.nvmlDeviceGetCount, ()), (pynvml.nvmlInit, (7,))):
        with pytest.raises(pynvml.NVMLError) as raised:
            function(*arguments)
        assert raised.value.value == 13
    assert pynvml.NVML_CLOCK_MEM == 2
    assert not hasattr(pynvml, "nvmlNoSuchFunction")


def test_a_function_that_the_module_did_not_have_is_not_there_in_a_replay() -> None:
    old = ModuleType("pynvml")
    live = CapturingMachine(RecordedMachine({}, libraries={"pynvml": old}))
    assert not hasattr(live.library("pynvml"), "nvmlInit")

    assert not hasattr(replay(live).library("pynvml"), "nvmlInit")


class PsutilError(Exception):
    pass


class NoSuchProcess(PsutilError):  # noqa: N818 (psutil's own name)
    pass


class Process:
    def __init__(self, pid: int = 1) -> None:
        self._pid = pid
        self.pid = pid

    def create_time(self) -> float:
        if self._pid == 13:
            raise NoSuchProcess("process 13 is gone")
        return 7.5

    def cpu_affinity(self) -> list[int]:
        return [0, 1]


Memory = namedtuple("Memory", ["total", "available"])


class Point(ctypes.Structure):
    _fields_ = (("x", ctypes.c_int), ("name", ctypes.c_char * 8), ("two", ctypes.c_int * 2))


def numbers() -> Iterator[int]:
    yield from (1, 2)


def fail(error: Exception) -> Callable[[], None]:
    def raise_it() -> None:
        raise error

    return raise_it


def a_library() -> ModuleType:
    module = ModuleType("psutil")
    point = Point(3, b"three", (ctypes.c_int * 2)(4, 5))
    functions: dict[str, object] = {
        "Error": PsutilError,
        "NoSuchProcess": NoSuchProcess,
        "Process": Process,
        "LINUX": False,
        "virtual_memory": lambda: Memory(10, 4),
        "values": lambda: [None, True, 1, 1.5, float("inf"), "text", b"\xff\0", (1, [2])],
        "mapping": lambda: {"a": {"b": 1}, "raises": "no", "handle": 2},
        "numbered": lambda: {1: "one"},
        "point": lambda: point,
        "friendly": lambda: SimpleNamespace(pid=3, used=None),
        "iterated": numbers,
        "both": lambda: [Process(2), Process(3)],
        "refused": fail(PermissionError(errno.EPERM, "no")),
        "broken": fail(RuntimeError("why")),
        "undecodable": b"\xff".decode,
    }
    vars(module).update(functions)
    return module


def captured() -> tuple[CapturingMachine, Any]:
    live = CapturingMachine(RecordedMachine({}, libraries={"psutil": a_library()}))
    return live, live.library("psutil")


@pytest.mark.parametrize(
    "ask",
    [
        lambda m: [*m.values()],
        lambda m: m.mapping(),
        lambda m: m.numbered(),
        lambda m: m.friendly().pid,
        lambda m: list(m.iterated()),
        lambda m: m.virtual_memory()._asdict(),
        lambda m: m.virtual_memory()[1],
        lambda m: m.virtual_memory().available,
        lambda m: (m.point().x, m.point().name, list(m.point().two)),
        lambda m: m.Process(12).create_time(),
        lambda m: m.Process(12).pid,
        lambda m: hasattr(m.Process(), "cpu_affinity") and m.Process().cpu_affinity(),
        lambda m: hasattr(m.Process(), "no_such_question"),
        lambda m: m.LINUX,
        lambda m: [process.create_time() for process in m.both()],
    ],
)
def test_every_kind_of_answer_is_replayed(ask: Callable[[Any], Any]) -> None:
    live, library = captured()
    answer = ask(library)

    assert ask(replay(live).library("psutil")) == answer


@pytest.mark.parametrize(
    ("ask", "kind"),
    [
        (lambda m: m.refused(), PermissionError),
        (lambda m: m.broken(), RuntimeError),
        (lambda m: m.undecodable(), ValueError),
    ],
)
def test_an_exception_is_replayed_as_one_of_its_kind(
    ask: Callable[[Any], Any], kind: type[Exception]
) -> None:
    live, library = captured()
    with pytest.raises(kind):
        ask(library)

    with pytest.raises(kind):
        ask(replay(live).library("psutil"))


def test_a_librarys_own_exception_is_caught_as_its_ancestor() -> None:
    live, library = captured()
    with pytest.raises(library.Error):
        library.Process(13).create_time()

    replayed: Any = replay(live).library("psutil")
    with pytest.raises(replayed.Error) as raised:
        replayed.Process(13).create_time()
    assert type(raised.value) is replayed.NoSuchProcess


def test_a_process_that_was_not_asked_about_is_not_there() -> None:
    live, library = captured()
    library.Process(12).create_time()

    replayed: Any = replay(live).library("psutil")
    with pytest.raises(replayed.NoSuchProcess):
        replayed.Process(99)
    with pytest.raises(AttributeError):
        replayed.Process(12).username()


def test_a_library_that_could_not_be_imported_cannot_be_in_a_replay() -> None:
    live = CapturingMachine(RecordedMachine({}))
    with pytest.raises(ImportError):
        live.library("pynvml")

    replayed = replay(live)
    with pytest.raises(ImportError, match="the recording holds no pynvml"):
        replayed.library("pynvml")
    assert not replayed.has_library("pynvml")


def test_a_library_that_was_only_looked_for_is_there() -> None:
    live = CapturingMachine(RecordedMachine({}, libraries={"gpu_tracker": ModuleType("x")}))
    assert live.has_library("gpu_tracker")
    assert not live.has_library("pandas")

    replayed = replay(live)
    assert [replayed.has_library(name) for name in ("gpu_tracker", "pandas")] == [True, False]
