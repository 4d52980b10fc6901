import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_command import COMMAND, PLAIN
from tests.standin import SOURCES, environment, write_script
from tests.test_project import ROOT
from vramline.cli import run

GIB = 2**30
FILES = {
    "/proc/meminfo": "MemTotal: 8388608 kB\nMemAvailable: 4194304 kB\n",
    "/proc/stat": {
        "in_turn": ["cpu 0 0 0 100 0 0 0 0 0 0\n", "cpu 30 0 0 170 0 0 0 0 0 0\n"],
        "at": [0.01, 0.21],
    },
    "/proc/self/status": "Name:\tpython\nCpus_allowed_list:\t0-3\n",
    "/proc/self/cgroup": "0::/\n",
    "/proc/self/mountinfo": "25 20 0:22 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
}

# Says what of this machine was touched after the recording was read.
AUDITED = """
import os, sys

sys.dont_write_bytecode = True
import vramline

recording, *arguments = sys.argv[1:]
own = [os.path.realpath(each) for each in (sys.prefix, sys.base_prefix, *sys.path) if each]
own += [os.path.dirname(vramline.__path__[0])]
touched, is_read = [], False

def is_own(path):
    return any(os.path.realpath(path).startswith(each) for each in own)

def look_at(event, arguments):
    global is_read
    if event in ("open", "os.listdir", "os.scandir"):
        path = arguments[0]
        if isinstance(path, bytes):
            path = os.fsdecode(path)
        if path == recording:
            is_read = True
        elif is_read and isinstance(path, str) and not is_own(path):
            touched.append((event, path))
    elif is_read and event.split(".")[0] in ("socket", "subprocess") or event in (
        "os.exec", "os.fork", "os.posix_spawn", "os.system", "os.mkdir", "ctypes.dlsym",
    ):
        touched.append((event, str(arguments)))
    elif is_read and event == "ctypes.dlopen" and arguments[0] is not None:
        touched.append((event, str(arguments)))

sys.addaudithook(look_at)
from vramline.__main__ import main

status = main([*arguments, "--from", recording])
assert is_read
for each in touched:
    print("touched:", *each, file=sys.stderr)
sys.exit(status)
"""


def recording(folder: Path, **sections: Any) -> str:
    file = folder / "report.json"
    file.write_text(json.dumps({"format": 1, "platform": "linux", "files": FILES, **sections}))
    return str(file)


def call(
    *arguments: str, environ: Mapping[str, str] = PLAIN, code: str | None = None, fed: str = ""
) -> subprocess.CompletedProcess[str]:
    command = COMMAND if code is None else [sys.executable, "-P", "-c", code]
    return subprocess.run(
        [*command, *arguments],
        env={**environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        input=fed,
        check=False,
        timeout=60,
    )


def captured(library: Path, folder: Path, script: str) -> tuple[str, dict[str, str]]:
    """Record a machine with the stand-in's GPUs; return the file, and an environment with them."""
    environ = environment(library, write_script(folder / "script.txt", script))
    file = str(folder / "report.json")
    process = call("capture", file, environ=environ)
    assert process.returncode == 0, process.stderr
    return file, environ


def test_a_recording_is_shown_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = recording(tmp_path, taken_at="2026-01-02T03:04:05Z")

    assert run(["--json", "--from", file]) == 0

    snapshot = json.loads(capsys.readouterr().out)
    assert snapshot["taken_at"] == "2026-01-02T03:04:05Z"
    host = snapshot["host"]
    assert (host["cores"], host["memory_total_bytes"]) == (4.0, 8 * GIB)
    assert host["cpu_percent"] == 30.0


def test_a_recording_is_shown_the_same_each_time(tmp_path: Path) -> None:
    file = recording(tmp_path)

    first, second = call("--json", "--from", file), call("--json", "--from", file)

    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout == second.stdout


@pytest.mark.parametrize("arguments", [[], ["doctor"]])
def test_a_page_says_that_it_is_of_a_recording(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = recording(tmp_path, taken_at="2026-01-02T03:04:05Z")

    run([*arguments, "--from", file])

    assert capsys.readouterr().out.startswith("recorded 2026-01-02 03:04 UTC on linux\n\n")


def test_findings_for_programs_say_so_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["doctor", "--json", "--from", recording(tmp_path, platform="dar\u001bwin")])

    assert json.loads(capsys.readouterr().out)["machine"] == "recorded on dar?win"


def test_the_doctor_has_its_versions_from_the_recording(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = recording(tmp_path, versions={"nvidia-ml-py": "1.2.3"})

    run(["doctor", "--from", file])

    assert "nvidia-ml-py 1.2.3" in capsys.readouterr().out


def test_a_hosts_folder_of_the_environment_does_not_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VRAMLINE_HOST_ROOT", "/no/such/folder")

    assert run(["--json", "--from", recording(tmp_path)]) == 0
    assert json.loads(capsys.readouterr().out)["host"]["memory_total_bytes"] == 8 * GIB


def test_a_hosts_folder_does_not_go_with_a_recording(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        run(["--from", "x", "--host-root", str(tmp_path)])

    assert exit_.value.code == 2
    told = "vramline: --from does not go with --host-root (see vramline --help)\n"
    assert capsys.readouterr().err == told


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file or directory"),
        (b"", "it is no JSON: Expecting value: line 1 column 1 (char 0)"),
        (b"\x7fELF\xff\n", "it is no JSON: "),
        (b'{"format": 1, "files": {', "it is no JSON: "),
        (b"{}", 'it is no recording of a machine: it has no "format": 1'),
        (b'{"format": 9}', "a newer vramline wrote it: its format is 9, and this one reads 1"),
        (b'{"format": 1, "files": {"/\\u001b[2J\\n": 1}}', "files /\\x1b[2J\\n makes no sense: 1"),
    ],
)
@pytest.mark.parametrize("arguments", [[], ["--json"], ["doctor"]])
def test_what_is_no_recording_is_told_in_one_line(
    content: bytes | None,
    message: str,
    arguments: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "report.json"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(SystemExit) as exit_:
        run([*arguments, "--from", str(file)])

    output, errors = capsys.readouterr()
    assert (exit_.value.code, output) == (2, "")
    assert errors.startswith(f"vramline: --from {file}: {message}")
    assert errors.count("\n") == 1
    assert "\x1b" not in errors


def test_a_recording_may_come_from_the_standard_input(tmp_path: Path) -> None:
    file = recording(tmp_path)

    process = call("--json", "--from", "-", fed=Path(file).read_text())

    assert (process.returncode, process.stderr) == (0, "")
    assert process.stdout == call("--json", "--from", file).stdout


def test_an_empty_name_is_not_this_machine(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        run(["--json", "--from", ""])

    output, errors = capsys.readouterr()
    assert (exit_.value.code, output) == (2, "")
    assert errors.startswith("vramline: --from : ")


def test_a_folder_is_no_recording(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(["--from", str(tmp_path)])

    assert capsys.readouterr().err.startswith(f"vramline: --from {tmp_path}: ")


@pytest.mark.parametrize("machine", ["two_gpus", "mig", "lost_gpu", "gb10"])
def test_a_recording_shows_what_the_machine_did(
    machine: str, standin_library: Path, tmp_path: Path
) -> None:
    script = (SOURCES / "machines" / f"{machine}.txt").read_text()
    file, environ = captured(standin_library, tmp_path, script)

    live = json.loads(call("--json", environ=environ).stdout)
    replayed = json.loads(call("--json", "--from", file).stdout)

    assert len(replayed["gpus"]) == len(live["gpus"]) > 0
    for one, other in zip(replayed["gpus"], live["gpus"], strict=True):
        for name in ("uid", "parent_uid"):
            assert len(one.pop(name) or "") == len(other.pop(name) or "")
        assert one.keys() == other.keys()
        # Unified memory is this machine's own, which has moved on.
        assert one == other or one["memory_pool"] == "unified"
    assert replayed["failures"].keys() == live["failures"].keys()


def test_a_driver_that_failed_fails_in_a_replay(standin_library: Path, tmp_path: Path) -> None:
    file, environ = captured(standin_library, tmp_path, "on nvmlInit error=18\n")

    live, replayed = call("doctor", environ=environ), call("doctor", "--from", file)

    assert (live.returncode, replayed.returncode, replayed.stderr) == (1, 1, "")
    assert replayed.stdout.partition("\n\n")[2] == live.stdout


def test_the_last_resort_answers_from_the_recording_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    child = "vramline/readers/gpu_tracker_child.py"
    answer = json.dumps({"total": 8192, "used": 1024, "count": 1, "percent": 12.5})
    gpu = "/sys/bus/pci/devices/0000:01:00.0"
    file = recording(
        tmp_path,
        files={**FILES, f"{gpu}/vendor": "0x10de\n", f"{gpu}/class": "0x030000\n"},
        which={"nvidia-smi": "/usr/bin/nvidia-smi"},
        libraries={"gpu_tracker": {}},
        programs={f"python -P -u {child} nvidia vramline 35.0": answer},
    )

    assert run(["--json", "--from", file]) == 0

    (found,) = json.loads(capsys.readouterr().out)["gpus"]
    assert (found["uid"], found["memory_used_bytes"]) == ("gpu-tracker:nvidia", GIB)
    assert found["age_seconds"] == 0.0


@pytest.mark.parametrize("arguments", [["--json"], [], ["doctor"], ["doctor", "--json"]])
def test_nothing_live_is_touched(
    arguments: list[str], standin_library: Path, tmp_path: Path
) -> None:
    machine = (SOURCES / "machines" / "two_gpus.txt").read_text()
    file, environ = captured(standin_library, tmp_path, machine)

    process = call(file, *arguments, environ=environ, code=AUDITED)

    assert process.stderr == ""
    assert process.returncode in (0, 1)


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_nothing_live_is_touched_for_another_system(platform: str, tmp_path: Path) -> None:
    calls = {
        "cpu_times()": {"fields": {"user": 1.0, "idle": 3.0}},
        "virtual_memory()": {"fields": {"total": 8 * GIB, "available": GIB}},
        "swap_memory()": {"raises": "RuntimeError", "message": "no swap"},
        "Process()": {"handle": "Process"},
        "cpu_count()": 8,
    }
    file = recording(tmp_path, platform=platform, files={}, libraries={"psutil": {"calls": calls}})

    process = call(file, "--json", code=AUDITED)

    assert process.stderr == ""
    host = json.loads(process.stdout)["host"]
    assert (host["memory_total_bytes"], host["cores"]) == (8 * GIB, 8.0)
    assert host["unknown"]["swap_total_bytes"] == "driver_error"


def test_that_something_live_is_touched_would_be_seen(tmp_path: Path) -> None:
    program = AUDITED.replace(
        "for each in touched",
        f"os.listdir({str(tmp_path)!r}); open(os.devnull)\nfor each in touched",
    )

    process = call(recording(tmp_path), "--json", code=program)

    assert process.stderr == (f"touched: os.listdir {tmp_path}\ntouched: open {os.devnull}\n")
