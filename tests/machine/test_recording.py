"""What is a recording, and what is not."""

import json
from contextlib import suppress
from subprocess import SubprocessError
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.machine import PATIENT
from vramline.errors import RecordingError, VramlineError
from vramline.machine import RecordedMachine
from vramline.machine.recording import MAX_BYTES, parse

WHOLE: dict[str, Any] = {
    "format": 1,
    "vramline": "0.1.0",
    "taken_at": "2026-01-02T03:04:05Z",
    "took_seconds": 0.4,
    "platform": "linux",
    "process": "1",
    "environ": {"CUDA_VISIBLE_DEVICES": "0"},
    "users": {"1000": "user1"},
    "versions": {"nvidia-ml-py": "13.1"},
    "files": {
        "/text": "text",
        "/bytes": {"base64": "AAEC"},
        "/link": {"symlink": "text"},
        "/folder": {"dir": ["a", "b"]},
        "/busy": {"errno": "EBUSY"},
        "/hangs": {"hangs": True},
        "/turns": {"in_turn": ["1", {"errno": "EIO"}], "at": [0.1, [0.2, 0.3]]},
        "/apart": {"asked_by": {"MainThread": "1", "other": {"in_turn": ["2", "3"]}}},
    },
    "links": {"/folder": "elsewhere"},
    "openable": {"/dev/nvidia0": True, "/dev/nvidia1": {"errno": "EACCES"}},
    "ioctls": {"/dev/dri/renderD128": {"0x1 AAEC": {"base64": "AAED"}}},
    "programs": {
        "ioreg -r": "text",
        "fails": {"exit": 1, "output": "", "errors": "why"},
        "slow": {"timeout_seconds": 5},
    },
    "which": {"ioreg": "/usr/sbin/ioreg"},
    "libraries": {
        "pynvml": {
            "constants": {"NVML_CLOCK_MEM": 2},
            "errors": {"NVMLError": []},
            "lacks": ["nvmlOld"],
            "calls": {
                "nvmlInit()": None,
                "get(0)": {"handle": "pointer"},
                "fail()": {"raises": "NVMLError", "value": 3},
                "all()": [{"tuple": [1]}, {"fields": {"a": 1}}, {"dict": {"b": {"object": {}}}}],
                "rest()": [{"items": [[1, 2]]}, {"float": "nan"}, {"base64": "AAEC"}],
            },
        },
        "psutil": {"missing": "No module named 'psutil'"},
    },
    "times": {
        "files": {"/text": {"MainThread": [0.1, 0.2]}},
        "ioctls": {"/dev/dri/renderD128": {"0x1 AAEC": [0.1]}},
        "libraries": {"pynvml": {"nvmlInit()": [0.5]}},
    },
    "what another version added": {"for": "people"},
}


def paths_in(value: Any, *path: Any) -> list[tuple[Any, ...]]:
    """Return the way to each part of a value."""
    keys = value if isinstance(value, dict) else range(len(value) if isinstance(value, list) else 0)
    return [way for key in keys for way in [(*path, key), *paths_in(value[key], *path, key)]]


_MARKS = """
    in_turn at asked_by base64 dir symlink errno hangs exit raises value fields tuple items dict
    object float timeout_seconds constants errors lacks calls missing
"""
MARKS = _MARKS.split()
PLACES = paths_in(WHOLE)

scraps = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(max_size=5) | st.sampled_from(MARKS),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)


def test_a_whole_recording_is_read() -> None:
    recording = parse(json.dumps(WHOLE))

    assert recording.took_seconds == 0.4
    assert str(recording.taken_at) == "2026-01-02 03:04:05+00:00"
    assert recording.process == "1"
    assert set(recording.files) == set(WHOLE["files"])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_it_may_be_in_any_encoding_that_json_has(encoding: str) -> None:
    text = json.dumps({"format": 1, "files": {"/a": "\N{DEGREE SIGN}"}}, ensure_ascii=False)

    assert RecordedMachine.from_dict(text.encode(encoding)).read("/a") == "\N{DEGREE SIGN}"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is no JSON: Expecting value"),
        (b"\xff\xfe\xff", "it is no JSON: "),
        (b"\0" * 9, "it is no JSON: "),
        (json.dumps(WHOLE)[:-20].encode(), "it is no JSON: "),
        (b"[" * 100_000, "it is no JSON: "),
        (b'{"format": ' + b"9" * 5000 + b"}", "it is no JSON: "),
        (b" " * (MAX_BYTES + 1), "it is longer than any recording, 64 MiB"),
        (b"[1]", "it is JSON, and no recording of a machine"),
        (b"{}", 'it is no recording of a machine: it has no "format": 1'),
        (b'{"format": "1"}', 'it is no recording of a machine: it has no "format": 1'),
        (b'{"format": true}', 'it is no recording of a machine: it has no "format": 1'),
        (b'{"format": 2}', "a newer vramline wrote it: its format is 2, and this one reads 1"),
        (b'{"format": 1, "host": {}, "gpus": []}', "it is what `vramline --json` prints"),
        (b'{"format": 1, "findings": []}', "it is what `vramline doctor --json` prints"),
        (
            b'{"format": 1, "x": ' + b'{"dict": [' * 30 + b"]}" * 30 + b"}",
            "it is nested deeper than any recording",
        ),
        (b'{"format": 1, "files": []}', "files makes no sense: []"),
        (b'{"format": 1, "files": {"/a": 7}}', "files /a makes no sense: 7"),
        (b'{"format": 1, "files": {"/a": {"errno": "-1"}}}', "files /a makes no sense"),
        (b'{"format": 1, "files": {"/a": {"base64": "?"}}}', "files /a makes no sense"),
        (b'{"format": 1, "files": {"/a": {"in_turn": []}}}', "files /a makes no sense"),
        (b'{"format": 1, "platform": 7}', "platform makes no sense: 7"),
        (b'{"format": 1, "took_seconds": NaN}', "took_seconds makes no sense: nan"),
        (b'{"format": 1, "taken_at": "0001-01-01T00:00+23:00"}', "taken_at makes no sense"),
        (b'{"format": 1, "libraries": {"x": {"calls": {"f()": {"float": "x"}}}}}', "f() makes no"),
        (
            b'{"format": 1, "libraries": {"x": {"calls": {"f()": {"fields": {"1": 0}}}}}}',
            "f() makes",
        ),
        (
            b'{"format": 1, "libraries": {"x": {"calls": {"f()": {"?": 1}}}}}',
            "x f() makes no sense",
        ),
    ],
)
def test_what_is_no_recording_is_told_in_one_line(content: bytes, message: str) -> None:
    with pytest.raises(RecordingError) as raised:
        parse(content)

    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 300
    assert isinstance(raised.value, VramlineError)


@PATIENT
@given(st.binary(max_size=200) | st.text(max_size=200))
def test_no_other_exception_comes_of_garbage(content: bytes | str) -> None:
    with suppress(RecordingError):
        parse(content)


@PATIENT
@given(scraps, st.sampled_from(PLACES))
def test_a_recording_with_one_wrong_part_is_refused_or_answers_as_machines_do(
    scrap: Any, place: tuple[Any, ...]
) -> None:
    recording = json.loads(json.dumps(WHOLE))
    inner = recording
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = scrap
    with suppress(RecordingError):
        ask_everything(RecordedMachine.from_dict(json.dumps(recording)))


@PATIENT
@given(st.dictionaries(st.sampled_from([*WHOLE, "x"]), scraps, max_size=4))
def test_a_recording_of_scraps_is_refused_or_answers_as_machines_do(scrap: dict[str, Any]) -> None:
    with suppress(RecordingError):
        ask_everything(RecordedMachine.from_dict({**scrap, "format": 1}))


def ask_everything(machine: RecordedMachine) -> None:
    """Ask all that a machine can be asked, where each question may fail as it does on any."""
    for path in [*WHOLE["files"], *WHOLE["openable"], "/", "/folder/a"]:
        for question in (machine.read, machine.read_bytes, machine.list, machine.readlink):
            with suppress(OSError):
                question(path)
        with suppress(OSError):
            machine.may_open(path)
    for path, number in (("/dev/dri/renderD128", 1), ("/none", 2)):
        with suppress(OSError):
            machine.ioctl(path, number, b"\0\1\2", {})
    for command in WHOLE["programs"]:
        with suppress(OSError):
            machine.which(command.split()[0])
        with suppress(OSError, SubprocessError):
            machine.run(command.split(), timeout_seconds=1)
    assert isinstance(machine.user_name(1000), str)
    assert isinstance(machine.clock(), float | int)
    for name in WHOLE["libraries"]:
        with suppress(ImportError):
            ask_library(machine.library(name))


def ask_library(library: Any) -> None:
    for function, arguments in (("nvmlInit", ()), ("get", (0,)), ("fail", ()), ("all", ())):
        # Whatever exception a recording names is what the library raised.
        with suppress(Exception):
            getattr(library, function)(*arguments)
