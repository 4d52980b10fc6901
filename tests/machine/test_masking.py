"""That no secret gets into a recording, wherever it lies on the machine."""

import base64
import ctypes
import json
from datetime import UTC, datetime
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.machine import PATIENT
from vramline.machine import RecordedMachine
from vramline.machine.capture import CapturingMachine
from vramline.machine.keys import command_key, ioctl_key
from vramline.machine.masking import VOCABULARY, Masks
from vramline.machine.writing import Header, to_text

HOME = "/home"
HEADER = Header(version="0", taken_at=datetime(2026, 1, 2, tzinfo=UTC))
KEY = b"the same in every run"
VARIABLES = ("CUDA_VISIBLE_DEVICES", "PATH", "SOME_VARIABLE")
UUID = "19d6d965-2acc-f646-00f8-4c76979aabb4"


def masked(text: str, masks: Masks | None = None) -> str:
    masks = masks or Masks(key=KEY)
    masks.learn_text(text)
    return masks.text(text)


class Serial(ctypes.Structure):
    _fields_ = (("serialNumber", ctypes.c_char * 64), ("version", ctypes.c_int))


def library_with(secret: str) -> ModuleType:
    def fail() -> None:
        raise RuntimeError(f"no {secret} here")

    module = ModuleType("pynvml")
    answers: dict[str, object] = {
        "PATH": f"/opt/{secret}/lib.so",
        "text": lambda: f"it is {secret}",
        "data": f"\0{secret}\0".encode,
        "echo": lambda _what: None,
        "nested": lambda: [{"key": (secret, {secret: 1})}],
        "struct": lambda: Serial(secret.encode()[:60], 1),
        "plain": lambda: SimpleNamespace(inner=secret),
        "fail": fail,
        "Process": lambda pid: ProcessOf(secret, pid),
    }
    vars(module).update(answers)
    return module


class ProcessOf:
    def __init__(self, secret: str, pid: int) -> None:
        self._secret = secret
        self._pid = pid

    def username(self) -> str:
        return "DOMAIN\\" + self._secret

    def cmdline(self) -> list[str]:
        return ["/usr/bin/python3", "--key", self._secret]

    def cwd(self) -> str:
        return "/papers/" + self._secret


def ask_all(machine: CapturingMachine, secret: str) -> None:
    """Ask what has *secret* in each place in which a recording can have anything."""
    for path in ("/text", "/bytes", "/wide", f"/in/{secret}/path", "/proc/7/cmdline"):
        machine.read(path)
    for path in ("/bytes", "/wide"):
        machine.read_bytes(path)
    machine.list("/names")
    machine.readlink("/link")
    machine.readlink("/proc/7/fd/3")
    machine.run(["tool", f"--for={secret}"], timeout_seconds=1)
    machine.which("tool")
    for name in VARIABLES:
        machine.environ.get(name)
    machine.ioctl("/dev/dri/renderD128", 1, f"\0{secret}\0".encode(), {})
    library: Any = machine.library("pynvml")
    for ask in (library.text, library.data, library.nested, library.struct, library.plain):
        ask()
    library.echo(secret)
    assert library.PATH
    with pytest.raises(RuntimeError):
        library.fail()
    process = library.Process(7)
    for question in (process.username, process.cmdline, process.cwd):
        question()
    with pytest.raises(OSError, match="none"):
        machine.read("/none")


def machine_with(secret: str, environ: dict[str, str], files: dict[str, Any]) -> RecordedMachine:
    def b64(data: bytes) -> dict[str, str]:
        return {"base64": base64.b64encode(data).decode()}

    question = f"\0{secret}\0".encode()
    files = {
        "/text": f"a line\n{secret}: and more, {secret}\n",
        "/bytes": b64(b"\xff\xfe" + f" {secret} ".encode() + b"\x80"),
        "/wide": b64(b"\x01\x80" + f" {secret} ".encode("utf-16-le") + b"\x80"),
        f"/in/{secret}/path": "x",
        "/proc/7/cmdline": f"/opt/{secret}/python\0--password={secret}\0",
        "/names": {"dir": [f"card-{secret}", secret]},
        "/link": {"symlink": f"../{secret}/target"},
        "/proc/7/fd/3": {"symlink": f"/papers/{secret}.txt"},
        **files,
    }
    recording = {
        "format": 1,
        "files": files,
        "environ": {**environ, **dict.fromkeys(VARIABLES, secret)},
        "programs": {command_key(["tool", f"--for={secret}"]): f"output\n\t{secret}\n"},
        "which": {"tool": f"/opt/{secret}/bin/tool"},
        "users": {"1000": secret},
        "ioctls": {"/dev/dri/renderD128": {ioctl_key(1, question, {}): b64(b"\0" + question)}},
    }
    libraries = {"pynvml": library_with(secret)}
    return RecordedMachine.from_dict(recording, libraries=libraries)


def recording_with(secret: str, environ: dict[str, str], files: dict[str, Any]) -> str:
    machine = CapturingMachine(machine_with(secret, environ, files))
    ask_all(machine, secret)
    for path in files:
        machine.read(path)
    return to_text(machine.to_dict(HEADER, Masks()))


def assert_nowhere(secret: str, recording: str) -> None:
    """Look for the secret in the text, in what its escapes mean, and in all that is encoded."""
    texts = [recording, *strings_in(json.loads(recording))]
    for found in strings_in(json.loads(recording)):
        for word in found.split():
            try:
                data = base64.b64decode(word, validate=True)
            except ValueError:
                continue
            texts += [data.decode("latin-1"), data.decode("utf-8", "replace")]
            texts += [data[start:].decode("utf-16-le", "replace") for start in (0, 1)]
    for text in (each.replace("\0", "") for each in texts):
        assert secret.casefold() not in text.casefold()


def strings_in(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for each in [*value, *value.values()] for text in strings_in(each)]
    if isinstance(value, list):
        return [text for each in value for text in strings_in(each)]
    return [value] if isinstance(value, str) else []


def hexadecimal(length: int) -> st.SearchStrategy[str]:
    digits = st.text("0123456789abcdef", min_size=length, max_size=length)
    return digits.filter(lambda text: len(set(text)) > 3)


uuids = hexadecimal(32).map(lambda d: f"{d[:8]}-{d[8:12]}-{d[12:16]}-{d[16:20]}-{d[20:]}")
people = st.from_regex(r"[b-y][bcdfghjkmpqvwxz]{3,9}[0-9]{0,2}", fullmatch=True).filter(
    lambda name: name not in VOCABULARY
)
serials = st.from_regex(r"[0-9A-Z]{5}[0-9]{3}[A-Z]{2,6}", fullmatch=True)


@PATIENT
@given(
    uuids
    | uuids.map("GPU-{}".format)
    | uuids.map("MIG-{}".format)
    | uuids.map(str.upper)
    | uuids.map(lambda uuid: uuid.replace("-", "_"))
    | uuids.map(lambda uuid: uuid.replace("-", ""))
    | hexadecimal(64)
    | hexadecimal(12).map(lambda d: ":".join(d[i : i + 2] for i in range(0, 12, 2)))
)
def test_an_id_is_nowhere_in_the_recording(secret: str) -> None:
    assert_nowhere(secret, recording_with(secret, {}, {}))


@PATIENT
@given(
    st.ip_addresses().filter(lambda address: address.is_global or address.is_private).map(str),
    st.sampled_from(["sshd@3-{}:22-x.service", "via {}.", "http://{}:80/", "[{}]", "{}%eth0 "]),
)
def test_an_address_is_nowhere_in_the_recording(address: str, told: str) -> None:
    assume(len(set(address) - set(".:")) > 1 and len(address) > 6 and not address.startswith("::"))
    files = {"/proc/7/cgroup": f"0::/{told.format(address)}\n"}
    live = CapturingMachine(RecordedMachine(files))
    live.read("/proc/7/cgroup")

    recording = to_text(live.to_dict(HEADER, Masks()))

    assert_nowhere(address, recording)


@PATIENT
@given(people, st.sampled_from(["USER", "LOGNAME", "HOSTNAME", "COMPUTERNAME"]))
def test_a_name_in_the_environment_is_nowhere_in_the_recording(name: str, variable: str) -> None:
    assert_nowhere(name, recording_with(name, {variable: name.upper()}, {}))


@PATIENT
@given(
    people,
    st.sampled_from(
        ["/home/{}/bin", "in '/Users/{}'", "C:\\Users\\{}\\bin", "/run/media/{}/disk", "a /home/{}"]
    ),
)
def test_a_name_that_a_path_tells_is_nowhere_in_the_recording(name: str, path: str) -> None:
    assert_nowhere(name, recording_with(name, {}, {"/told": path.format(name)}))


@PATIENT
@given(
    serials,
    st.sampled_from(
        [
            '  | "IOPlatformSerialNumber" = "{}"\n',
            "    Serial Number                         : {}\n",
            "<serial>{}</serial>",
            '{{"serial_number": "{}"}}',
            '"serial-number" = <{}>',
        ]
    ),
)
def test_a_serial_number_is_nowhere_in_the_recording(serial: str, told: str) -> None:
    assert_nowhere(serial, recording_with(serial, {}, {"/told": told.format(serial)}))


@PATIENT
@given(serials | hexadecimal(16).filter(lambda text: not text.isalpha()))
def test_what_a_file_of_such_a_name_holds_is_nowhere_in_the_recording(secret: str) -> None:
    files = {"/sys/class/drm/card0/device/unique_id": f"{secret}\n"}

    assert_nowhere(secret, recording_with(secret, {}, files))


@PATIENT
@given(people)
def test_a_user_of_a_process_is_nowhere_in_the_recording(name: str) -> None:
    live = CapturingMachine(machine_with(name, {}, {}))
    live.user_name(1000)
    ask_all(live, name)

    recording = to_text(live.to_dict(HEADER, Masks()))

    assert_nowhere(name, recording)
    assert json.loads(recording)["users"]["1000"].startswith("user")


@pytest.mark.parametrize("name", ["Jos\xe9", "\u0436enya", "o'brien", "anne-marie", "dot.ted"])
def test_a_name_of_any_letters_is_nowhere_in_the_recording(name: str) -> None:
    files = {"/told": f"/home/{name.lower()}/x machine-qemu\\x2d1\\x2d{name}.scope"}

    assert_nowhere(name, recording_with(name, {"USER": name}, files))


@pytest.mark.parametrize("name", ["max", "memory", "nvidia", "al", "proc", "process", "Process"])
def test_somebody_called_like_a_part_of_the_machine_is_masked_where_a_name_stands(
    name: str,
) -> None:
    masks = Masks(key=KEY)
    masks.learn_surroundings({"USER": name})
    path = f"/sys/fs/cgroup/{name}/memory.max {HOME}/{name}/x"

    assert masks.text(path) == f"/sys/fs/cgroup/{name}/memory.max {HOME}/user1/x"


def test_a_name_that_is_no_text_is_masked_in_bytes_too() -> None:
    name = "an\udce9mone"  # as Python has a byte that is no UTF-8
    masks = Masks(key=KEY)
    masks.learn_surroundings({"USER": name})

    assert masks.text(f"/x/{name}/y") == "/x/user1/y"
    assert masks.data(b" an\xe9mone ") == b" user1__ "


def test_what_every_machine_has_is_kept() -> None:
    text = (
        "root nobody localhost /home/linuxbrew /Users/Shared 00000000-0000-0000-0000-000000000000"
    )
    masks = Masks(key=KEY)
    masks.learn_surroundings({"USER": "root", "HOSTNAME": "localhost"}, "localhost")

    assert masked(text, masks) == text
    assert masks.told() == {}


@pytest.mark.parametrize(
    "text",
    [
        "0000:03:00.0 580.65.06 0x1002 1002:744c SigBlk: 0000000000000000",
        'serial: disabled; Serial Number : N/A; "serial": null',
        "Cpus_allowed: ffffffff,ffffffff",
        "uptime 12:34:56, 8:0, a1:b2",
        "nvmlDeviceGetHandleByIndex(0)",
        "2.6.32.61\n",
        "5.15.167.4-microsoft-standard-WSL2 90.02.2E.00.0C 32.0.15.6094 1.2.3.4.5 127.0.0.1",
        "0::/ std::bad_alloc 12:name=::",
    ],
)
def test_what_tells_nothing_is_kept(text: str) -> None:
    assert masked(text) == text


def test_the_same_is_masked_alike_everywhere_and_keeps_its_shape() -> None:
    whole = masked(f"GPU-{UUID}")
    digits = UUID.replace("-", "")

    assert whole.startswith("GPU-")
    assert [len(part) for part in whole.split("-")] == [3, 8, 4, 4, 4, 12]
    assert not any(a == b for a, b in zip(whole[4:], UUID, strict=True) if a != "-")
    assert masked(f"MIG-GPU-{UUID}/1/0") == f"MIG-{whole}/1/0"
    assert masked(UUID.upper()) == whole[4:].upper()
    assert masked(UUID.replace("-", "_")) == whole[4:].replace("-", "_")
    assert masked(digits) == whole[4:].replace("-", "")
    assert Masks(key=b"another").text(UUID) != whole[4:]


@pytest.mark.parametrize(
    "told",
    [
        "<key>IOPlatformSerialNumber</key>\n\t<string>{}</string>",
        "<key>serial-number</key>\n\t<data>\n\t{}==\n\t</data>",
        "Serial No. : {}",
        "S/N: {}",
    ],
)
def test_a_serial_number_is_known_by_what_stands_before_it(told: str) -> None:
    hidden = masked(told.format("C02XG1ZYJGH5"))

    assert len(hidden) == len(told.format("C02XG1ZYJGH5"))
    assert "C02XG1ZYJGH5" not in hidden


@pytest.mark.parametrize("pod", [UUID, UUID.replace("-", "_"), UUID.replace("-", "")])
def test_the_id_of_a_pod_is_masked(pod: str) -> None:
    assert masked(f"kubepods-pod{pod}.slice") == f"kubepods-pod{masked(pod)}.slice"
    assert masked(pod) != pod


def test_a_digit_has_no_mask_of_its_own() -> None:
    masks = {mask for digit, mask in zip(UUID, masked(UUID), strict=True) if digit == "6"}

    assert len(masks) > 1


def test_a_part_of_an_id_becomes_the_part_of_its_mask() -> None:
    masks = Masks(key=KEY)
    whole = masks.text(f"GPU-{UUID}")

    assert masks.text("GPU-19d6d965,GPU-19d6d965-2a,0", selects=True) == (
        f"{whole[:12]},{whole[:15]},0"
    )
    assert masks.text(f"GPU-{UUID}", selects=True) == whole
    assert masks.text("GPU-19d6d965") == "GPU-19d6d965"


def test_what_selects_gpus_selects_the_same_ones_in_a_replay() -> None:
    environ = {"CUDA_VISIBLE_DEVICES": "GPU-19d6d9"}
    live = CapturingMachine(RecordedMachine({"/uuid": f"GPU-{UUID}\n"}, environ=environ))
    assert live.read("/uuid").startswith(live.environ["CUDA_VISIBLE_DEVICES"])

    replay = RecordedMachine.from_dict(live.to_dict(HEADER, Masks()))

    assert replay.environ["CUDA_VISIBLE_DEVICES"] != "GPU-19d6d9"
    assert replay.read("/uuid").startswith(replay.environ["CUDA_VISIBLE_DEVICES"])


def test_ids_that_begin_alike_still_do() -> None:
    masks = Masks(key=KEY)
    one, other = masks.text(UUID), masks.text(f"19d6d965-2acc-0{UUID[15:]}")

    assert one[:14] == other[:14]
    assert one[14] != other[14]


def test_a_container_is_known_by_the_first_digits_of_its_id() -> None:
    masks = Masks(key=KEY)
    container = "8b7d2f" * 10 + "8b7d"

    whole = masks.text(f"0::/docker/{container}")

    assert len(whole) == len(f"0::/docker/{container}")
    assert masks.text(container)[:12] == whole[11:23]


def test_amds_id_is_the_same_in_decimal_and_hexadecimal() -> None:
    masks = Masks(key=KEY)
    masks.learn_value("00a1b2c3d4e5f607\n", "unique_id")
    number = int("00a1b2c3d4e5f607", 16)

    decimal = masks.text(f"unique_id {number}\n")

    assert int(decimal.split()[1]) == int(masks.text("00a1b2c3d4e5f607"), 16) != number
    assert masks.text("GPU-00a1b2c3d4e5f607", selects=True) == (
        f"GPU-{masks.text('00a1b2c3d4e5f607')}"
    )


@PATIENT
@given(st.binary(max_size=80))
def test_bytes_keep_their_length(data: bytes) -> None:
    masks = Masks(key=KEY)
    masks.learn_surroundings({"USER": "alice", "HOSTNAME": "bo1"})

    assert len(masks.data(data + b"alice bo1" + UUID.encode() + data)) == len(data) * 2 + 45


@PATIENT
@given(st.text(max_size=80))
def test_any_text_can_be_masked(text: str) -> None:
    masks = Masks(key=KEY)
    masks.learn_text(text)

    assert masks.text(text) == Masks(key=KEY).text(text) or masks.told()


def test_numbers_in_the_field_of_a_serial_number_are_masked() -> None:
    masks = Masks(key=KEY)
    answer = {"object": {"serial": 1320219012345, "count": 1320219012345}}
    masks.learn_value(answer)

    found = masks.value(answer)["object"]

    assert found["serial"] != 1320219012345
    assert len(str(found["serial"])) <= 13
    assert found["count"] == 1320219012345


def test_what_was_masked_is_counted() -> None:
    masks = Masks(key=KEY)
    masks.learn_surroundings({"USER": "alice"}, "box.example.org")

    masks.text(f"alice ALICE box box.example.org {UUID} {UUID.upper()} aa:bb:cc:dd:ee:f0")

    assert masks.told() == {"user name": 1, "host name": 2, "UUID": 1, "MAC address": 1}


def test_a_variable_that_selects_no_gpu_has_no_value_in_the_recording() -> None:
    environ = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "HIP_VISIBLE_DEVICES": "1"}
    live = CapturingMachine(RecordedMachine({}, environ=environ))

    assert "KUBERNETES_SERVICE_HOST" in live.environ
    assert live.environ.get("HIP_VISIBLE_DEVICES") == "1"
    assert live.environ.get("CUDA_VISIBLE_DEVICES") is None

    recording = live.to_dict(HEADER, Masks())

    assert recording["environ"] == {"KUBERNETES_SERVICE_HOST": "(set)", "HIP_VISIBLE_DEVICES": "1"}
