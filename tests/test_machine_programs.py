import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from vramline.machine import LiveMachine, RecordedMachine

needs_a_shell = pytest.mark.skipif(sys.platform == "win32", reason="runs a POSIX shell")


def test_a_program_returns_what_it_prints() -> None:
    command = [sys.executable, "-c", "print('a line')"]

    assert LiveMachine().run(command, timeout_seconds=60) == "a line\n"


def test_a_program_has_no_input_to_wait_for() -> None:
    command = [sys.executable, "-c", "import sys; print(repr(sys.stdin.read()))"]

    assert LiveMachine().run(command, timeout_seconds=60) == "''\n"


def test_a_program_that_fails_tells_its_status_and_what_it_said() -> None:
    command = [sys.executable, "-c", "import sys; print('half'); sys.exit('driver gone')"]

    with pytest.raises(subprocess.CalledProcessError) as raised:
        LiveMachine().run(command, timeout_seconds=60)

    error = raised.value
    assert (error.returncode, error.stdout, error.stderr) == (1, "half\n", "driver gone\n")


def test_a_program_that_is_not_there_is_an_os_error() -> None:
    with pytest.raises(FileNotFoundError):
        LiveMachine().run(["no-such-program-anywhere"], timeout_seconds=60)
    with pytest.raises(FileNotFoundError):
        LiveMachine().which("no-such-program-anywhere")


@needs_a_shell
def test_past_the_timeout_a_program_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("no FIFO on Windows")
    fifo = tmp_path / "held"
    os.mkfifo(fifo)
    descriptor = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    # Both hold the FIFO open, whose end is therefore the death of both.
    script = f"exec 3>'{fifo}'; sleep 600 & sleep 600"

    with pytest.raises(subprocess.TimeoutExpired):
        LiveMachine().run(["sh", "-c", script], timeout_seconds=0.5)

    os.set_blocking(descriptor, True)
    assert os.read(descriptor, 1) == b""
    os.close(descriptor)


@needs_a_shell
def test_a_program_is_found_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "some-smi").write_text("#!/bin/sh\n")
    (tmp_path / "some-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert LiveMachine().which("some-smi") == str(tmp_path / "some-smi")


def test_a_library_is_found_without_being_imported() -> None:
    unlikely = next(name for name in ("antigravity", "this") if name not in sys.modules)

    assert LiveMachine().has_library(unlikely)
    assert unlikely not in sys.modules
    assert not LiveMachine().has_library("no_such_module_anywhere")
    assert LiveMachine(libraries={"handed_over": ModuleType("x")}).has_library("handed_over")


def test_a_recording_starts_no_program_and_has_its_own_libraries_only() -> None:
    machine = RecordedMachine({}, libraries={"pynvml": ModuleType("pynvml")})

    with pytest.raises(FileNotFoundError):
        machine.which("python3")
    with pytest.raises(FileNotFoundError):
        machine.run([sys.executable], timeout_seconds=60)
    assert [machine.has_library(name) for name in ("pynvml", "json")] == [True, False]
