import errno
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from tests.readers.clients.machines import (
    AMDGPU,
    CARD,
    FDINFOS,
    OTHER,
    OTHER_RENDER,
    RENDER,
    Machine,
    client,
    fdinfo,
    process,
)
from vramline.machine import LiveMachine, RecordedMachine
from vramline.readers.clients import Clients, Usage
from vramline.readings import Cause


def test_each_client_of_a_card_is_found_with_its_process() -> None:
    machine = Machine(
        process(70, {0: ("/dev/null", ""), 5: (RENDER, AMDGPU)}),
        process(71, {3: (CARD.nodes[0], fdinfo(114, "drm-memory-vram:\t1 KiB"))}),
    )

    assert Clients(machine, [CARD]).of(CARD) == Usage(
        clients=(
            client(
                70,
                113,
                memory={"vram": 8000 * 1024, "gtt": 25258000 * 1024, "cpu": 0},
                engines_ns={"gfx": 17},
                capacity={"gfx": 1},
            ),
            client(71, 114, memory={"vram": 1024}),
        ),
        complete=True,
    )


def test_nobody_is_a_true_nobody() -> None:
    assert Clients(Machine(), [CARD]).of(CARD) == Usage(clients=(), complete=True)


def test_only_files_that_lead_to_the_card_are_opened() -> None:
    files = {
        0: ("/dev/pts/0", fdinfo(1)),
        1: ("socket:[123]", fdinfo(2)),
        2: ("/dev/nvidia0", fdinfo(3)),
        3: ("/dev/dri/renderD130", fdinfo(4)),
        4: ("/dev/dri/renderD128 (deleted)", fdinfo(5)),
        5: (RENDER, fdinfo(6)),
        6: (OTHER_RENDER, fdinfo(7)),
    }
    machine = Machine(process(70, files))

    Clients(machine, [CARD, OTHER]).of(CARD)

    assert machine.opened == ["/proc/70/fdinfo/5"]


def test_nothing_of_a_card_that_sleeps_is_opened() -> None:
    asleep = {f"{OTHER.device}/power/runtime_status": "suspended\n"}
    files = {3: (RENDER, fdinfo(1)), 4: (OTHER_RENDER, fdinfo(2, address=OTHER.address))}
    machine = Machine(process(70, files), asleep)
    clients = Clients(machine, [CARD, OTHER])

    assert clients.of(CARD) == Usage(clients=(client(70, 1),), complete=True)
    assert clients.of(OTHER) is Cause.ASLEEP
    assert machine.opened == ["/proc/70/fdinfo/3"]


def test_once_it_is_awake_its_clients_are_told() -> None:
    files = process(70, {4: (RENDER, fdinfo(2))})
    machine = Machine(files, {f"{CARD.device}/power/runtime_status": "suspending\n"})
    clients = Clients(machine, [CARD])
    first = clients.of(CARD)
    machine.change(files, {f"{CARD.device}/power/runtime_status": "active\n"})

    assert (first, clients.of(CARD)) == (
        Cause.ASLEEP,
        Usage(clients=(client(70, 2),), complete=True),
    )


def test_a_descriptor_that_has_become_another_cards_is_not_opened() -> None:
    machine = Machine(process(70, {4: (RENDER, fdinfo(1))}))
    clients = Clients(machine, [CARD, OTHER])
    clients.of(CARD)
    machine.change(process(70, {4: (OTHER_RENDER, fdinfo(2, address=OTHER.address))}))
    machine.asked.clear()

    assert clients.of(CARD) == Usage(clients=(), complete=True)
    assert machine.opened == []


def test_a_client_with_several_descriptors_counts_once() -> None:
    files = {number: (RENDER, fdinfo(1, "drm-memory-vram: 5")) for number in (3, 4, 9)}
    machine = Machine(process(70, files))

    assert Clients(machine, [CARD]).of(CARD) == Usage(
        clients=(client(70, 1, memory={"vram": 5}),), complete=True
    )


def test_after_a_fork_the_client_is_the_parents() -> None:
    files = {number: (RENDER, fdinfo(1)) for number in (3, 4)}
    machine = Machine(process(900, files), process(70, files), process(1000, files))

    assert Clients(machine, [CARD]).of(CARD) == Usage(clients=(client(70, 1),), complete=True)


def test_a_client_that_was_passed_on_is_whose_who_works_with_it() -> None:
    opener = process(70, {9: (CARD.nodes[0], fdinfo(1))})
    worker = process(900, {3: (CARD.nodes[0], fdinfo(1)), 4: (CARD.nodes[0], fdinfo(1))})

    assert Clients(Machine(opener, worker), [CARD]).of(CARD) == Usage(
        clients=(client(900, 1),), complete=True
    )


def test_between_looks_only_one_descriptor_of_each_client_is_read_anew() -> None:
    def entries(size: int) -> dict[str, Any]:
        text = fdinfo(1, f"drm-memory-vram: {size}")
        return process(70, {3: (RENDER, text), 4: (RENDER, text)})

    machine = Machine(entries(5))
    clients = Clients(machine, [CARD])
    clients.of(CARD)
    machine.change(entries(6), process(71, {3: (RENDER, fdinfo(2))}))
    machine.asked.clear()

    assert clients.of(CARD) == Usage(clients=(client(70, 1, memory={"vram": 6}),), complete=True)
    assert machine.asked == [
        f"{CARD.device}/power/runtime_status",
        "/proc/70/fd/3",
        "/proc/70/fdinfo/3",
    ]


def test_where_one_descriptor_was_closed_the_next_is_asked() -> None:
    machine = Machine(process(70, {3: (RENDER, fdinfo(1)), 4: (RENDER, fdinfo(1))}))
    clients = Clients(machine, [CARD])
    clients.of(CARD)
    machine.change(process(70, {3: ("/dev/null", ""), 4: (RENDER, fdinfo(1))}))
    machine.asked.clear()

    assert clients.of(CARD) == Usage(clients=(client(70, 1),), complete=True)
    clients.of(CARD)
    assert machine.opened == ["/proc/70/fdinfo/4", "/proc/70/fdinfo/4"]


def test_a_process_that_has_ended_is_not_told_any_more() -> None:
    both = [process(70, {3: (RENDER, fdinfo(1))}), process(71, {3: (RENDER, fdinfo(2))})]
    machine = Machine(*both)
    clients = Clients(machine, [CARD])
    clients.of(CARD)
    machine.change(both[1])

    assert clients.of(CARD) == Usage(clients=(client(71, 2),), complete=True)
    assert machine.looks == 1


def test_a_client_is_then_the_other_holders() -> None:
    both = [process(70, {3: (RENDER, fdinfo(1))}), process(71, {3: (RENDER, fdinfo(1))})]
    machine = Machine(*both)
    clients = Clients(machine, [CARD])
    clients.of(CARD)
    machine.change(both[1])

    assert clients.of(CARD) == Usage(clients=(client(71, 1),), complete=True)


def test_a_pid_that_is_used_again_has_its_own_clients() -> None:
    machine = Machine(process(70, {3: (RENDER, fdinfo(1))}))
    clients = Clients(machine, [CARD])
    clients.of(CARD)
    machine.change(process(70, {3: (RENDER, fdinfo(8))}))

    assert clients.of(CARD) == Usage(clients=(client(70, 8),), complete=True)


def test_a_client_of_another_card_with_the_same_number_is_another() -> None:
    files = {3: (RENDER, fdinfo(1)), 4: (OTHER_RENDER, fdinfo(1, address=OTHER.address))}
    clients = Clients(Machine(process(70, files)), [CARD, OTHER])

    assert clients.of(CARD) == clients.of(OTHER) == Usage(clients=(client(70, 1),), complete=True)


def test_a_device_file_under_another_cards_name_is_not_taken_for_it() -> None:
    files = {3: (RENDER, fdinfo(1)), 4: (RENDER, fdinfo(2, address=OTHER.address))}

    assert Clients(Machine(process(70, files)), [CARD]).of(CARD) == Usage(
        clients=(client(70, 1),), complete=False
    )


def test_where_the_driver_does_not_tell_the_card_the_device_file_does() -> None:
    machine = Machine(process(70, {3: (RENDER, "drm-client-id:\t4\n")}))

    assert Clients(machine, [CARD]).of(CARD) == Usage(clients=(client(70, 4),), complete=True)


def test_before_linux_5_19_nothing_is_told() -> None:
    machine = Machine(process(70, {3: (RENDER, "pos:\t0\nflags:\t02100002\nmnt_id:\t26\n")}))

    assert Clients(machine, [CARD]).of(CARD) is Cause.DRIVER_TOO_OLD


@pytest.mark.parametrize(
    ("number", "cause"),
    [
        (errno.EACCES, Cause.NO_PERMISSION),
        (errno.EIO, Cause.DRIVER_ERROR),
        (errno.ENODEV, Cause.DRIVER_ERROR),
        (errno.EBUSY, Cause.DRIVER_ERROR),
    ],
)
def test_an_answer_that_fails_costs_that_client_only(number: int, cause: Cause) -> None:
    two = [process(70, {3: (RENDER, fdinfo(1))}), process(71, {3: (RENDER, fdinfo(2))})]
    failing = {"/proc/70/fdinfo/3": number}

    some = Clients(Machine(*two, failing=failing), [CARD]).of(CARD)
    none = Clients(Machine(two[0], failing=failing), [CARD]).of(CARD)

    assert some == Usage(clients=(client(71, 2),), complete=False)
    assert none is cause


def test_a_client_that_did_not_answer_once_is_asked_again() -> None:
    machine = Machine(
        process(70, {3: (RENDER, fdinfo(1))}), failing={"/proc/70/fdinfo/3": errno.EIO}
    )
    clients = Clients(machine, [CARD])
    first = clients.of(CARD)
    machine.failing.clear()

    assert (first, clients.of(CARD)) == (
        Cause.DRIVER_ERROR,
        Usage(clients=(client(70, 1),), complete=True),
    )
    assert machine.looks == 1


def test_without_proc_the_clients_are_not_known() -> None:
    assert Clients(RecordedMachine({}), [CARD]).of(CARD) is Cause.NOT_SUPPORTED


@given(FDINFOS)
def test_whatever_a_driver_says_nothing_is_raised(text: str) -> None:
    machine = Machine(process(70, {3: (RENDER, text)}), process(71, {3: (RENDER, fdinfo(2))}))
    clients = Clients(machine, [CARD])

    for usage in (clients.of(CARD), clients.of(CARD)):
        assert isinstance(usage, Usage)
        assert client(71, 2) in usage.clients


# Whether others may be hidden.


def usage_seen(
    *parts: Mapping[str, Any], failing: Mapping[str, int] | None = None
) -> Usage | Cause:
    one = process(70, {3: (RENDER, fdinfo(1))})
    return Clients(Machine(one, *parts, failing=failing), [CARD]).of(CARD)


SEEN_IN_PART = Usage(clients=(client(70, 1),), complete=False)
SEEN_WHOLE = Usage(clients=(client(70, 1),), complete=True)


def test_a_container_sees_its_own_processes_only() -> None:
    of_a_container = {"/proc/2/stat": "2 (kthreadd) S 1 1 1 0 -1 4194560 0 0 0 0\n"}

    assert usage_seen(of_a_container) == SEEN_IN_PART


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EPERM])
def test_hidden_processes_are_known_by_the_first_kernel_thread(number: int) -> None:
    assert usage_seen(failing={"/proc/2/stat": number, "/proc/2/fd": number}) == SEEN_IN_PART


@pytest.mark.parametrize("path", ["/proc/1/fd", "/proc/1/fd/0"])
def test_a_process_that_may_not_be_looked_into_could_hold_the_card(path: str) -> None:
    systemd = process(1, {0: ("/dev/null", "")})

    assert usage_seen(systemd, failing={path: errno.EACCES}) == SEEN_IN_PART
    assert usage_seen(systemd) == SEEN_WHOLE


def test_a_kernel_thread_that_is_refused_hides_nothing() -> None:
    assert usage_seen(failing={"/proc/2/fd": errno.EACCES}) == SEEN_WHOLE


def test_the_first_process_that_is_refused_settles_it() -> None:
    refused = [process(pid, {}) for pid in (1, 50, 60)]
    failing = {f"/proc/{pid}/fd": errno.EACCES for pid in (1, 50, 60)}
    machine = Machine(*refused, failing=failing)

    Clients(machine, [CARD]).of(CARD)

    assert [path for path in machine.asked if path.endswith("/stat")] == [
        "/proc/2/stat",
        "/proc/1/stat",
    ]


def test_a_process_that_ends_while_it_is_looked_into_hides_nothing() -> None:
    ended = {f"/proc/{path}": errno.ESRCH for path in ("80/fd", "81/fd/3")}
    gone = {"/proc/82/fd": errno.EACCES, "/proc/82/stat": errno.ENOENT}
    three = [process(pid, {3: (RENDER, fdinfo(pid))}) for pid in (80, 81, 82)]

    assert usage_seen(*three, failing={**ended, **gone}) == SEEN_WHOLE


def test_a_file_that_is_closed_while_it_is_looked_at_hides_no_other() -> None:
    files = {3: ("/dev/null", ""), 4: (RENDER, fdinfo(1))}
    machine = Machine(process(70, files), failing={"/proc/70/fd/3": errno.ENOENT})

    assert Clients(machine, [CARD]).of(CARD) == SEEN_WHOLE


def test_this_process_running_out_of_descriptors_is_not_taken_for_nobody() -> None:
    others = process(80, {3: (RENDER, fdinfo(80))})

    assert usage_seen(others, failing={"/proc/80/fd": errno.EMFILE}) == SEEN_IN_PART


# How often it is looked for them.


def test_one_look_serves_all_cards() -> None:
    files = {3: (RENDER, fdinfo(1)), 4: (OTHER_RENDER, fdinfo(2, address=OTHER.address))}
    machine = Machine(process(70, files), looking_takes=0.008)
    clients = Clients(machine, [CARD, OTHER])

    clients.of(CARD)
    clients.of(OTHER)

    assert machine.looks == 1
    assert machine.opened == ["/proc/70/fdinfo/3", "/proc/70/fdinfo/4"]


@pytest.mark.parametrize(
    ("looking_takes", "pause"),
    [(0.0, 0.5), (0.0005, 0.5), (0.0078125, 3.125), (0.125, 50.0), (30.0, 60.0)],
)
def test_the_pause_is_as_long_as_looking_is_slow(looking_takes: float, pause: float) -> None:
    machine = Machine(looking_takes=looking_takes)
    clients = Clients(machine, [CARD])
    clients.of(CARD)
    looked_at = machine.now

    machine.now = looked_at + pause - 0.125
    clients.of(CARD)
    early = machine.looks
    machine.now = looked_at + pause
    clients.of(CARD)

    assert (early, machine.looks) == (1, 2)


def test_a_process_that_opens_the_card_is_found_at_the_next_look() -> None:
    machine = Machine()
    clients = Clients(machine, [CARD])
    clients.of(CARD)
    machine.change(process(70, {3: (RENDER, fdinfo(1))}))
    before = clients.of(CARD)
    machine.now += 0.5

    assert (before, clients.of(CARD)) == (Usage(clients=(), complete=True), SEEN_WHOLE)


def test_the_clock_may_be_another() -> None:
    machine, now = Machine(), [0.0]
    clients = Clients(machine, [CARD], clock=lambda: now[0])
    clients.of(CARD)
    machine.now += 1000.0
    clients.of(CARD)
    early = machine.looks
    now[0] = 0.5
    clients.of(CARD)

    assert (early, machine.looks) == (1, 2)


class Hanging(Machine):
    """Does not answer one question until it is let go."""

    def __init__(self, *parts: Mapping[str, Any], path: str) -> None:
        self.path = path
        self.reached, self.let_go = threading.Event(), threading.Event()
        super().__init__(*parts)

    def _ask(self, path: str) -> None:
        super()._ask(path)
        if path == self.path:
            self.reached.set()
            assert self.let_go.wait(60)


def while_it_hangs(machine: Hanging, call: Callable[[], object], then: Callable[[], None]) -> None:
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    try:
        assert machine.reached.wait(60)
        then()
        assert thread.is_alive()
    finally:
        machine.let_go.set()
        thread.join(60)


def test_a_card_whose_driver_hangs_holds_up_no_other() -> None:
    files = {3: (RENDER, fdinfo(1)), 4: (OTHER_RENDER, fdinfo(2, address=OTHER.address))}
    machine = Hanging(process(70, files), path="/proc/70/fdinfo/3")
    clients = Clients(machine, [CARD, OTHER])
    told: list[object] = []

    def ask_the_other_twice() -> None:
        told.append(clients.of(OTHER))
        machine.now += 1
        told.append(clients.of(OTHER))

    while_it_hangs(machine, lambda: clients.of(CARD), ask_the_other_twice)

    assert told == [Usage(clients=(client(70, 2),), complete=True)] * 2
    assert machine.looks == 2


def test_who_comes_while_another_looks_has_the_earlier_look() -> None:
    machine = Hanging(process(70, {3: (RENDER, fdinfo(1))}), path="/proc/99/fd")
    clients = Clients(machine, [CARD, OTHER])
    clients.of(CARD)
    machine.change(process(70, {3: (RENDER, fdinfo(1))}), process(99, {}))
    machine.now += 1
    told: list[object] = []

    while_it_hangs(machine, lambda: clients.of(OTHER), lambda: told.append(clients.of(CARD)))

    assert told == [SEEN_WHOLE]
    assert machine.looks == 2


@pytest.mark.linux
def test_on_this_machine_an_open_file_is_found() -> None:
    class OneFile(LiveMachine):
        """Answers for this process alone, as if its open file were a card's."""

        def list(self, path: str) -> list[str]:
            return [str(os.getpid())] if path == "/proc" else super().list(path)

        def read(self, path: str) -> str:
            text = super().read(path)
            return f"{text}drm-client-id:\t1\n" if "/fdinfo/" in path else text

    with open(os.devnull, "rb"):
        card = replace(CARD, nodes=(os.path.realpath(os.devnull),))
        usage = Clients(OneFile(), [card]).of(card)

    assert isinstance(usage, Usage)
    assert usage.clients == (client(os.getpid(), 1),)
