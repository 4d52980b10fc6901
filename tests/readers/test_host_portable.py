from collections.abc import Callable
from dataclasses import fields, replace
from types import ModuleType, SimpleNamespace

import pytest

from vramline.machine import RecordedMachine
from vramline.readers.host import HostMemory, HostReader, read_memory
from vramline.readings import Cause, HostReading
from vramline.units import GIB

FIRST = {"cpu_percent": Cause.FIRST_SAMPLE}
NO_PRESSURE = {
    field.name: Cause.NOT_SUPPORTED
    for field in fields(HostReading)
    if field.name.startswith("pressure_")
}
SWAP = ("swap_total_bytes", "swap_used_bytes")
MEMORY = (
    "memory_total_bytes",
    "memory_available_bytes",
    "available_source",
    "memory_used_bytes",
    "memory_percent",
)


class PsutilError(Exception):
    pass


class AccessDeniedError(PsutilError):
    pass


class Times(dict[str, float]):
    def _asdict(self) -> dict[str, float]:
        return dict(self)


def stand_in(**functions: Callable[[], object]) -> ModuleType:
    module = ModuleType("psutil")
    answers: dict[str, object] = {
        "Error": PsutilError,
        "AccessDenied": AccessDeniedError,
        "cpu_times": lambda: Times(user=200.0, nice=0.0, system=100.0, idle=700.0),
        "virtual_memory": lambda: SimpleNamespace(total=16 * GIB, available=6 * GIB, used=7 * GIB),
        "swap_memory": lambda: SimpleNamespace(total=2 * GIB, used=1 * GIB),
        "cpu_count": lambda: 10,
        "Process": SimpleNamespace,
    }
    vars(module).update(answers | functions)
    return module


def elsewhere(platform: str = "darwin", **functions: Callable[[], object]) -> RecordedMachine:
    return RecordedMachine({}, platform=platform, libraries={"psutil": stand_in(**functions)})


MAC = HostReading(
    cores=10.0,
    memory_total_bytes=16 * GIB,
    memory_available_bytes=6 * GIB,
    memory_used_bytes=10 * GIB,
    memory_percent=62.5,
    swap_total_bytes=2 * GIB,
    swap_used_bytes=1 * GIB,
    unknown={**FIRST, **NO_PRESSURE},
)


def mac_without(lost: tuple[str, ...], cause: Cause) -> HostReading:
    unknown = {**MAC.unknown, **dict.fromkeys(lost, cause)}
    return replace(MAC, **dict.fromkeys(lost), unknown=unknown)


def test_a_mac_has_what_psutil_calls_available() -> None:
    assert HostReader(elsewhere()).read() == MAC
    assert read_memory(elsewhere()) == HostMemory(
        memory_total_bytes=16 * GIB,
        memory_available_bytes=6 * GIB,
        memory_used_bytes=10 * GIB,
        memory_percent=62.5,
        swap_total_bytes=2 * GIB,
        swap_used_bytes=1 * GIB,
    )


def test_windows_tells_the_affinity_and_counts_interrupts_as_system() -> None:
    looks = iter(
        [
            Times(user=10.0, system=10.0, idle=100.0, interrupt=5.0, dpc=5.0),
            Times(user=40.0, system=30.0, idle=150.0, interrupt=15.0, dpc=9.0),
        ]
    )
    now = iter([0.0, 1.0])
    machine = elsewhere(
        "win32",
        cpu_times=lambda: next(looks),
        Process=lambda: SimpleNamespace(cpu_affinity=lambda: [0, 1, 2, 5]),
    )
    reader = HostReader(machine, clock=lambda: next(now))

    assert reader.read() == replace(MAC, cores=4.0)
    assert reader.read() == replace(MAC, cores=4.0, cpu_percent=50.0, unknown=NO_PRESSURE)


def test_waiting_for_a_disk_is_idling() -> None:
    looks = iter(
        [
            Times(user=0.0, system=0.0, idle=0.0, iowait=0.0),
            Times(user=15.0, system=10.0, idle=50.0, iowait=25.0),
        ]
    )
    now = iter([0.0, 1.0])
    machine = elsewhere("sunos5", cpu_times=lambda: next(looks))
    reader = HostReader(machine, clock=lambda: next(now))

    assert [reader.read().cpu_percent, reader.read().cpu_percent] == [None, 25.0]


def failing(error: Exception) -> Callable[[], object]:
    def fail() -> object:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (AccessDeniedError(), Cause.NO_PERMISSION),
        (PermissionError(13, "denied"), Cause.NO_PERMISSION),
        (PsutilError("odd"), Cause.DRIVER_ERROR),
        (RuntimeError("host_statistics() failed"), Cause.DRIVER_ERROR),
        (OSError(5, "i/o"), Cause.DRIVER_ERROR),
        (NotImplementedError(), Cause.NOT_SUPPORTED),
    ],
)
def test_what_psutil_cannot_tell_costs_its_own_fields_only(error: Exception, cause: Cause) -> None:
    swap = HostReader(elsewhere(swap_memory=failing(error))).read()
    memory = HostReader(elsewhere(virtual_memory=failing(error))).read()

    assert swap == mac_without(SWAP, cause)
    assert memory == mac_without(MEMORY, cause)


def test_without_psutil_there_is_a_reading_without_values() -> None:
    reading = HostReader(RecordedMachine({}, platform="win32")).read()

    named = {field.name for field in fields(HostReading)}
    absent = named - {"unknown", "memory_limit_bytes", "limit_source"}
    assert reading == HostReading(unknown=dict.fromkeys(absent, Cause.NOT_SUPPORTED))


def test_a_count_of_processors_that_psutil_does_not_have_is_unknown() -> None:
    reading = HostReader(elsewhere(cpu_count=lambda: None)).read()

    assert reading == mac_without(("cores",), Cause.NOT_SUPPORTED)


def test_memory_that_psutil_garbles_is_not_passed_on() -> None:
    negative = elsewhere(swap_memory=lambda: SimpleNamespace(total=-GIB, used=0))

    reading = HostReader(negative).read()

    assert reading == mac_without(SWAP, Cause.GARBLED)
