import errno
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.readers.clients.machines import KTHREADD, Machine
from vramline.machine import RecordedMachine
from vramline.readers.clients import kfd_gpu_ids, kfd_memory
from vramline.readings import Cause

HOSTS_PIDS: dict[str, Any] = {"/proc/self/ns/pid": {"symlink": "pid:[4026531836]"}}
CONTAINERS_PIDS: dict[str, Any] = {"/proc/self/ns/pid": {"symlink": "pid:[4026532841]"}}
NODES = "/sys/class/kfd/kfd/topology/nodes"
ROCM = "/sys/class/kfd/kfd/proc"


def node(number: int, gpu_id: str, *properties: str) -> dict[str, str]:
    lines = ["cpu_cores_count 0", "simd_count 32", *properties]
    return {
        f"{NODES}/{number}/gpu_id": f"{gpu_id}\n",
        f"{NODES}/{number}/properties": "".join(f"{line}\n" for line in lines),
    }


def test_kfd_numbers_the_gpu_at_each_address() -> None:
    machine = RecordedMachine(
        {
            **node(0, "0", "location_id 0", "domain 0"),
            **node(1, "39027", "location_id 768", "domain 0"),
            **node(2, "7", f"location_id {0xC5 << 8}"),
            **node(3, "8", f"location_id {0x0A << 8 | 2 << 3}", "domain 65537"),
        }
    )

    assert kfd_gpu_ids(machine) == {
        "0000:03:00.0": (39027,),
        "0000:c5:00.0": (7,),
        "10001:0a:02.0": (8,),
    }


def test_the_partitions_of_a_gpu_are_all_at_its_address() -> None:
    machine = RecordedMachine(
        node(1, "50", "location_id 768") | node(2, "51", f"location_id {1 << 28 | 768}")
    )

    assert kfd_gpu_ids(machine) == {"0000:03:00.0": (50, 51)}


def test_a_gpu_that_a_container_may_not_use_is_refused() -> None:
    refused = {f"{NODES}/{number}/gpu_id": errno.EPERM for number in (1, 2)}
    nodes = node(1, "50", "location_id 768") | node(2, "51", "location_id 1024")
    one = {f"{NODES}/1/gpu_id": errno.EPERM}

    assert kfd_gpu_ids(Machine(nodes, failing=refused)) is Cause.NO_PERMISSION
    assert kfd_gpu_ids(Machine(nodes, failing=one)) == {"0000:04:00.0": (51,)}


def test_without_kfd_there_are_no_numbers() -> None:
    assert kfd_gpu_ids(RecordedMachine({})) is Cause.NOT_SUPPORTED
    assert kfd_memory(RecordedMachine({}), (50,)) is Cause.NOT_SUPPORTED


def test_kfd_tells_what_each_process_holds() -> None:
    machine = Machine(
        HOSTS_PIDS,
        {
            f"{ROCM}/70/vram_50": "5368709120\n",
            f"{ROCM}/70/vram_51": "4096\n",
            f"{ROCM}/70/sdma_50": "1\n",
            f"{ROCM}/71/vram_51": "4096\n",
            f"{ROCM}/72/vram_50": "0\n",
        },
    )

    assert kfd_memory(machine, (50,)) == {70: 5 * 2**30, 72: 0}
    assert kfd_memory(machine, (50, 51)) == {70: 5 * 2**30 + 4096, 71: 4096, 72: 0}
    assert not any("sdma" in path for path in machine.asked)


def test_a_process_with_several_contexts_holds_the_sum() -> None:
    held = {f"{ROCM}/70/{folder}vram_50": "100\n" for folder in ("", "context_0/", "context_1/")}

    assert kfd_memory(RecordedMachine(HOSTS_PIDS | held), (50,)) == {70: 300}


@pytest.mark.parametrize("text", ["", "-1\n", "x", f"{2**63}", "\u0661", "9" * 5000])
def test_what_kfd_garbles_is_left_out(text: str) -> None:
    held = {f"{ROCM}/70/vram_50": text, f"{ROCM}/71/vram_50": "5"}

    assert kfd_memory(RecordedMachine(HOSTS_PIDS | held), (50,)) == {71: 5}


def test_in_a_container_kfds_pids_would_be_taken_for_others() -> None:
    held = {f"{ROCM}/70/vram_50": "5\n"}

    assert kfd_memory(RecordedMachine(CONTAINERS_PIDS | held), (50,)) is Cause.NO_PERMISSION
    assert kfd_memory(RecordedMachine(held), (50,)) is Cause.NO_PERMISSION
    # The link of another's process may be refused, as it is with the host's root mounted.
    assert kfd_memory(RecordedMachine(KTHREADD | held), (50,)) == {70: 5}


@given(st.dictionaries(st.sampled_from(["gpu_id", "properties"]), st.text(max_size=60)))
def test_whatever_kfd_says_nothing_is_raised(texts: dict[str, str]) -> None:
    whole = node(1, "50", "location_id 768")

    kfd_gpu_ids(
        RecordedMachine(whole | {f"{NODES}/1/{name}": each for name, each in texts.items()})
    )
