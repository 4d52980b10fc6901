from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.readers.breakage import CAUSES, absurdities, breakages, changes, unexplained
from tests.readers.nvidia.machines import on_bus
from vramline.errors import ReadError
from vramline.machine import RecordedMachine
from vramline.readers.drm import find_cards
from vramline.readers.silent import SilentCards, card_without_node
from vramline.readers.unread import LASTING, MOMENTARY
from vramline.readings import Cause, FrozenDict, GpuReading, GpuState

DEVICE = "/sys/class/drm/card{}/device"
HWMON = f"{DEVICE}/hwmon/hwmon3"
NAMES = (
    "10de  NVIDIA Corporation\n"
    "\t1b80  GP104 [GeForce GTX 1080]\n"
    "\t1c02  GP106 [GeForce GTX 1060 3GB]\n"
    "10df  Emulex Corporation\n"
)


def a_card(number: int, device_id: str = "1B80", status: str = "active") -> dict[str, Any]:
    """The files of a card that nouveau has: https://docs.kernel.org/hwmon/sysfs-interface.html."""
    device, hwmon = DEVICE.format(number), HWMON.format(number)
    return {
        f"{device}/uevent": (
            f"DRIVER=nouveau\nPCI_CLASS=30000\nPCI_ID=10DE:{device_id}\n"
            f"PCI_SLOT_NAME=0000:0{number}:00.0\n"
        ),
        f"{device}/power/runtime_status": f"{status}\n",
        f"{hwmon}/name": "nouveau\n",
        f"{hwmon}/temp1_input": "43000\n",
        f"{hwmon}/pwm1": "30\n",
    }


SYSTEM = {"/usr/share/misc/pci.ids": NAMES, "/proc/sys/kernel/osrelease": "6.12.57-amd64\n"}


def opened(machine: RecordedMachine, first_index: int = 0) -> SilentCards:
    cards = find_cards(machine, {"nouveau"})
    return SilentCards(machine, "nvidia", "NVIDIA", cards, first_index)


def read(files: dict[str, Any]) -> list[GpuReading]:
    reader = opened(RecordedMachine({**SYSTEM, **files}))
    return [gpu for device in reader.devices() for gpu in reader.read(device)]


def silent(number: int, index: int, name: str, **changed: Any) -> GpuReading:
    known = ("index", "name", "pci_address", "driver_version", "temperature_celsius")
    values: dict[str, Any] = {"temperature_celsius": 43.0, **changed}
    unknown = {
        name: Cause.DRIVER_EXPOSES_NOTHING for name in (*MOMENTARY, *LASTING) if name not in known
    }
    return GpuReading(
        uid=f"0000:0{number}:00.0",
        vendor="nvidia",
        name=name,
        index=index,
        pci_address=f"0000:0{number}:00.0",
        driver_version="6.12.57-amd64",
        **{"unknown": FrozenDict(unknown), **values},
    )


def test_a_silent_card_is_listed_with_its_temperature_and_the_reason() -> None:
    assert read({**a_card(1), **a_card(2, "1C02")}) == [
        silent(1, 0, "NVIDIA GeForce GTX 1080"),
        silent(2, 1, "NVIDIA GeForce GTX 1060 3GB"),
    ]


def test_numbers_go_on_behind_the_vendors_other_gpus() -> None:
    reader = opened(RecordedMachine({**SYSTEM, **a_card(1), **a_card(2)}), first_index=2)

    assert [reader.read(device)[0].index for device in reader.devices()] == [2, 3]


def test_a_sleeping_card_is_left_alone_and_would_not_tell_more_awake() -> None:
    class Strict(RecordedMachine):
        strict = False

        def read(self, path: str) -> str:
            assert not self.strict or path.endswith("/power/runtime_status")
            return super().read(path)

        def list(self, path: str) -> list[str]:
            assert not self.strict
            return super().list(path)

    machine = Strict({**SYSTEM, **a_card(1, status="suspended")})
    reader = opened(machine)
    machine.strict = True
    (gpu,) = reader.read("0000:01:00.0")

    awake = silent(1, 0, "NVIDIA GeForce GTX 1080")
    assert gpu == silent(
        1,
        0,
        "NVIDIA GeForce GTX 1080",
        state=GpuState.ASLEEP,
        temperature_celsius=None,
        unknown=FrozenDict({**awake.unknown, "temperature_celsius": Cause.ASLEEP}),
    )


@pytest.mark.parametrize(
    ("temperature", "cause"),
    [
        ({"errno": "EINVAL"}, Cause.ASLEEP),  # switched off since it was asked
        ({"errno": "ENODEV"}, Cause.DRIVER_ERROR),
        (None, Cause.NOT_SUPPORTED),
        ("-19\n", Cause.NOT_SUPPORTED),  # ENODEV, as a temperature
    ],
)
def test_a_card_may_have_no_temperature(temperature: Any, cause: Cause) -> None:
    files = a_card(1) | {f"{HWMON.format(1)}/temp1_input": temperature}

    (gpu,) = read({path: entry for path, entry in files.items() if entry is not None})

    assert (gpu.temperature_celsius, gpu.unknown["temperature_celsius"]) == (None, cause)


def test_a_card_that_is_gone_is_lost_and_the_last_one_ends_the_reading() -> None:
    class Unplugging(RecordedMachine):
        gone: tuple[str, ...] = ()

        def list(self, path: str) -> list[str]:
            if path.startswith(self.gone or "\0"):
                raise FileNotFoundError(path)
            return super().list(path)

    machine = Unplugging({**SYSTEM, **a_card(1), **a_card(2)})
    reader = opened(machine)
    machine.gone = (DEVICE.format(1),)

    (gpu,) = reader.read("0000:01:00.0")
    assert (gpu.state, gpu.unknown["temperature_celsius"]) == (GpuState.LOST, Cause.LOST)
    machine.gone = (DEVICE.format(2),)
    assert reader.read("0000:01:00.0")[0].temperature_celsius == 43.0
    assert reader.read("0000:02:00.0")[0].state is GpuState.LOST
    machine.gone = (DEVICE.format(1), DEVICE.format(2))
    with pytest.raises(ReadError, match="nouveau has no card any more"):
        reader.read("0000:01:00.0")


def test_a_card_without_a_node_is_found_on_the_bus() -> None:
    folder = "/sys/bus/pci/devices/0000:01:00.0"
    machine = RecordedMachine(
        {**SYSTEM, **on_bus("0000:01:00.0", driver="nouveau"), f"{folder}/device": "0x1b80\n"}  # type: ignore[dict-item]
    )
    card = card_without_node(machine, "0000:01:00.0", "nouveau")
    (gpu,) = SilentCards(machine, "nvidia", "NVIDIA", [card]).read("0000:01:00.0")

    assert (gpu.name, gpu.uid) == ("NVIDIA GeForce GTX 1080", "0000:01:00.0")
    assert gpu.unknown["temperature_celsius"] is Cause.NOT_SUPPORTED


@pytest.mark.parametrize("device_id", ["(", "0x(", "", "1b80", "0x1b80 and more"])
def test_a_device_id_that_is_none_leaves_the_name_unknown(device_id: str) -> None:
    folder = "/sys/bus/pci/devices/0000:01:00.0"
    files = {**SYSTEM, **on_bus("0000:01:00.0", driver="nouveau"), f"{folder}/device": device_id}
    machine = RecordedMachine(files)  # type: ignore[arg-type]
    card = card_without_node(machine, "0000:01:00.0", "nouveau")

    gpu = SilentCards(machine, "nvidia", "NVIDIA", [card]).describe("0000:01:00.0", Cause.TIMEOUT)

    assert gpu.name is None


def test_a_card_is_described_without_being_asked() -> None:
    gpu = opened(RecordedMachine({**SYSTEM, **a_card(1)})).describe("0000:01:00.0", Cause.TIMEOUT)

    assert (gpu.name, gpu.unknown["memory_total_bytes"]) == (
        "NVIDIA GeForce GTX 1080",
        Cause.TIMEOUT,
    )


def test_a_broken_file_costs_the_temperature_at_the_most() -> None:
    files = a_card(1)
    (before,) = read(files)
    for path, way, broken in breakages(files, below=f"{DEVICE.format(1)}/"):
        if path.endswith("/uevent"):
            continue  # then it is no card of nouveau's
        (after,) = read(broken)
        expected = {}
        if path.endswith("/temp1_input"):
            expected = {"temperature_celsius": CAUSES[way]}
        elif path.endswith("hwmon3/name"):
            expected = {"temperature_celsius": Cause.NOT_SUPPORTED}
        assert changes(before, after) == expected, (path, way)
        assert unexplained(after) == set()


@given(
    contents=st.dictionaries(
        st.sampled_from(sorted(a_card(1))),
        st.one_of(st.text(), st.integers().map(str)),
    )
)
def test_whatever_the_files_hold_no_reading_is_absurd(contents: dict[str, str]) -> None:
    for gpu in read({**a_card(1), **a_card(2), **contents}):
        assert absurdities(gpu) == []
        assert unexplained(gpu) == set()
