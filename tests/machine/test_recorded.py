import base64
import errno
import subprocess
import sys
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from tests.machines import entries_of, recorded
from vramline.machine import RecordedMachine


def test_a_recording_starts_no_program_and_has_its_own_libraries_only() -> None:
    machine = RecordedMachine({}, libraries={"pynvml": ModuleType("pynvml")})

    with pytest.raises(FileNotFoundError):
        machine.which("python3")
    with pytest.raises(FileNotFoundError):
        machine.run([sys.executable], timeout_seconds=60)
    assert [machine.has_library(name) for name in ("pynvml", "json")] == [True, False]


def test_a_recorded_machine_answers_from_its_entries_alone() -> None:
    machine = RecordedMachine(
        {
            "/sys/card/vendor": "0x10de\n",
            "/sys/card/firmware": {"base64": "AAEC"},
            "/sys/card/busy": {"errno": "EBUSY"},
            "/sys/card/empty": {"dir": []},
            "/sys/class/card0": {"symlink": "../card"},
            "/sys/loop": {"symlink": "loop"},
        }
    )

    assert machine.read("/sys/class/card0/vendor") == "0x10de\n"
    assert machine.read("/sys/card/firmware") == "\x00\x01\x02"
    assert machine.list("/sys/class/card0") == ["busy", "empty", "firmware", "vendor"]
    assert machine.list("/sys/card/empty") == []
    assert machine.readlink("/sys/class/card0") == "../card"
    assert machine.may_open("/sys/card/vendor")


@pytest.mark.parametrize(
    ("path", "number"),
    [
        ("/sys/card/busy", errno.EBUSY),
        ("/sys/card", errno.EISDIR),
        ("/sys/card/nothing", errno.ENOENT),
        ("/sys/loop", errno.ENOENT),
    ],
)
def test_what_a_recorded_machine_does_not_hold_is_the_error_that_it_was(
    path: str, number: int
) -> None:
    machine = RecordedMachine(
        {"/sys/card/busy": {"errno": "EBUSY"}, "/sys/loop": {"symlink": "loop"}}
    )

    with pytest.raises(OSError, match=path) as raised:
        machine.read(path)

    assert raised.value.errno == number


def in_thread(name: str, ask: Callable[[], Any]) -> Any:
    """Return what *ask* returns on a thread of that name."""
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(ask()), name=name)
    thread.start()
    thread.join()
    return answers[0]


def machine(**sections: Any) -> RecordedMachine:
    return RecordedMachine.from_dict({"format": 1, **sections}, clock=lambda: 100.0)


def test_a_machine_may_be_written_with_its_files_alone() -> None:
    minimal = machine(files={"/proc/meminfo": "MemTotal: 1 kB\n"})

    assert minimal.read("/proc/meminfo") == "MemTotal: 1 kB\n"
    assert (minimal.platform, minimal.process, minimal.taken_at) == ("linux", "self", None)
    assert dict(minimal.environ) == {}


def test_answers_come_in_their_order_and_the_last_for_ever() -> None:
    energy = machine(files={"/energy": {"in_turn": ["1", "2"], "at": [0.5, 0.75]}})

    looks = [(energy.read("/energy"), energy.clock()) for _ in range(3)]

    assert looks == [("1", 0.5), ("2", 0.75), ("2", 0.75)]


def test_an_answer_that_did_not_change_was_given_several_times() -> None:
    still = machine(
        files={"/a": "1", "/b": {"in_turn": ["1", "2"], "at": [[0.1, 0.2], 0.3]}},
        times={"files": {"/a": [0.5, 0.75]}},
    )

    assert [(still.read("/a"), still.clock()) for _ in range(3)] == [
        ("1", 0.5),
        ("1", 0.75),
        ("1", 0.75),
    ]
    assert [(still.read("/b"), still.clock()) for _ in range(3)] == [
        ("1", 0.1),
        ("1", 0.2),
        ("2", 0.3),
    ]


def test_where_no_time_was_recorded_the_clock_is_asked() -> None:
    undated = machine(files={"/a": "1", "/b": {"in_turn": ["1", "2"]}})

    undated.read("/a")
    undated.read("/b")

    assert undated.clock() == 100.0


def test_an_answer_without_a_time_leaves_the_clock_where_it_is() -> None:
    mixed = machine(files={"/a": {"in_turn": ["1", "2"], "at": [0.5, 0.75]}, "/b": "1"})

    mixed.read("/a")
    mixed.read("/b")

    assert mixed.clock() == 0.5


def test_each_thread_that_asked_has_its_own_answers_and_its_own_time() -> None:
    both = machine(
        files={
            "/a": {
                "asked_by": {
                    "MainThread": {"in_turn": ["1", "3"], "at": [0.1, 0.3]},
                    "vramline amd": {"in_turn": ["2", "4"], "at": [0.2, 0.4]},
                }
            }
        }
    )

    def look() -> tuple[str, float]:
        return both.read("/a"), both.clock()

    assert in_thread("vramline amd", look) == ("2", 0.2)
    assert look() == ("1", 0.1)
    assert in_thread("vramline amd", look) == ("4", 0.4)
    assert look() == ("3", 0.3)


def test_threads_that_are_not_named_go_through_the_longest_row_together() -> None:
    rows = {"vramline amd": "0", "vramline intel": {"in_turn": ["1", "2"]}}
    both = machine(files={"/a": {"asked_by": rows}})

    assert in_thread("Thread-1", lambda: both.read("/a")) == "1"
    assert in_thread("Thread-2", lambda: both.read("/a")) == "2"


def test_a_folder_has_exactly_the_names_that_were_listed() -> None:
    folder = machine(
        files={
            "/a": {"dir": ["y", "x"]},
            "/a/z": "hidden",
            "/b": {"dir": True},
            "/b/c": "",
            "/e/in/turn": "",
            "/d": {"in_turn": [{"dir": []}, {"dir": ["new"]}]},
            "/file": "",
        }
    )

    assert folder.list("/a") == ["x", "y"]
    assert folder.read("/a/z") == "hidden"
    assert [folder.list("/b"), folder.list("/e"), folder.list("/")] == [
        ["c"],
        ["in"],
        ["a", "b", "d", "e", "file"],
    ]
    assert [folder.list("/d"), folder.list("/d")] == [[], ["new"]]
    for path, number in (("/file", errno.ENOTDIR), ("/none", errno.ENOENT)):
        with pytest.raises(OSError, match=path) as raised:
            folder.list(path)
        assert raised.value.errno == number


def test_what_was_asked_by_a_name_is_there_and_else_links_are_followed() -> None:
    linked = machine(
        files={
            "/sys/card0": {"dir": ["device"]},
            "/sys/card0/device/vendor": "by this name",
            "/sys/card0/device/driver": {"symlink": "../../drivers/amdgpu"},
            "/sys/devices/x/class": "by the other",
        },
        links={"/sys/card0/device": "../devices/x"},
    )

    assert linked.list("/sys/card0") == ["device"]
    assert linked.readlink("/sys/card0/device") == "../devices/x"
    assert linked.readlink("/sys/card0/device/driver") == "../../drivers/amdgpu"
    assert linked.read("/sys/card0/device/vendor") == "by this name"
    assert linked.read("/sys/card0/device/class") == "by the other"
    for path, number in (("/sys/card0/device/vendor", errno.EINVAL), ("/no", errno.ENOENT)):
        with pytest.raises(OSError, match=path) as raised:
            linked.readlink(path)
        assert raised.value.errno == number


def test_who_may_open_a_file_is_told_or_follows_from_reading_it() -> None:
    devices = machine(
        files={"/b": "", "/c": {"errno": "EACCES"}, "/d": {"errno": "EBUSY"}, "/e/f": ""},
        openable={"/dev/nvidia0": True, "/dev/nvidia1": False, "/b": False},
    )
    paths = ("/dev/nvidia0", "/dev/nvidia1", "/b", "/c", "/d", "/e")

    assert [devices.may_open(path) for path in paths] == [True, False, False, False, True, True]
    with pytest.raises(FileNotFoundError):
        devices.may_open("/none")


def test_an_ioctl_has_the_answer_that_it_had() -> None:
    def text(data: bytes) -> str:
        return base64.b64encode(data).decode()

    question = f"0xc0106440 {text(b'ask')} 0>8"
    gpu = machine(ioctls={"/dev/dri/renderD128": {question: {"base64": text(b"answer")}}})

    assert gpu.ioctl("/dev/dri/renderD128", 0xC0106440, b"ask", {0: 8}) == b"answer"
    for path, request, number in (
        ("/dev/dri/renderD128", 1, errno.ENOTTY),
        ("/dev/dri/renderD129", 0xC0106440, errno.ENOENT),
    ):
        with pytest.raises(OSError, match="renderD") as raised:
            gpu.ioctl(path, request, b"ask", {0: 8})
        assert raised.value.errno == number


def test_programs_answer_and_fail_as_they_did() -> None:
    mac = machine(
        programs={
            "ioreg -r -w 0": "text",
            "xe-smi": {"exit": 9, "output": "half", "errors": "no device"},
            "hangs-smi": {"timeout_seconds": 5},
            "gone": {"errno": "ENOENT"},
            "python -P vramline/readers/child.py vramline": "{}",
        },
        which={"ioreg": "/usr/sbin/ioreg"},
    )

    assert (mac.which("ioreg"), mac.which("xe-smi")) == ("/usr/sbin/ioreg", "xe-smi")
    assert mac.run(["/usr/sbin/ioreg", "-r", "-w", "0"], timeout_seconds=1) == "text"
    with pytest.raises(subprocess.CalledProcessError) as raised:
        mac.run(["xe-smi"], timeout_seconds=1)
    assert (raised.value.returncode, raised.value.stdout, raised.value.stderr) == (
        9,
        "half",
        "no device",
    )
    with pytest.raises(subprocess.TimeoutExpired):
        mac.run(["hangs-smi"], timeout_seconds=1)
    for command in (["gone"], ["never-asked"]):
        with pytest.raises(FileNotFoundError):
            mac.run(command, timeout_seconds=1)
    child = "/opt/lib/python3.14/site-packages/vramline/readers/child.py"
    command = ["/opt/bin/python3.14", "-P", child, "/tmp/vramline-k2j_x8"]
    assert mac.run(command, timeout_seconds=1) == "{}"


def test_a_question_that_hung_hangs_but_for_the_thread_that_all_wait_for() -> None:
    stuck = machine(files={"/a": {"hangs": True}})
    thread = threading.Thread(target=lambda: stuck.read("/a"), daemon=True)
    thread.start()

    with pytest.raises(TimeoutError):
        stuck.read("/a")
    assert thread.is_alive()


def test_users_and_versions_are_those_of_the_recording() -> None:
    known = machine(users={"1000": "user1"}, versions={"nvidia-ml-py": "13.1"})

    assert [known.user_name(number) for number in (1000, 0)] == ["user1", "0"]
    assert [known.version_of(name) for name in ("nvidia-ml-py", "pynvml")] == ["13.1", None]


def test_a_name_that_no_file_can_have_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="null byte"):
        machine(files={"/a": ""}).read("/a\0b")


def test_text_that_is_none_is_bytes_all_the_same() -> None:
    assert machine(files={"/a": "\ud800"}).read_bytes("/a") == b"?"


def test_the_tests_machines_can_be_changed() -> None:
    changed = recorded(
        "host/container_v2",
        platform="darwin",
        clock=lambda: 7.0,
        **{"/proc/stat": None, "/new": "x"},
    )

    assert (changed.platform, changed.clock(), changed.read("/new")) == ("darwin", 7.0, "x")
    assert "/proc/stat" in entries_of("host/container_v2")
    with pytest.raises(FileNotFoundError):
        changed.read("/proc/stat")
