import errno
import json
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

import vramline
from tests.cli.test_command import COMMAND, LINUX, PLAIN, POSIX, a_host
from tests.servers import serving
from tests.snapshots import a_gpu, a_snapshot
from tests.standin import StandIn
from vramline.cli import run
from vramline.cli.fit.processor import processor_of
from vramline.fit.settings import Backend, Processor, Runner
from vramline.machine import Machine, RecordedMachine
from vramline.readings import Cause, Snapshot
from vramline.runners import find_runners, loaded_models
from vramline.sampler import Deadlines, Sampler

BLOCKED = """
import sys, threading
from vramline.__main__ import main

def look(machine):
    machine.read("/proc/self/status")
    print("looking", flush=True)
    threading.Event().wait()

sys.exit(main(["capture", sys.argv[1]], look=look))
"""

SHORT = Deadlines(opening_seconds=2.0)


def call(*arguments: str, environ: Mapping[str, str] = PLAIN) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        env=dict(environ),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def one_question(machine: Machine) -> Snapshot:
    machine.read("/proc/meminfo")
    return a_snapshot(a_gpu(0))


def test_this_machine_is_recorded(tmp_path: Path) -> None:
    file = tmp_path / "report.json"

    process = call("capture", str(file))

    assert (process.returncode, process.stdout) == (0, "")
    assert process.stderr.startswith(f"vramline: wrote {file} (")
    assert process.stderr.endswith("): look through it before you send it\n")
    assert process.stderr.count("\n") == 1
    recording = json.loads(file.read_text())
    assert (recording["format"], recording["vramline"]) == (1, vramline.__version__)
    assert recording["platform"] == sys.platform
    assert "interrupted" not in recording
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_a_recording_may_go_to_the_standard_output() -> None:
    process = call("capture", "-")

    assert process.returncode == 0
    assert RecordedMachine.from_dict(process.stdout).platform == sys.platform
    assert process.stderr.startswith("vramline: wrote the recording (")


@POSIX
def test_a_pipe_may_be_written_without_force() -> None:
    # Where it leads to is no path: "pipe:[1234]".
    process = call("capture", "/dev/stdout")

    assert process.returncode == 0, process.stderr
    assert RecordedMachine.from_dict(process.stdout).platform == sys.platform


def test_its_help_has_only_what_goes_with_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(["capture", "--help"])

    told = capsys.readouterr().out
    assert ["--force" in told, "--json" in told, "[--from" in told] == [True, False, False]


def test_the_name_of_this_host_and_user_are_not_in_it(tmp_path: Path) -> None:
    folder = a_host(tmp_path / "host")
    (folder / "proc/self").mkdir()
    (folder / "proc/1").mkdir()
    (folder / "proc/1/cgroup").write_text("0::/kim.slice/kims-box.scope\n")
    (folder / "proc/sys/kernel").mkdir(parents=True)
    (folder / "proc/sys/kernel/hostname").write_text("kims-box\n")
    environ = {**PLAIN, "USER": "kim"}

    process = call("capture", "-", "--host-root", str(folder), environ=environ)

    recording = json.loads(process.stdout)
    assert recording["files"]["/proc/1/cgroup"] == "0::/user1.slice/host1.scope\n"
    assert "kim" not in process.stdout
    # Others may be in the folders that this environment names.
    assert re.search(r"masked \d+ user names?, 1 host name\)", process.stderr)


def test_what_is_captured_is_what_the_command_and_the_doctor_ask(tmp_path: Path) -> None:
    file = tmp_path / "report.json"

    assert run(["capture", str(file), "--host-root", str(a_host(tmp_path))], look=one_question) == 0

    recording = json.loads(file.read_text())
    assert recording["process"] == "1"
    assert recording["files"]["/proc/meminfo"].startswith("MemTotal: 8388608 kB\n")
    assert recording["taken_at"] == "2026-01-02T00:00:00Z"
    assert "nvidia-ml-py" in recording["versions"]


@pytest.mark.linux
@LINUX
def test_what_is_asked_for_models_replays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "llama-server").touch(0o755)
    (folder / "libggml-cuda.so").touch()
    (folder / "diary").touch()
    host = a_host(tmp_path / "host")
    (host / "proc/cpuinfo").write_text("flags\t: fpu avx2\n")
    (host / "proc/7").mkdir()
    (host / "proc/7/stat").write_text("7 (llama-server) S 1 7 7\n")
    (host / "proc/7/cmdline").write_text("llama-server\0--port\x00{}\0--api-key\0abc\0")
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("OLLAMA_HOST", raising=False)
    file = tmp_path / "report.json"

    page = '{"default_generation_settings": {"n_ctx": 512}, "api_key": "abc"}'
    with serving({"/props": page}) as (port, _):
        command = f"llama-server\0--port\0{port}\0--api-key\0abc\0"
        (host / "proc/7/cmdline").write_text(command)
        assert run(["capture", str(file), "--host-root", str(host)], look=one_question) == 0

    text = file.read_text()
    machine = RecordedMachine.from_dict(text)
    (runner,) = find_runners(machine, lambda _: None)
    assert (runner.runner, runner.backends) == (Runner.LLAMA_SERVER, (Backend.CUDA,))
    assert processor_of(machine) is Processor.X86
    loaded = loaded_models(machine)
    assert [(each.pid, each.context_tokens) for each in loaded.models] == [(7, 512)]
    assert "abc" not in text
    assert "diary" not in text


def test_a_file_is_not_overwritten_unless_by_force(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "report.json"
    file.write_text("mine")

    with pytest.raises(SystemExit) as exit_:
        run(["capture", str(file)], look=one_question)

    assert (exit_.value.code, file.read_text()) == (2, "mine")
    message = "this file is there already, and --force would overwrite it (see vramline --help)"
    assert capsys.readouterr().err == f"vramline: capture {file}: {message}\n"
    host = a_host(tmp_path / "host")
    arguments = ["capture", "--force", str(file), "--host-root", str(host)]
    assert run(arguments, look=one_question) == 0
    assert json.loads(file.read_text())["format"] == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "this is a folder"),
        ("none/report.json", "there is no folder {}/none"),
    ],
)
def test_a_file_that_cannot_be_is_told_before_anything_is_read(
    name: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def look(_machine: Machine) -> Snapshot:
        raise AssertionError

    with pytest.raises(SystemExit) as exit_:
        run(["capture", f"{tmp_path}/{name}"], look=look)

    assert exit_.value.code == 2
    expected = f"vramline: capture {tmp_path}/{name}: {message.format(tmp_path)}"
    assert capsys.readouterr().err == f"{expected} (see vramline --help)\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["capture"], "the following arguments are required: FILE"),
        (["capture", "x", "--json"], "--json does not go with capture"),
        (["--from", "y", "capture", "x"], "--from does not go with capture"),
        (["capture", "x", "--from", ""], "--from does not go with capture"),
        (["capture", ""], "capture : no file has an empty name"),
    ],
)
def test_what_does_not_go_with_it_is_told_in_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        run(arguments)

    assert exit_.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith(f"vramline: {message}")
    assert told.count("\n") == 1


@pytest.mark.linux
@LINUX
@pytest.mark.parametrize("arguments", [["capture", "--force", "/dev/full"], ["capture", "-"]])
def test_a_full_disk_is_told_in_one_line(arguments: list[str]) -> None:
    with open("/dev/full", "w") as full:
        process = subprocess.run(
            [*COMMAND, *arguments],
            env=PLAIN,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )

    what = "the output" if arguments[-1] == "-" else "/dev/full"
    message = f"vramline: cannot write {what}: No space left on device\n"
    assert (process.returncode, process.stderr) == (1, message)
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)


@POSIX
def test_a_folder_that_may_not_be_written_is_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "mine"
    host = a_host(tmp_path / "host")

    def look(machine: Machine) -> Snapshot:
        folder.rmdir()
        return one_question(machine)

    folder.mkdir()
    file = folder / "report.json"

    assert run(["capture", str(file), "--host-root", str(host)], look=look) == 1
    told = os.strerror(errno.ENOENT)
    assert capsys.readouterr().err == f"vramline: cannot write {file}: {told}\n"


@POSIX
def test_a_file_that_cannot_be_written_whole_is_left_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    file.write_text("mine")
    code = """
import resource, sys
from vramline.__main__ import main

resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
sys.exit(main(["capture", "--force", sys.argv[1]]))
"""

    process = subprocess.run(
        [sys.executable, "-c", code, str(file)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    told = f"vramline: cannot write {file}: {os.strerror(errno.EFBIG)}\n"
    assert (process.returncode, process.stderr, file.read_text()) == (1, told, "mine")
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_a_link_is_kept_and_what_it_points_to_is_written(tmp_path: Path) -> None:
    file, link = tmp_path / "report.json", tmp_path / "link"
    file.write_text("")
    link.symlink_to(file)
    host = a_host(tmp_path / "host")

    run(["capture", "--force", str(link), "--host-root", str(host)], look=one_question)

    assert link.is_symlink()
    assert json.loads(file.read_text())["format"] == 1


@POSIX
def test_an_interrupt_leaves_a_whole_file_with_what_was_read(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    with subprocess.Popen(
        [sys.executable, "-c", BLOCKED, str(file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "looking\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)

    assert process.returncode == 130
    assert errors.startswith(f"vramline: wrote {file}, as far as it was read, (")
    recording = json.loads(file.read_text())
    assert recording["interrupted"] is True
    assert "/proc/self/status" in recording.get("files", {}) or sys.platform != "linux"
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_what_was_read_before_vramline_failed_is_written(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    host = a_host(tmp_path / "host")

    def look(machine: Machine) -> Snapshot:
        machine.read("/proc/meminfo")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(["capture", str(file), "--host-root", str(host)], look=look)

    assert "/proc/meminfo" in json.loads(file.read_text())["files"]


def test_a_driver_that_hangs_is_in_the_recording(
    nvml: StandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nvml.load("gpus 2\non nvmlDeviceGetName gpu=1 hang\n")
    file = tmp_path / "report.json"

    def look(machine: Machine) -> Snapshot:
        with Sampler(machine, deadlines=SHORT) as sampler:
            return sampler.snapshot()

    status = run(["capture", str(file)], look=look)
    nvml.release()

    assert status == 0
    calls = json.loads(file.read_text())["libraries"]["pynvml"]["calls"]
    assert calls["nvmlDeviceGetName(nvmlDeviceGetHandleByIndex(1))"] == {"hangs": True}
    assert "nvmlDeviceGetUUID(nvmlDeviceGetHandleByIndex(0))" in calls
    replayed = look(RecordedMachine.from_dict(file.read_text()))
    assert [gpu.unknown.get("memory_total_bytes") for gpu in replayed.gpus] == [
        None,
        Cause.TIMEOUT,
    ]
    assert "no answer from" in replayed.failures["nvidia"]
