from collections.abc import Callable
from typing import Any

import pytest

from tests.readers.clients.machines import CARD, RENDER, Machine, client, fdinfo, process
from vramline.machine import RecordedMachine
from vramline.readers.clients import Clients, Usage, processes
from vramline.readers.processes import Processes
from vramline.readings import Cause, GpuProcess, ProcessKind

GIB = 2**30
CONTAINER = "4f" * 32


def vram(name: str) -> bool:
    return name == "vram"


def made(usage: Usage | Cause, regions: Callable[[str], bool] = vram, **changes: Any) -> Any:
    return processes(usage, Processes(RecordedMachine({})), regions, **changes)


def test_a_process_has_what_all_its_clients_hold_in_the_pool() -> None:
    machine = RecordedMachine(
        {
            "/proc/stat": "btime 1700000000\n",
            "/proc/70/stat": process(70, {})["/proc/70/stat"],
            "/proc/70/status": "Name:\tollama\nUid:\t1000\t0\t0\t0\n",
            "/proc/70/cgroup": f"0::/system.slice/docker-{CONTAINER}.scope\n",
        }
    )
    usage = Usage(
        clients=(
            client(70, 1, memory={"vram": 3 * GIB, "gtt": GIB}, engines_ns={"compute": 5}),
            client(70, 2, memory={"vram": GIB, "cpu": GIB}),
        )
    )

    assert processes(usage, Processes(machine), vram) == (
        GpuProcess(
            pid=70,
            start_time=1700000002.5,
            name="ollama",
            user="1000",
            memory_bytes=4 * GIB,
            kind=ProcessKind.COMPUTE,
            container=CONTAINER[:12],
        ),
    )


def test_on_an_apu_a_model_lies_in_what_the_driver_maps_of_the_hosts_memory() -> None:
    # https://github.com/Syllo/nvtop/pull/492: a model of 24 GB, of which 5 MiB are in vram.
    told = fdinfo(
        1, "drm-memory-vram: 5348 KiB", "drm-memory-gtt:  25258000 KiB", "drm-memory-cpu: 0"
    )
    usage = Clients(Machine(process(70, {3: (RENDER, told)})), [CARD]).of(CARD)

    assert isinstance(usage, Usage)
    assert made(usage, {"vram", "gtt"}.__contains__) == (
        GpuProcess(pid=70, memory_bytes=(5348 + 25258000) * 1024),
    )


def test_processes_come_by_pid() -> None:
    usage = Usage(clients=(client(9, 1, memory={"vram": 1}), client(8, 2, memory={"vram": 2})))

    assert made(usage) == (GpuProcess(pid=8, memory_bytes=2), GpuProcess(pid=9, memory_bytes=1))


def test_who_only_has_the_card_open_is_left_out() -> None:
    usage = Usage(
        clients=(
            client(1, 1, memory={"vram": 0}, engines_ns={"gfx": 0}),
            client(2, 2, memory={"gtt": 4096}),
            client(3, 3, cycles={"rcs": (0, 500)}),
        ),
        complete=True,
    )

    assert made(usage) == ()


def test_to_see_nobody_is_not_to_know_that_there_is_nobody() -> None:
    assert made(Usage(complete=True)) == ()
    assert made(Usage(complete=False)) is Cause.NO_PERMISSION
    assert made(Cause.DRIVER_TOO_OLD) is Cause.DRIVER_TOO_OLD


def test_where_the_driver_tells_no_client_kfd_still_tells_who_computes() -> None:
    assert made(Cause.DRIVER_TOO_OLD, kfd={4: 6}) == (GpuProcess(pid=4, memory_bytes=6),)


def test_who_has_run_work_is_listed_with_no_memory_or_with_unknown() -> None:
    usage = Usage(
        clients=(
            client(1, 1, memory={"vram": 0}, engines_ns={"gfx": 1}),
            client(2, 2, memory={"stolen": 5}, engines_ns={"gfx": 1}),
        )
    )

    assert made(usage) == (
        GpuProcess(pid=1, memory_bytes=0, kind=ProcessKind.GRAPHICS),
        GpuProcess(pid=2, memory_bytes=None, kind=ProcessKind.GRAPHICS),
    )


def test_a_sum_beyond_all_measure_is_not_told() -> None:
    most = {"vram": 2**63 - 1}

    assert made(Usage(clients=(client(1, 1, memory=most), client(1, 2, memory=most)))) == (
        GpuProcess(pid=1, memory_bytes=None),
    )


@pytest.mark.parametrize(
    ("engines", "kind"),
    [
        ({"gfx": 1}, ProcessKind.GRAPHICS),
        ({"render": 1, "copy": 1}, ProcessKind.GRAPHICS),
        ({"compute": 1, "dma": 1}, ProcessKind.COMPUTE),
        ({"compute": 1, "gfx": 0}, ProcessKind.COMPUTE),
        ({"gfx": 1, "compute": 1}, ProcessKind.COMPUTE_AND_GRAPHICS),
        ({"dec": 1}, ProcessKind.GRAPHICS),
        ({"video-enhance": 1, "copy": 1}, ProcessKind.GRAPHICS),
        ({"dec": 1, "compute": 1}, ProcessKind.COMPUTE),
        ({"copy": 1}, ProcessKind.COMPUTE),
        ({}, ProcessKind.COMPUTE),
    ],
)
def test_the_engines_that_were_used_tell_the_kind(
    engines: dict[str, int], kind: ProcessKind
) -> None:
    usage = Usage(clients=(client(1, 1, memory={"vram": 1}, engines_ns=engines),))

    assert made(usage) == (GpuProcess(pid=1, memory_bytes=1, kind=kind),)


@pytest.mark.parametrize(
    ("cycles", "kind"),
    [
        ({"rcs": (5, 9), "ccs": (0, 9)}, ProcessKind.GRAPHICS),
        ({"rcs": (0, 9), "ccs": (5, 9)}, ProcessKind.COMPUTE),
        ({"rcs": (5, 9), "ccs": (5, 9)}, ProcessKind.COMPUTE_AND_GRAPHICS),
        ({"vcs": (5, 9)}, ProcessKind.GRAPHICS),
    ],
)
def test_cycles_tell_it_as_well(cycles: dict[str, tuple[int, int]], kind: ProcessKind) -> None:
    usage = Usage(clients=(client(1, 1, memory={"vram": 1}, cycles=cycles),))

    assert made(usage) == (GpuProcess(pid=1, memory_bytes=1, kind=kind),)


def test_the_kinds_of_a_processs_clients_are_joined() -> None:
    usage = Usage(
        clients=(client(1, 1, engines_ns={"gfx": 1}), client(1, 2, engines_ns={"compute": 1}))
    )

    assert made(usage) == (GpuProcess(pid=1, kind=ProcessKind.COMPUTE_AND_GRAPHICS),)


def test_what_kfd_tells_is_part_of_what_the_clients_hold() -> None:
    usage = Usage(
        clients=(
            client(1, 1, memory={"vram": 5}, engines_ns={"gfx": 1}),
            client(2, 2, memory={"vram": 2}),
            client(3, 3, engines_ns={"gfx": 1}),
        )
    )

    assert made(usage, kfd={1: 3, 2: 4, 3: 0, 4: 6, 5: 0}) == (
        GpuProcess(pid=1, memory_bytes=5, kind=ProcessKind.COMPUTE_AND_GRAPHICS),
        GpuProcess(pid=2, memory_bytes=4, kind=ProcessKind.COMPUTE),
        GpuProcess(pid=3, memory_bytes=None, kind=ProcessKind.GRAPHICS),
        GpuProcess(pid=4, memory_bytes=6, kind=ProcessKind.COMPUTE),
    )
