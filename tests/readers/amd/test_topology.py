"""KFD's topology. What is read of its memory banks is in ``test_card``."""

from hypothesis import given
from hypothesis import strategies as st

from tests.readers.amd.machines import KFD, Entries, machine
from vramline.machine import RecordedMachine
from vramline.readers.amd import open_reader
from vramline.readers.amd.topology import NODES, Node, Topology
from vramline.readings import Cause


def node(number: int, gpu_id: object, *properties: str) -> Entries:
    lines = ["cpu_cores_count 0", "simd_count 32", *properties]
    return {
        f"{NODES}/{number}/gpu_id": f"{gpu_id}\n" if isinstance(gpu_id, int) else gpu_id,
        f"{NODES}/{number}/properties": "".join(f"{line}\n" for line in lines),
    }


def a_gpu(number: int, address: str, gpu_id: int, version: int = 0) -> Node:
    return Node(folder=f"{NODES}/{number}", address=address, gpu_id=gpu_id, version=version)


def test_gpus_come_in_kfds_order_and_processors_are_none() -> None:
    files = {
        **node(0, 0, "location_id 0", "domain 0"),
        **node(10, 8, f"location_id {0x0A << 8 | 2 << 3}", "domain 65537"),
        **node(1, 39027, "location_id 768", "domain 0", "gfx_target_version 110000"),
        **node(2, 7, f"location_id {0xC5 << 8}"),
    }

    assert Topology(RecordedMachine(files)).nodes() == [
        a_gpu(1, "0000:03:00.0", 39027, 110000),
        a_gpu(2, "0000:c5:00.0", 7),
        a_gpu(10, "10001:0a:02.0", 8),
    ]


def test_the_partitions_of_a_gpu_are_all_at_its_address() -> None:
    files = node(1, 50, "location_id 768") | node(2, 51, f"location_id {1 << 28 | 768}")

    partitions = Topology(RecordedMachine(files)).at("0000:03:00.0")

    assert partitions == [a_gpu(1, "0000:03:00.0", 50), a_gpu(2, "0000:03:00.0", 51)]


def test_a_gpu_that_a_container_may_not_use_is_left_out() -> None:
    refused = {"errno": "EPERM"}
    one = node(1, refused, "location_id 768") | node(2, 51, "location_id 1024")
    both = {**one, **node(2, refused, "location_id 1024")}

    assert Topology(RecordedMachine(one)).nodes() == [a_gpu(2, "0000:04:00.0", 51)]
    assert Topology(RecordedMachine(both)).nodes() is Cause.NO_PERMISSION


def test_without_kfd_nothing_is_known_of_rocms_gpus() -> None:
    assert Topology(RecordedMachine({})).nodes() is Cause.NOT_SUPPORTED


def test_all_the_cards_of_a_reader_take_it_from_one_look() -> None:
    cards: Entries = {}
    for number in range(3):
        folder = f"/sys/class/drm/card{number}/device"
        slot = f"DRIVER=amdgpu\nPCI_ID=1002:744C\nPCI_SLOT_NAME=0000:0{number}:00.0\n"
        cards |= {f"{folder}/uevent": slot} | node(number, 50, f"location_id {number << 8}")
    one = machine(cards)
    reader = open_reader(one)
    one.opened.clear()

    reader.arrange([gpu for device in reader.devices() for gpu in reader.read(device)])

    asked = [path for path in one.opened if path.startswith(f"{KFD}/topology")]
    assert len(asked) == len(set(asked))


@given(st.dictionaries(st.sampled_from(["gpu_id", "properties"]), st.text(max_size=60)))
def test_whatever_kfd_says_nothing_is_raised(texts: dict[str, str]) -> None:
    files = {f"{NODES}/1/{name}": each for name, each in texts.items()}

    Topology(RecordedMachine(node(1, 50, "location_id 768") | files)).nodes()
