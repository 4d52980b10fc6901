import importlib.util
import json
import math
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vramline.errors import ReadError, ReaderUnavailableError
from vramline.machine import LiveMachine, RecordedMachine
from vramline.readers.gpu_tracker import GpuTrackerReader, open_reader, parse
from vramline.readings import Cause, FrozenDict, GpuReading

MIB = 2**20
PROGRAMS = Path(__file__).parents[1] / "programs"
CHECKOUT = Path(__file__).parents[2]

NOT_SUPPORTED = dict.fromkeys(
    (
        "index",
        "pci_address",
        "cuda_index",
        "driver_version",
        "cuda_version",
        "compute_capability",
        "memory_reserved_bytes",
        "memory_bandwidth_bytes_per_second",
        "memory_utilization_percent",
        "temperature_celsius",
        "power_watts",
        "power_limit_watts",
        "clock_mhz",
        "memory_clock_mhz",
        "fan_percent",
        "throttle",
        "processes",
    ),
    Cause.NOT_SUPPORTED,
)
ANSWER = {"total": 106496.0, "used": 1024.0, "count": 2, "percent": 50.5}
READING = GpuReading(
    uid="gpu-tracker:nvidia",
    vendor="nvidia",
    name="2 NVIDIA GPUs, together (gpu-tracker)",
    memory_total_bytes=106496 * MIB,
    memory_used_bytes=1024 * MIB,
    memory_free_bytes=105472 * MIB,
    utilization_percent=50.5,
    unknown=FrozenDict(NOT_SUPPORTED),
)


class Answering(RecordedMachine):
    """A machine on which each program that is run gives the next answer, or raises it."""

    def __init__(self, *answers: str | Exception, installed: bool = True) -> None:
        modules = {"gpu_tracker": ModuleType("gpu_tracker")} if installed else {}
        super().__init__({}, libraries=modules)
        self._answers = list(answers)

    def which(self, program: str) -> str:
        return f"/usr/bin/{program}"

    def run(self, command: Sequence[str], *, timeout_seconds: float) -> str:
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Clock:
    """A clock that stands still until it is set."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def read_once(*answers: str | Exception, brand: str = "nvidia") -> Sequence[GpuReading]:
    reader = open_reader(Answering(*answers), brand)
    return reader.read(reader.devices()[0])


def test_a_machine_without_the_program_has_nothing_to_read() -> None:
    with pytest.raises(
        ReaderUnavailableError,
        match="gpu-tracker reads AMD GPUs with amd-smi, which is not on PATH",
    ):
        open_reader(RecordedMachine({}), "amd")


def test_without_gpu_tracker_there_is_nothing_to_read() -> None:
    with pytest.raises(ReaderUnavailableError, match="gpu-tracker is not installed: pip install"):
        open_reader(Answering(installed=False), "nvidia")


@pytest.mark.parametrize("python", ["", "/opt/chat/chat", "/usr/bin/uwsgi"])
def test_an_application_that_python_is_packed_into_is_not_started_again(python: str) -> None:
    with pytest.raises(ReaderUnavailableError, match="gpu-tracker needs a Python to run in"):
        open_reader(Answering(), "nvidia", python=python)


def test_opening_starts_nothing() -> None:
    reader = open_reader(Answering(RuntimeError("started")), "nvidia")

    assert reader.devices() == ["gpu-tracker:nvidia"]


def test_all_gpus_are_one_reading_in_exact_bytes() -> None:
    assert read_once(json.dumps(ANSWER)) == [READING]


def test_one_gpu_is_not_called_a_sum() -> None:
    (reading,) = read_once(json.dumps({**ANSWER, "count": 1}), brand="amd")

    assert (reading.uid, reading.vendor, reading.name) == (
        "gpu-tracker:amd",
        "amd",
        "1 AMD GPU (gpu-tracker)",
    )


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"used": -1.0}, {"memory_used_bytes", "memory_free_bytes"}),
        ({"used": 106497.0}, {"memory_used_bytes", "memory_free_bytes"}),
        ({"used": math.nan}, {"memory_used_bytes", "memory_free_bytes"}),
        ({"used": 10**400}, {"memory_used_bytes", "memory_free_bytes"}),
        ({"used": "N/A"}, {"memory_used_bytes", "memory_free_bytes"}),
        ({"total": 0.0}, {"memory_total_bytes", "memory_free_bytes"}),
        ({"total": math.inf}, {"memory_total_bytes", "memory_free_bytes"}),
        ({"percent": 101.0}, {"utilization_percent"}),
        ({"percent": None}, {"utilization_percent"}),
    ],
)
def test_a_figure_that_makes_no_sense_is_not_passed_on(
    change: dict[str, object], expected: set[str]
) -> None:
    (reading,) = read_once(json.dumps({**ANSWER, **change}))

    assert reading.unknown == NOT_SUPPORTED | dict.fromkeys(expected, Cause.GARBLED)
    assert {name for name in expected if getattr(reading, name) is None} == expected


def test_zero_used_is_measured_zero() -> None:
    (reading,) = read_once(json.dumps({**ANSWER, "used": 0.0, "percent": 0.0}))

    assert (reading.memory_used_bytes, reading.memory_free_bytes) == (0, 106496 * MIB)
    assert reading.utilization_percent == 0.0


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("", "its answer makes no sense: ''"),
        ("[1]\n", "its answer makes no sense: '[1]\\n'"),
        ('{"total": 106496.0, "us', 'its answer makes no sense: \'{"total": 106496.0, "us\''),
        ('{"total": -1, "used": -2}', 'its figures make no sense: \'{"total": -1, "used": -2}\''),
        ('{"failure": "no\\ndevices"}', "no; devices"),
        (
            '{"failure": "ValueError: could not convert string to float: \'[N/A]\'"}',
            "nvidia-smi says [N/A] where gpu-tracker needs a number",
        ),
        (
            "{\"failure\": \"'DataFrame' object has no attribute 'ram'\"}",
            "gpu-tracker needs nvidia-smi to list a process, and it lists none",
        ),
        (
            '{"failure": "TypeError: \'method\' object is not subscriptable"}',
            "gpu-tracker cannot use nvidia-smi on Python 3.13 and newer",
        ),
        (
            subprocess.CalledProcessError(1, "python", "", "Traceback\nMemoryError\n"),
            "its process ended with status 1; MemoryError",
        ),
        (
            subprocess.CalledProcessError(-9, "python", "", ""),
            "its process ended with status -9",
        ),
        (
            subprocess.TimeoutExpired("python", 30),
            "no answer within 30 s; see whether nvidia-smi hangs",
        ),
        (
            PermissionError(13, "Permission denied"),
            "it cannot be started: [Errno 13] Permission denied",
        ),
    ],
)
def test_what_cannot_be_read_is_a_read_error_that_says_why(
    answer: str | Exception, reason: str
) -> None:
    with pytest.raises(ReadError) as raised:
        read_once(answer)

    assert str(raised.value) == f"gpu-tracker could not read the NVIDIA GPUs: {reason}"


@given(st.text() | st.dictionaries(st.sampled_from(list(ANSWER)), st.from_type(object)).map(repr))
def test_no_answer_makes_parsing_fail_with_anything_but_a_read_error(answer: str) -> None:
    with suppress(ReadError):
        parse("nvidia", answer)


@given(
    st.dictionaries(
        st.sampled_from([*ANSWER, "failure"]),
        st.floats() | st.integers() | st.booleans() | st.text() | st.none() | st.lists(st.none()),
    )
)
def test_what_is_passed_on_always_adds_up(answer: dict[str, object]) -> None:
    try:
        reading = parse("amd", json.dumps(answer))
    except ReadError:
        return
    total, used = reading.memory_total_bytes, reading.memory_used_bytes
    assert total is None or used is None or reading.memory_free_bytes == total - used >= 0
    assert (total is None) == (reading.unknown.get("memory_total_bytes") is Cause.GARBLED)


def test_a_reading_is_given_again_with_its_age_until_the_pause_is_over() -> None:
    clock = Clock()
    machine = Answering(json.dumps(ANSWER), json.dumps({**ANSWER, "used": 2048.0}))
    reader = GpuTrackerReader(machine, "nvidia", pause_seconds=10.0, clock=clock)

    ages_and_uses = []
    for clock.now in (100.0, 104.0, 109.5, 110.0, 111.0):
        (reading,) = reader.read("gpu-tracker:nvidia")
        ages_and_uses.append((reading.age_seconds, reading.memory_used_bytes))

    assert ages_and_uses == [
        (0.0, 1024 * MIB),
        (4.0, 1024 * MIB),
        (9.5, 1024 * MIB),
        (0.0, 2048 * MIB),
        (1.0, 2048 * MIB),
    ]


def test_a_failure_is_not_tried_again_before_the_pause_is_over() -> None:
    clock = Clock()
    machine = Answering('{"failure": "driver gone"}', json.dumps(ANSWER))
    reader = GpuTrackerReader(machine, "nvidia", pause_seconds=10.0, clock=clock)

    for clock.now in (100.0, 109.0):
        with pytest.raises(ReadError, match="driver gone"):
            reader.read("gpu-tracker:nvidia")
    clock.now = 110.0

    assert reader.read("gpu-tracker:nvidia") == [READING]


def test_a_description_asks_nothing_and_says_why_nothing_is_known() -> None:
    reader = open_reader(Answering(RuntimeError("started")), "nvidia")

    described = reader.describe("gpu-tracker:nvidia", Cause.TIMEOUT)

    measured = ("total_bytes", "used_bytes", "free_bytes")
    assert described == GpuReading(
        uid="gpu-tracker:nvidia",
        vendor="nvidia",
        name="NVIDIA GPUs, together (gpu-tracker)",
        unknown=FrozenDict(
            dict.fromkeys(
                [*NOT_SUPPORTED, "utilization_percent", *(f"memory_{name}" for name in measured)],
                Cause.TIMEOUT,
            )
        ),
    )


# What follows runs gpu-tracker itself, over programs that stand in for the vendors'.


@pytest.fixture
def answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if sys.platform == "win32":
        pytest.skip("the programs that stand in for the vendors' are shell scripts")
    if importlib.util.find_spec("gpu_tracker") is None:
        pytest.skip("needs gpu-tracker: pip install 'vramline[gpu-tracker]'")
    monkeypatch.setenv("PATH", str(PROGRAMS), prepend=os.pathsep)
    monkeypatch.setenv("SMI_ANSWERS", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return tmp_path


@pytest.fixture
def nvidia(answers: Path) -> Path:
    write(answers / "total", "uuid, memory.total [MiB]", "GPU-a, 81920 MiB", "GPU-b, 24576 MiB")
    write(answers / "processes", "pid, used_gpu_memory [MiB]", "4242, 1000 MiB")
    write(
        answers / "used",
        "uuid, memory.used [MiB], utilization.gpu [%]",
        "GPU-a, 1000 MiB, 30 %",
        "GPU-b, 24 MiB, 71 %",
    )
    return answers


@pytest.fixture
def amd(answers: Path) -> Path:
    write(answers / "list", "gpu,gpu_bdf,gpu_uuid", "0,0000:03:00.0,55ff7470-0000-1000-807a-12")
    write(answers / "static", "gpu,type,vendor,size,bit_width", "0,GDDR6,HYNIX,16368,256")
    write(
        answers / "process",
        "gpu,name,pid,gtt_mem,cpu_mem,vram_mem,mem_usage,gfx,enc",
        "0,ollama,4242,2134016,211795968,4187593113,4401523097,0,0",
    )
    write(
        answers / "monitor",
        "gpu,gfx,gfx_clock,vram_used,vram_free,vram_total,vram_percent",
        "0,42,2060,4096,12272,16368,25.02",
    )
    return answers


def write(path: Path, *lines: str) -> None:
    path.write_text("".join(f"{line}\n" for line in lines))


def living_with(answers: Path) -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if is_of(process, answers)]


def is_of(process: psutil.Process, answers: Path) -> bool:
    try:
        mark = process.environ().get("SMI_ANSWERS")
        return mark == str(answers) and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def assert_nothing_is_left(answers: Path) -> None:
    psutil.wait_procs(living_with(answers), timeout=30)
    assert living_with(answers) == []
    assert list(answers.glob("vramline-*")) == []


def test_two_nvidia_gpus_are_summed(nvidia: Path) -> None:
    reader = open_reader(LiveMachine(), "nvidia")

    assert reader.read("gpu-tracker:nvidia") == [READING]
    assert_nothing_is_left(nvidia)


def test_it_reads_where_processes_are_spawned(
    nvidia: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As on Windows, and much as on Linux from Python 3.14 on.
    write(
        nvidia / "sitecustomize.py",
        "import multiprocessing",
        "multiprocessing.set_start_method('spawn')",
    )
    monkeypatch.setenv("PYTHONPATH", str(nvidia))

    assert open_reader(LiveMachine(), "nvidia").read("gpu-tracker:nvidia") == [READING]
    assert_nothing_is_left(nvidia)


def test_no_running_process_is_no_failure_with_nvidia(nvidia: Path) -> None:
    write(nvidia / "processes", "pid, used_gpu_memory [MiB]")

    assert open_reader(LiveMachine(), "nvidia").read("gpu-tracker:nvidia") == [READING]


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="gpu-tracker 5.0.1 fails on AMD from 3.13")
def test_an_amd_gpu_is_read(amd: Path) -> None:
    reader = open_reader(LiveMachine(), "amd")

    assert reader.read("gpu-tracker:amd") == [
        GpuReading(
            uid="gpu-tracker:amd",
            vendor="amd",
            name="1 AMD GPU (gpu-tracker)",
            memory_total_bytes=16368 * MIB,
            memory_used_bytes=4096 * MIB,
            memory_free_bytes=12272 * MIB,
            utilization_percent=42.0,
            unknown=FrozenDict(NOT_SUPPORTED),
        )
    ]
    assert_nothing_is_left(amd)


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="gpu-tracker 5.0.1 fails on AMD from 3.13")
def test_amd_without_a_process_is_a_read_error(amd: Path) -> None:
    write(amd / "process", "gpu,process_info", "0,No running processes detected")

    with pytest.raises(ReadError, match="needs amd-smi to list a process, and it lists none"):
        open_reader(LiveMachine(), "amd").read("gpu-tracker:amd")
    assert_nothing_is_left(amd)


MISMATCH = "Failed to initialize NVML: Driver/library version mismatch"
LOST = "Unable to determine the device handle for GPU1: 0000:34:00.0: Unknown Error"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (
            [MISMATCH, "NVML library version: 580.126"],
            f"{MISMATCH}; NVML library version: 580.126",
        ),
        ([LOST], LOST),
        ([], "nvidia-smi ended with status 9"),
    ],
)
def test_the_reason_that_the_program_gives_is_passed_on(
    nvidia: Path, said: list[str], reason: str
) -> None:
    write(nvidia / "error", *said)

    with pytest.raises(ReadError) as raised:
        open_reader(LiveMachine(), "nvidia").read("gpu-tracker:nvidia")

    assert str(raised.value) == f"gpu-tracker could not read the NVIDIA GPUs: {reason}"
    assert_nothing_is_left(nvidia)


@pytest.mark.parametrize(
    ("query", "lines"),
    [
        ("total", ["uuid, memory.total [MiB]", "GPU-a, [N/A]"]),  # GB10: the host's memory
        ("processes", ["pid, used_gpu_memory [MiB]", "4242, [N/A]"]),  # WSL 2
        ("used", ["uuid, memory.used [MiB], utilization.gpu [%]", "GPU-a, 24 MiB, [N/A]"]),  # MIG
    ],
)
def test_a_value_that_nvidia_does_not_tell_is_a_read_error_and_no_zero(
    nvidia: Path, query: str, lines: list[str]
) -> None:
    write(nvidia / query, *lines)

    with pytest.raises(ReadError) as raised:
        open_reader(LiveMachine(), "nvidia").read("gpu-tracker:nvidia")

    assert str(raised.value) == (
        "gpu-tracker could not read the NVIDIA GPUs: "
        "nvidia-smi says [N/A] where gpu-tracker needs a number"
    )
    assert_nothing_is_left(nvidia)


@contextmanager
def hanging(fifo: Path) -> Iterator[int]:
    """Make the program hang at the query that *fifo* names, and let it tell of it there."""
    if sys.platform == "win32":
        pytest.skip("no FIFO and no SIGKILL on Windows")
    os.mkfifo(fifo)
    descriptor = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    yield descriptor
    os.close(descriptor)


def told(fifo: int) -> bytes:
    """Wait for what is told there: nothing, when all that held it open are dead."""
    select.select([fifo], [], [], 20)
    return os.read(fifo, 64)


def test_a_program_that_hangs_is_a_read_error_and_is_killed(nvidia: Path) -> None:
    # Long enough for gpu-tracker to get as far as this query, in a process of its own.
    reader = GpuTrackerReader(LiveMachine(), "nvidia", timeout_seconds=5)

    with hanging(nvidia / "hangs-processes") as fifo:
        with pytest.raises(ReadError, match="no answer within 5 s; see whether nvidia-smi hangs"):
            reader.read("gpu-tracker:nvidia")
        assert [told(fifo), told(fifo)] == [b"hanging\n", b""]
    assert_nothing_is_left(nvidia)


def test_closing_ends_a_reading_that_hangs(nvidia: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("no FIFO and no SIGKILL on Windows")
    reader = GpuTrackerReader(LiveMachine(), "nvidia", timeout_seconds=60)
    reasons: list[str] = []

    def read() -> None:
        try:
            reader.read("gpu-tracker:nvidia")
        except ReadError as error:
            reasons.append(str(error))

    thread = threading.Thread(target=read)
    with hanging(nvidia / "hangs-total") as fifo:
        thread.start()
        assert told(fifo) == b"hanging\n"
        reader.close()
        assert told(fifo) == b""
    thread.join()

    ended = f"its process ended with status {-signal.SIGKILL}"
    assert reasons == [f"gpu-tracker could not read the NVIDIA GPUs: {ended}"]
    assert_nothing_is_left(nvidia)


def test_the_death_of_the_application_leaves_nothing_behind(nvidia: Path) -> None:
    script = (
        "from vramline.machine import LiveMachine\n"
        "from vramline.readers.gpu_tracker import open_reader\n"
        "open_reader(LiveMachine(), 'nvidia').read('gpu-tracker:nvidia')\n"
    )
    with (
        hanging(nvidia / "hangs-processes") as fifo,
        subprocess.Popen([sys.executable, "-c", script], cwd=CHECKOUT) as application,
    ):
        assert told(fifo) == b"hanging\n"
        application.kill()
        assert told(fifo) == b""

    assert_nothing_is_left(nvidia)
