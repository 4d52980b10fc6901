import os
import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vramline.machine import LiveMachine, RecordedMachine
from vramline.readers.processes import UNSEEN, Identity, Processes

CONTAINER = "4f" * 32


def stat(name: str, ticks: int) -> str:
    return f"70 ({name}) S 1 70 70 0 -1 4194560 1 0 0 0 1 1 0 0 20 0 1 0 {ticks} 9 9\n"


def entries(**changes: str) -> dict[str, str]:
    files = {
        "/proc/stat": "cpu 1 2 3 4\nbtime 1700000000\n",
        "/proc/70/stat": stat("ollama", 250),
        "/proc/70/status": "Name:\tollama\nUid:\t1000\t0\t0\t0\n",
        "/proc/70/cgroup": f"0::/system.slice/docker-{CONTAINER}.scope\n",
        "/proc/70/cmdline": "/usr/bin/ollama\0serve\0",
    }
    return files | {f"/proc/70/{name}": text for name, text in changes.items()}


WHOLE = Identity(start_time=1700000002.5, name="ollama", user="1000", container=CONTAINER[:12])


def test_a_process_is_known_by_name_user_start_and_container() -> None:
    assert Processes(RecordedMachine(entries())).identify(70) == WHOLE


def test_a_pid_that_cannot_be_seen_has_no_name() -> None:
    assert Processes(RecordedMachine({})).identify(70) == UNSEEN


def test_a_name_that_the_kernel_cut_off_is_taken_from_the_command_line() -> None:
    files = entries(stat=stat("text-generation", 250), cmdline="/opt/text-generation-server\0-v\0")

    assert Processes(RecordedMachine(files)).identify(70).name == "text-generation-server"


def test_a_name_may_hold_spaces_and_parentheses() -> None:
    files = entries(stat=stat("a) R 1 (b", 250))

    assert Processes(RecordedMachine(files)).identify(70).name == "a) R 1 (b"


@pytest.mark.parametrize(
    "cgroup",
    [
        f"0::/system.slice/docker-{CONTAINER}.scope\n",
        f"12:memory:/docker/{CONTAINER}\n",
        f"0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-{CONTAINER}.scope\n",
        f"0::/machine.slice/libpod-{CONTAINER}.scope/container\n",
        f"4:memory:/kubepods/burstable/pod7/{CONTAINER}\n",
    ],
)
def test_a_container_is_found_in_the_cgroups_that_engines_make(cgroup: str) -> None:
    processes = Processes(RecordedMachine(entries(cgroup=cgroup)))

    assert processes.identify(70).container == CONTAINER[:12]


def test_a_pid_that_is_used_again_is_another_process() -> None:
    class Machine(RecordedMachine):
        again = False

        def read(self, path: str) -> str:
            if self.again and path == "/proc/70/stat":
                return stat("python", 900)
            return super().read(path)

    machine = Machine(entries())
    processes = Processes(machine)
    first = processes.identify(70)
    machine.again = True

    second = processes.identify(70)

    assert (first.name, first.start_time) == ("ollama", 1700000002.5)
    assert (second.name, second.start_time) == ("python", 1700000009.0)


@pytest.mark.parametrize("ticks", ["9" * 400, "-5", "1_000", "\u0663", str(2**63)])
def test_a_start_that_no_kernel_tells_is_none(ticks: str) -> None:
    text = stat("ollama", 250).replace(" 250 ", f" {ticks} ")

    assert Processes(RecordedMachine(entries(stat=text))).identify(70) == UNSEEN


def test_without_a_moment_at_which_the_machine_started_no_process_has_one() -> None:
    files = {**entries(), "/proc/stat": f"cpu 1 2 3 4\nbtime {'9' * 400}\n"}

    assert Processes(RecordedMachine(files)).identify(70) == replace(WHOLE, start_time=None)


def test_a_process_that_takes_another_name_is_told_by_it() -> None:
    class Machine(RecordedMachine):
        renamed = False

        def read(self, path: str) -> str:
            if self.renamed and path == "/proc/70/stat":
                return stat("python3", 250)
            return super().read(path)

    machine = Machine(entries())
    processes = Processes(machine)
    before = processes.identify(70).name
    machine.renamed = True

    assert (before, processes.identify(70).name) == ("ollama", "python3")


@given(st.dictionaries(st.sampled_from(sorted(entries())), st.text(max_size=80)))
def test_whatever_the_files_say_nothing_is_raised(garbage: dict[str, str]) -> None:
    Processes(RecordedMachine(entries() | garbage)).identify(70)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads this machine's /proc")
def test_this_process_is_told_as_psutil_tells_it() -> None:
    identity = Processes(LiveMachine()).identify(os.getpid())
    told = psutil.Process()

    assert identity.name == told.name()
    assert identity.user == told.username()
    assert identity.start_time == pytest.approx(told.create_time(), abs=1.5)


def test_elsewhere_psutil_is_asked() -> None:
    machine = RecordedMachine({}, platform="darwin", libraries={"psutil": psutil})
    told = psutil.Process()

    assert Processes(machine).identify(os.getpid()) == Identity(
        start_time=told.create_time(), name=told.name(), user=told.username()
    )


def test_elsewhere_a_user_that_is_refused_costs_only_the_user() -> None:
    def refuse() -> str:
        raise psutil.AccessDenied

    process = SimpleNamespace(create_time=lambda: 5.0, name=lambda: "csrss.exe", username=refuse)
    library = SimpleNamespace(Process=lambda _pid: process, Error=psutil.Error)
    machine = RecordedMachine({}, platform="win32", libraries={"psutil": cast("object", library)})  # type: ignore[dict-item]

    assert Processes(machine).identify(7) == Identity(start_time=5.0, name="csrss.exe")


def test_elsewhere_a_process_that_is_gone_is_not_seen() -> None:
    machine = RecordedMachine({}, platform="darwin", libraries={"psutil": psutil})

    assert Processes(machine).identify(2**30) == UNSEEN
    assert Processes(RecordedMachine({}, platform="darwin")).identify(7) == UNSEEN
