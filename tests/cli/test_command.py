import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import pytest

import vramline
from tests.snapshots import a_gpu, a_snapshot
from tests.standin import SOURCES, environment, write_script
from vramline.cli import run
from vramline.machine import Machine
from vramline.readings import Snapshot

PLAIN = {key: value for key, value in os.environ.items() if key != "FORCE_COLOR"}
COMMAND = [sys.executable, "-m", "vramline"]
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="needs signals and pipes as Unix has")
LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /dev/full")

BLOCKED = """
import sys, threading
from vramline.__main__ import main

def look(machine):
    print("looking", flush=True)
    threading.Event().wait()

sys.exit(main([], look=look))
"""


def call(
    *arguments: str,
    environ: Mapping[str, str] | None = None,
    stdout: int | IO[Any] = subprocess.PIPE,
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        env={**PLAIN, **(environ or {})},
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
    )


def outcome(process: subprocess.CompletedProcess[str]) -> tuple[int, str, str]:
    return process.returncode, process.stdout, process.stderr


def a_host(folder: Path) -> Path:
    """A host's folder, with as much in it as memory takes."""
    for path, text in {
        "proc/meminfo": "MemTotal: 8388608 kB\nMemAvailable: 4194304 kB\n",
        "proc/stat": "cpu 1 0 1 8 0 0 0 0 0 0\nbtime 1\n",
        "sys/.keep": "",
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


def test_json_is_the_snapshot_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    snapshot = a_snapshot(a_gpu(0), failures={"amd": "broken"})

    status = run(["--json"], look=lambda machine: snapshot)

    assert status == 0
    assert capsys.readouterr().out == json.dumps(snapshot.to_dict(), indent=2) + "\n"


def test_json_of_this_machine_is_valid() -> None:
    process = call("--json")

    assert (process.returncode, process.stderr) == (0, "")
    assert json.loads(process.stdout)["format"] == 1


def test_json_needs_neither_rich_nor_click() -> None:
    program = (
        "import sys; sys.modules.update(rich=None, click=None)\n"
        "from vramline.cli import run; sys.exit(run(['--json']))"
    )
    process = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )

    assert (process.returncode, process.stderr) == (0, "")
    assert json.loads(process.stdout)["format"] == 1


def test_without_rich_the_table_says_how_to_install_it() -> None:
    program = (
        "import sys; sys.modules['rich'] = None\nfrom vramline.cli import run; sys.exit(run([]))"
    )
    process = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )

    message = "vramline: the table needs rich: pip install 'vramline[cli]' (--json does without)\n"
    assert outcome(process) == (1, "", message)


def test_the_table_is_plain_in_a_pipe() -> None:
    process = call()

    assert (process.returncode, process.stderr) == (0, "")
    assert "Host" in process.stdout
    assert "\x1b" not in process.stdout


def test_an_output_that_lacks_a_character_gets_the_rest() -> None:
    process = call(environ={"PYTHONIOENCODING": "ascii"})

    assert (process.returncode, process.stderr) == (0, "")
    assert "free" in process.stdout


def test_the_version_is_told() -> None:
    assert outcome(call("--version")) == (0, f"vramline {vramline.__version__}\n", "")


@pytest.mark.parametrize("arguments", [["-h"], ["--help"], ["doctor", "-h"]])
def test_help_is_short(arguments: Sequence[str]) -> None:
    process = call(*arguments, environ={"COLUMNS": "80"})

    assert (process.returncode, process.stderr) == (0, "")
    assert process.stdout.startswith("usage: vramline")
    assert len(process.stdout.splitlines()) < 25


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--colour"], "unrecognized arguments: --colour (see vramline --help)"),
        (["--js"], "unrecognized arguments: --js (see vramline --help)"),
        (["--host-root"], "argument --host-root: expected one argument (see vramline --help)"),
        (["doctor", "--x"], "unrecognized arguments: --x (see vramline --help)"),
    ],
)
def test_a_wrong_option_is_told_in_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        run(arguments)

    assert exit_.value.code == 2
    assert capsys.readouterr() == ("", f"vramline: {message}\n")


def test_an_unknown_command_is_told_in_one_line() -> None:
    process = call("docter")

    assert (process.returncode, process.stdout) == (2, "")
    assert process.stderr.startswith("vramline: argument COMMAND: invalid choice: 'docter'")
    assert process.stderr.count("\n") == 1


@pytest.mark.linux
@LINUX
@pytest.mark.parametrize("by_variable", [False, True])
def test_a_hosts_folder_is_read_in_place_of_this_system(tmp_path: Path, by_variable: bool) -> None:
    folder = str(a_host(tmp_path))
    if by_variable:
        process = call("--json", environ={"VRAMLINE_HOST_ROOT": folder})
    else:
        process = call("--json", "--host-root", folder)

    assert (process.returncode, process.stderr) == (0, "")
    host = json.loads(process.stdout)["host"]
    assert (host["memory_total_bytes"], host["memory_available_bytes"]) == (8 * 2**30, 4 * 2**30)


def test_a_hosts_folder_may_be_named_before_and_after_the_command(tmp_path: Path) -> None:
    asked: list[str] = []

    def look(machine: Machine) -> Snapshot:
        asked.append(machine.read("/proc/meminfo").split()[1])
        return a_snapshot()

    folder = str(a_host(tmp_path))
    for arguments in (
        ["--host-root", folder, "doctor", "--json"],
        ["--json", "doctor", "--host-root", folder],
    ):
        assert run(arguments, look=look) == 0
    assert asked == ["8388608", "8388608"]


@pytest.mark.parametrize(
    ("folders", "lacking"),
    [
        ([], "there is no proc and no sys in this folder"),
        (["proc"], "there is no sys in this folder"),
        (["sys"], "there is no proc in this folder"),
    ],
)
def test_a_wrong_hosts_folder_is_told_with_what_it_lacks(
    folders: list[str], lacking: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in folders:
        (tmp_path / name).mkdir()

    with pytest.raises(SystemExit) as exit_:
        run(["--host-root", str(tmp_path)])

    assert exit_.value.code == 2
    expected = f"vramline: --host-root {tmp_path}: {lacking} (see vramline --help)\n"
    assert capsys.readouterr().err == expected


def test_a_hosts_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "none"
    process = call(environ={"VRAMLINE_HOST_ROOT": str(folder)})

    expected = f"vramline: VRAMLINE_HOST_ROOT {folder}: there is no such folder"
    assert outcome(process) == (2, "", f"{expected} (see vramline --help)\n")


def test_an_empty_name_of_a_hosts_folder_is_not_this_system() -> None:
    process = call("--json", "--host-root", "")

    assert (process.returncode, process.stdout) == (2, "")


def test_an_empty_variable_is_as_none() -> None:
    assert call("--json", environ={"VRAMLINE_HOST_ROOT": ""}).returncode == 0


@POSIX
@pytest.mark.parametrize("arguments", [[], ["--json"], ["doctor"], ["--help"], ["--version"]])
def test_a_closed_pipe_ends_it_quietly(arguments: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        process = call(*arguments, stdout=pipe)

    assert process.stderr == ""
    assert process.returncode in ((0,) if arguments[-1:] in (["--help"], ["--version"]) else (141,))


@pytest.mark.linux
@LINUX
@pytest.mark.parametrize("arguments", [[], ["--json"], ["doctor", "--json"]])
def test_a_full_disk_is_told_in_one_line(arguments: list[str]) -> None:
    with open("/dev/full", "w") as full:
        process = call(*arguments, stdout=full)

    message = "vramline: cannot write the output: No space left on device\n"
    assert (process.returncode, process.stderr) == (1, message)


@POSIX
def test_a_closed_output_is_told_in_one_line() -> None:
    process = subprocess.run(
        ["sh", "-c", '"$0" -m vramline --json >&-', sys.executable],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    message = "vramline: cannot write the output: Bad file descriptor\n"
    assert outcome(process) == (1, "", message)


@POSIX
def test_an_interrupt_ends_it_quietly() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", BLOCKED], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "looking\n"
        process.send_signal(signal.SIGINT)
        output = process.communicate(timeout=30)

    assert (process.returncode, *output) == (130, "", "")


def test_the_gpus_of_a_driver_are_in_the_json(standin_library: Path, tmp_path: Path) -> None:
    machine = (SOURCES / "machines" / "two_gpus.txt").read_text()
    script = write_script(tmp_path / "script.txt", machine)

    process = call("--json", environ=environment(standin_library, script))

    assert (process.returncode, process.stderr) == (0, "")
    gpus = json.loads(process.stdout)["gpus"]
    assert [(gpu["index"], gpu["memory_used_bytes"]) for gpu in gpus] == [
        (0, 2147483648),
        (1, 21474836480),
    ]
    assert [gpu["utilization_percent"] for gpu in gpus] == [25.0, 75.0]


def test_an_interrupt_ends_it_while_the_driver_hangs(standin_library: Path, tmp_path: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("there is no stand-in NVML there, and no FIFO")
    calls = tmp_path / "calls"
    os.mkfifo(calls)
    script = write_script(tmp_path / "script.txt", f"log {calls}\non nvmlInit hang\n")

    with subprocess.Popen(
        [*COMMAND, "--json"],
        env=environment(standin_library, script),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        with open(calls) as log:  # opens, and has a line, once the driver is called
            assert log.readline().startswith("nvmlInit")
        process.send_signal(signal.SIGINT)
        output = process.communicate(timeout=9)  # less than the driver is waited for

    assert (process.returncode, *output) == (130, "", "")


def test_doctor_finds_that_the_driver_was_updated_under_it(
    standin_library: Path, tmp_path: Path
) -> None:
    script = write_script(tmp_path / "script.txt", "on nvmlInit error=18\n")

    process = call("doctor", "--json", environ=environment(standin_library, script))

    assert (process.returncode, process.stderr) == (1, "")
    first = json.loads(process.stdout)["findings"][0]
    assert (first["check"], first["status"]) == ("NVIDIA GPUs", "problem")
    assert "of different versions" in first["found"]
