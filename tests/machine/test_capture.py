"""That a replay of what was captured answers as the machine did."""

import base64
import json
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.machine import PATIENT
from tests.machines import recorded
from vramline.machine import Machine, RecordedMachine
from vramline.machine.capture import CapturingMachine
from vramline.machine.masking import Masks
from vramline.machine.reducing import LONGEST
from vramline.machine.writing import Header, to_text
from vramline.readers.host import HostReader

WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HOME = "/home"
HEADER = Header(version="0.1.0", taken_at=WHEN)


class Ticks:
    """A clock that moves on by a tenth of a second whenever it is looked at."""

    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        self.now += 0.1
        return self.now


def machine(**sections: Any) -> RecordedMachine:
    return RecordedMachine.from_dict({"format": 1, **sections}, clock=Ticks())


def written(live: CapturingMachine) -> dict[str, Any]:
    recording: dict[str, Any] = json.loads(to_text(live.to_dict(HEADER, Masks(key=b"key"))))
    return recording


def outcome(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except OSError as error:
        return error.errno
    except subprocess.CalledProcessError as error:
        return error.returncode, error.stdout, error.stderr
    except subprocess.TimeoutExpired as error:
        return error.timeout


def test_a_recording_tells_what_it_is() -> None:
    live = CapturingMachine(machine(platform="darwin", process="1"))
    header = Header(
        version="0.1.0",
        taken_at=WHEN,
        took_seconds=0.4567,
        versions={"nvidia-ml-py": "13.1"},
        interrupted=True,
    )

    recording = live.to_dict(header, Masks())

    assert recording == {
        "format": 1,
        "vramline": "0.1.0",
        "taken_at": "2026-01-02T03:04:05Z",
        "took_seconds": 0.457,
        "interrupted": True,
        "platform": "darwin",
        "process": "1",
        "versions": {"nvidia-ml-py": "13.1"},
    }
    again = RecordedMachine.from_dict(recording)
    assert (again.platform, again.process, again.taken_at) == ("darwin", "1", WHEN)
    assert (again.took_seconds, again.version_of("nvidia-ml-py")) == (0.457, "13.1")


def test_each_kind_of_question_is_written_as_a_person_would() -> None:
    live = CapturingMachine(
        machine(
            files={
                "/text": "x\n",
                "/bytes": {"base64": "gAE="},
                "/sys/folder/file": "",
                "/link": {"symlink": "text"},
                "/busy": {"errno": "EBUSY"},
            },
            openable={"/dev/nvidia0": False},
            programs={"ioreg -r": "out"},
            users={"7": "gpu"},
        )
    )
    for path in ("/text", "/busy", "/none", "/sys/folder"):
        outcome(lambda path=path: live.read(path))  # type: ignore[misc]
    live.read_bytes("/bytes")
    live.list("/sys/folder")
    live.readlink("/link")
    live.may_open("/dev/nvidia0")
    live.run(["/usr/sbin/ioreg", "-r"], timeout_seconds=1)
    live.which("ioreg")
    live.user_name(7)

    recording = written(live)

    assert recording["files"] == {
        "/busy": {"errno": "EBUSY"},
        "/bytes": {"base64": "gAE="},
        "/sys/folder": {"dir": ["file"]},
        "/link": {"symlink": "text"},
        "/text": "x\n",
    }
    assert recording["openable"] == {"/dev/nvidia0": False}
    assert recording["programs"] == {"ioreg -r": "out"}
    assert recording["which"] == {"ioreg": "ioreg"}
    assert recording["users"] == {"7": "gpu"}
    assert "times" not in recording


def test_answers_that_change_are_in_turn_and_others_are_held_once() -> None:
    live = CapturingMachine(machine(files={"/energy": {"in_turn": ["1", "1", "2"]}, "/still": "7"}))
    for _ in range(3):
        live.read("/energy")
        live.read("/still")

    recording = written(live)

    assert recording["files"] == {
        "/energy": {"in_turn": ["1", "2"], "at": [[0.1, 0.3], 0.5]},
        "/still": "7",
    }
    assert recording["times"] == {"files": {"/still": {"MainThread": [0.2, 0.4, 0.6]}}}


def test_a_file_that_appears_is_not_there_at_first() -> None:
    live = CapturingMachine(machine(files={"/a": {"in_turn": [{"errno": "ENOENT"}, "x"]}}))
    captured = [outcome(lambda: live.read("/a")) for _ in range(2)]

    replay = RecordedMachine.from_dict(written(live))

    assert [outcome(lambda: replay.read("/a")) for _ in range(2)] == captured


def test_two_looks_are_as_far_apart_in_a_replay_as_they_were() -> None:
    live = CapturingMachine(machine(files={"/energy": {"in_turn": ["1", "1", "5"]}}))

    def looks(on: Machine) -> list[tuple[str, float]]:
        return [(on.read("/energy"), on.clock()) for _ in range(3)]

    captured = looks(live)
    replay = RecordedMachine.from_dict(written(live), clock=lambda: 0.0)

    assert looks(replay) == captured
    assert [at for _, at in captured] == pytest.approx([0.1, 0.2, 0.3])


def test_threads_that_were_told_different_things_are_told_apart() -> None:
    live = CapturingMachine(machine(files={"/a": {"in_turn": ["1", "2", "3"]}, "/b": "same"}))

    def on_thread(name: str, ask: Callable[[], object]) -> None:
        thread = threading.Thread(target=ask, name=name)
        thread.start()
        thread.join()

    live.read("/a")
    live.read("/b")
    on_thread("vramline amd", lambda: (live.read("/a"), live.read("/b")))
    live.read("/a")

    recording = written(live)

    assert recording["files"]["/a"] == {
        "asked_by": {"MainThread": {"in_turn": ["1", "3"], "at": [0.1, 0.5]}, "vramline amd": "2"}
    }
    assert recording["times"]["files"] == {
        "/a": {"vramline amd": [0.3]},
        "/b": {"MainThread": [0.2], "vramline amd": [0.4]},
    }
    replay = RecordedMachine.from_dict(recording)
    assert [replay.read("/a"), replay.read("/a")] == ["1", "3"]


def test_a_call_that_hangs_holds_up_nobody_and_is_said_to_hang() -> None:
    begun, release = threading.Event(), threading.Event()

    class Stuck(RecordedMachine):
        def read(self, path: str) -> str:
            if path == "/stuck":
                begun.set()
                release.wait(60)
            return super().read(path)

    live = CapturingMachine(Stuck({"/stuck": "", "/other": "x"}))
    thread = threading.Thread(target=lambda: live.read("/stuck"), name="vramline amd")
    thread.start()
    begun.wait(60)
    live.read("/other")

    recording = written(live)
    release.set()
    thread.join()

    assert recording["files"] == {"/other": "x", "/stuck": {"hangs": True}}
    assert written(live)["files"]["/stuck"] == ""


def test_an_interrupted_question_hangs() -> None:
    class Interrupted(RecordedMachine):
        def read(self, path: str) -> str:
            if path == "/stuck":
                raise KeyboardInterrupt
            return super().read(path)

    live = CapturingMachine(Interrupted({}))
    with pytest.raises(KeyboardInterrupt):
        live.read("/stuck")

    assert written(live)["files"] == {"/stuck": {"hangs": True}}


def test_any_number_of_threads_may_ask_while_it_is_written() -> None:
    live = CapturingMachine(RecordedMachine({f"/{number}": "x" for number in range(500)}))
    threads = [
        threading.Thread(target=lambda: [live.read(f"/{number}") for number in range(500)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        RecordedMachine.from_dict(written(live))
    for thread in threads:
        thread.join()

    assert len(written(live)["files"]) == 500


def test_a_host_is_read_from_its_replay_as_from_itself() -> None:
    for name in ("container_v2", "docker_v1", "memory_high_v2", "kernel_2_6"):
        live = CapturingMachine(recorded(f"host/{name}"))
        reader = HostReader(live)
        captured = [reader.read(), reader.read()]

        replayed = HostReader(RecordedMachine.from_dict(written(live), clock=lambda: 0.0))

        assert [replayed.read(), replayed.read()] == captured


def test_a_path_may_be_a_link_and_more() -> None:
    files = {"/sys/device": {"dir": ["x"]}, "/sys/other": "text"}
    live = CapturingMachine(
        machine(files=files, links={"/sys/device": "pci", "/sys/other": "file"})
    )
    for path in files:
        live.readlink(path)
        outcome(lambda path=path: live.list(path))  # type: ignore[misc]
        outcome(lambda path=path: live.read(path))  # type: ignore[misc]

    recording = written(live)

    assert (recording["files"], recording["links"]) == (
        files,
        {"/sys/device": "pci", "/sys/other": "file"},
    )


def test_a_command_line_is_its_programs_name() -> None:
    files = {
        "/proc/7/cmdline": f"{HOME}/al/venv/bin/python3\0train.py\0--token=abc\0",
        "/proc/8/cmdline": "",
        "/proc/9/cmdline": "postgres: al secrets [local]",
        "/proc/9/environ": "TOKEN=abc\0",
        "/proc/self/mountinfo": (
            "25 20 0:22 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
            "26 20 0:23 / /media/al rw - nfs server.example:/al rw\n"
        ),
        "/proc/7/fd/3": {"symlink": "/papers/letter.txt"},
        "/proc/7/fd/4": {"symlink": "/dev/dri/renderD128"},
        "/proc/7/fd/5": {"symlink": "/dev/shm/als letter"},
        "/proc/7/exe": {"symlink": f"{HOME}/al/secret/python3"},
        "/proc/11/cmdline": "/opt/browser --type=renderer --file=/papers/letter",
    }
    live = CapturingMachine(machine(files=files))
    for path, entry in files.items():
        (live.read if isinstance(entry, str) else live.readlink)(path)

    assert written(live)["files"] == {
        "/proc/11/cmdline": "browser\0",
        "/proc/7/cmdline": "python3\0(masked)\0",
        "/proc/7/exe": {"symlink": "python3"},
        "/proc/7/fd/4": {"symlink": "/dev/dri/renderD128"},
        "/proc/8/cmdline": "",
        "/proc/9/cmdline": "postgres:\0",
        "/proc/9/environ": "",
        "/proc/self/mountinfo": "25 20 0:22 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
    }


def test_of_the_kernels_options_only_those_of_gpus_have_their_values() -> None:
    options = 'root=PARTUUID=1234abcd-02 ro "a b=c d" nomodeset amdgpu.dc=0 pci=nommconf\n'
    more = "rd.driver.blacklist=nouveau nvidia-drm.modeset=1 iommu=pt token=hunter2\n"
    live = CapturingMachine(machine(files={"/proc/cmdline": options + more}))
    live.read("/proc/cmdline")

    assert written(live)["files"]["/proc/cmdline"] == (
        'root=(masked) ro "a b=(masked) nomodeset amdgpu.dc=0 pci=nommconf '
        "rd.driver.blacklist=nouveau nvidia-drm.modeset=1 iommu=pt token=(masked)\n"
    )


def test_a_name_is_known_from_what_is_left_out() -> None:
    files = {"/proc/7/cmdline": f"{HOME}/zoe/train\0", "/proc/7/cgroup": "0::/app-zoe.scope\n"}
    live = CapturingMachine(machine(files=files))
    for path in files:
        live.read(path)

    assert written(live)["files"] == {
        "/proc/7/cgroup": "0::/app-user1.scope\n",
        "/proc/7/cmdline": "train\0",
    }


PCI_IDS = """\
#
1002  Advanced Micro Devices, Inc. [AMD/ATI]
\t744c  Navi 31 [Radeon RX 7900 XT/7900 XTX]
\t\t1002 0e3b  Radeon RX 7900 XTX
\t\t1849 5304  another board
\t7480  Navi 33
\t\t1002 0e3b  a board of a card that is not here
10de  NVIDIA Corporation
\t744c  of another vendor
C 03  Display controller
"""


def test_a_list_of_ids_is_cut_down_to_those_of_the_machine() -> None:
    files = {
        "/usr/share/misc/pci.ids": PCI_IDS,
        "/sys/class/drm/card0/device/uevent": "PCI_ID=1002:744C\nPCI_SUBSYS_ID=1002:0E3B\n",
    }
    live = CapturingMachine(machine(files=files))
    for path in files:
        live.read(path)

    recording = written(live)

    kept = recording["files"]["/usr/share/misc/pci.ids"]
    assert kept.splitlines() == PCI_IDS.splitlines()[1:4]
    assert recording["trimmed"] == {
        "/usr/share/misc/pci.ids": (
            f"the lines of this machine's ids, {len(kept)} of {len(PCI_IDS)} characters"
        )
    }


def test_what_is_too_long_is_cut_off_and_said_to_be() -> None:
    files = {"/long": "x" * (LONGEST + 5)}
    live = CapturingMachine(machine(files=files, programs={"dmesg": "y" * (LONGEST + 6)}))
    live.read("/long")
    live.run(["dmesg"], timeout_seconds=1)

    recording = written(live)

    assert len(recording["files"]["/long"]) == len(recording["programs"]["dmesg"]) == LONGEST
    assert recording["trimmed"] == {
        "/long": f"the first {LONGEST} of {LONGEST + 5}",
        "dmesg": f"the first {LONGEST} of {LONGEST + 6}",
    }


def test_of_a_folder_only_names_that_are_looked_for_are_kept() -> None:
    names = ["diary.txt", "libggml-cuda.so", "libnvidia-ml.so.580.65", "x86_64-linux-gnu"]
    files = {f"{HOME}/zoe/bin": {"dir": names}, "/sys/class": {"dir": ["drm", "net"]}}
    live = CapturingMachine(machine(files=files))
    for path in files:
        live.list(path)

    assert written(live)["files"] == {
        f"{HOME}/user1/bin": {"dir": names[1:]},
        "/sys/class": {"dir": ["drm", "net"]},
    }


def test_of_a_program_only_the_libraries_that_it_names_are_kept() -> None:
    content = b"\x7fELF\xff\0secret\0libcuda.so.1\0/x/libggml-base.so\0nvcuda.dll\0it.sofa\0"
    path = "/opt/llama-server"
    entry = {"base64": base64.b64encode(content).decode()}
    live = CapturingMachine(machine(files={path: entry}))
    live.read_bytes(path)

    recording = written(live)

    kept = RecordedMachine.from_dict(recording).read_bytes(path)
    assert kept == b"\x7fELF\0libcuda.so\0libggml-base.so\0nvcuda.dll"
    assert recording["trimmed"] == {path: "the names of libraries in it"}


def test_of_a_runners_own_files_only_what_is_looked_for_is_kept() -> None:
    path = "/opt/.lmstudio/.internal/http-server-config.json"
    live = CapturingMachine(machine(files={path: '{"port": 1235, "token": "abc"}'}))
    live.read(path)

    assert written(live)["files"] == {path: '{"port": 1235}'}


def test_of_a_command_the_port_of_a_server_is_kept() -> None:
    words = [f"{HOME}/zoe/llama-server", "--api-key", "abc", "--port", "8081", "-m", "/zoe.gguf"]
    live = CapturingMachine(machine(files={"/proc/7/cmdline": "\0".join([*words, ""])}))
    live.read("/proc/7/cmdline")

    assert written(live)["files"] == {"/proc/7/cmdline": "llama-server\0(masked)\0--port\x008081\0"}


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("HOME", f"{HOME}/zoe", f"{HOME}/user1"),
        ("OLLAMA_HOST", "0.0.0.0:11435", "0.0.0.0:11435"),
        ("OLLAMA_HOST", "http://gpu.example.org", "(set)"),
        ("PATH", f"{HOME}/zoe/bin", "(set)"),
    ],
)
def test_of_the_environment_only_where_to_look_is_kept(name: str, value: str, kept: str) -> None:
    live = CapturingMachine(machine(environ={name: value}))

    assert live.environ[name] == value
    assert written(live)["environ"] == {name: kept}


def test_what_is_short_stands_on_one_line() -> None:
    recording = {"format": 1, "files": {"/a": "b", "/c": {"in_turn": ["d" * 80, "e"]}}, "x": {}}

    assert to_text(recording) == (
        '{\n  "format": 1,\n  "files": {\n    "/a": "b",\n    "/c": {\n      "in_turn": ["'
        + "d" * 80
        + '", "e"]\n    }\n  },\n  "x": {}\n}\n'
    )


names = st.sampled_from(["a", "b", "card0", "drm", "none"])
paths = st.lists(names, min_size=1, max_size=3).map(lambda parts: "/sys/" + "/".join(parts))
answers = (
    st.text(max_size=8)
    | st.binary(max_size=8).map(lambda data: {"base64": base64.b64encode(data).decode()})
    | st.sampled_from([{"errno": "EBUSY"}, {"errno": "EACCES"}])
    | st.lists(names, max_size=3, unique=True).map(lambda listed: {"dir": listed})
)
entries = answers | st.lists(answers, min_size=1, max_size=3).map(lambda rows: {"in_turn": rows})
links = st.lists(names, min_size=1, max_size=2).map("/".join)
KINDS = ("read", "read_bytes", "list", "readlink", "may_open")


@PATIENT
@given(
    st.dictionaries(paths, entries, max_size=5),
    st.dictionaries(paths, links, max_size=2),
    st.lists(st.tuples(st.sampled_from(KINDS[:1] + KINDS[2:]), paths), max_size=12),
)
def test_the_same_questions_get_the_same_answers(
    files: dict[str, Any], symlinks: dict[str, str], questions: list[tuple[str, str]]
) -> None:
    # A path that is a file now and a folder then is told by what it was asked for last.
    kinds: dict[str, set[str]] = {}
    for kind, path in questions:
        kinds.setdefault(path, set()).add("list" if kind == "list" else "read")
    questions = [(kind, path) for kind, path in questions if len(kinds[path]) == 1]
    live = CapturingMachine(machine(files=files, links=symlinks))

    def ask(on: Machine) -> list[Any]:
        return [outcome(lambda k=k, p=p: getattr(on, k)(p)) for k, p in questions]  # type: ignore[misc]

    captured = ask(live)

    assert ask(RecordedMachine.from_dict(written(live))) == captured


def test_what_no_file_can_be_called_is_refused_alike() -> None:
    live = CapturingMachine(machine(files={}))
    with suppress(ValueError):
        live.read("/a\0b")

    with pytest.raises(ValueError, match="null byte"):
        RecordedMachine.from_dict(written(live)).read("/a\0b")
