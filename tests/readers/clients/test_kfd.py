from typing import Any

import pytest

from tests.readers.clients.machines import KTHREADD, Machine
from vramline.machine import RecordedMachine
from vramline.readers.clients import kfd_memory
from vramline.readings import Cause

HOSTS_PIDS: dict[str, Any] = {"/proc/self/ns/pid": {"symlink": "pid:[4026531836]"}}
CONTAINERS_PIDS: dict[str, Any] = {"/proc/self/ns/pid": {"symlink": "pid:[4026532841]"}}
ROCM = "/sys/class/kfd/kfd/proc"


def test_without_kfd_nobody_is_known_to_hold_anything() -> None:
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
