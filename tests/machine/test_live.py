import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from vramline.machine import LiveMachine

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


def test_a_live_machine_reads_beneath_its_host_root(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "version").write_text("of the host")
    (tmp_path / "proc" / "one").symlink_to("version")
    machine = LiveMachine(host_root=f"{tmp_path}/")

    assert machine.read("/proc/version") == "of the host"
    assert machine.list("/proc") == ["one", "version"]
    assert machine.readlink("/proc/one") == "version"
    assert machine.may_open("/proc/version")
    assert machine.process == "1"
    with pytest.raises(FileNotFoundError):
        machine.may_open("/proc/nothing")


def test_a_live_machine_reads_a_long_file_whole(tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(b"x" * 200_000)

    assert len(LiveMachine().read(f"{tmp_path}/long")) == 200_000


def test_what_is_neither_in_proc_nor_in_sys_is_this_systems_under_any_root(tmp_path: Path) -> None:
    (tmp_path / "own").write_text("of the container")
    machine = LiveMachine(host_root=f"{tmp_path}/host")

    assert machine.read(f"{tmp_path}/own") == "of the container"
    assert machine.may_open("/dev/null")


def test_a_library_that_was_handed_over_is_not_imported() -> None:
    module = ModuleType("stand_in")

    assert LiveMachine(libraries={"no_such_module": module}).library("no_such_module") is module


def test_a_library_that_is_not_there_cannot_be_imported() -> None:
    with pytest.raises(ImportError):
        LiveMachine(libraries={"no_such_module": None}).library("no_such_module")
