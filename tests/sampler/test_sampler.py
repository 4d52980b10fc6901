import logging
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from tests.machines import entries_of, recorded
from tests.readers.nvidia.machines import AVAILABLE, TOTAL, machine
from tests.standin import SOURCES, StandIn
from vramline.machine import Machine, RecordedMachine
from vramline.readings import Cause, GpuReading, GpuState, HostReading, Snapshot
from vramline.sampler import Deadlines, Sampler, assemble, take_snapshot
from vramline.sampler.rounds import VendorReport

SHORT = Deadlines(opening_seconds=1, reading_seconds=0.2)
TWO_GPUS = (SOURCES / "machines" / "two_gpus.txt").read_text()
UID = "GPU-00000000-0000-4000-8000-00000000000{}"
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def sampler_of(nvml: StandIn) -> Iterator[Callable[..., Sampler]]:
    samplers = []

    def make(at: Machine | None = None, deadlines: Deadlines = SHORT) -> Sampler:
        samplers.append(Sampler(at or machine(), deadlines=deadlines, now=lambda: NOON))
        return samplers[-1]

    yield make
    nvml.load(TWO_GPUS)  # lets go of what hangs, so that no session outlives its test
    for sampler in samplers:
        sampler.close()
    nvml.await_closed()


MakeSampler = Callable[..., Sampler]


def used(snapshot: Snapshot) -> dict[str, tuple[int | None, bool]]:
    """What each GPU holds in GiB, and whether that was read just now."""
    return {
        gpu.uid[-1]: (
            None if gpu.memory_used_bytes is None else gpu.memory_used_bytes >> 30,
            gpu.age_seconds == 0,
        )
        for gpu in snapshot.gpus
    }


def test_a_snapshot_has_the_host_the_gpus_and_what_is_absent(
    nvml: StandIn, sampler_of: MakeSampler
) -> None:
    snapshot = sampler_of().snapshot()

    assert snapshot.taken_at == NOON
    assert snapshot.host.memory_available_bytes == AVAILABLE
    assert used(snapshot) == {"0": (2, True), "1": (20, True)}
    assert list(snapshot.absent) == ["amd", "intel"]
    assert snapshot.failures == {}


def test_one_vendor_failing_does_not_hide_another() -> None:
    gpu = GpuReading(uid="1", vendor="a")
    host = HostReading(memory_total_bytes=TOTAL)

    snapshot = assemble(
        NOON,
        host,
        {"b": VendorReport(failure="driver gone"), "a": VendorReport(readings=(gpu,))},
    )

    assert snapshot == Snapshot(
        taken_at=NOON, host=host, gpus=(gpu,), failures={"b": "driver gone"}
    )


@pytest.mark.parametrize("function", ["nvmlDeviceGetUtilizationRates", "*"])
def test_while_one_gpu_hangs_the_other_is_read_and_it_recovers(
    nvml: StandIn, sampler_of: MakeSampler, function: str
) -> None:
    sampler = sampler_of()
    sampler.snapshot()
    nvml.load(f"{TWO_GPUS}gpu 1 memory_used 32212254720\non {function} gpu=0 hang\n")

    snapshots = [sampler.snapshot() for _ in range(3)]

    assert [used(each) for each in snapshots] == [{"0": (2, False), "1": (30, True)}] * 3
    assert snapshots[-1].failures == {"nvidia": f"no answer from {UID.format(0)} within 0.2 s"}
    assert nvml.hanging == 1
    nvml.load(TWO_GPUS)
    while used(snapshot := sampler.snapshot()) != {"0": (2, True), "1": (20, True)}:
        assert snapshot.gpus
    assert sampler.snapshot().failures == {}


def test_a_gpu_that_hangs_from_the_start_is_listed_and_the_other_is_read(
    nvml: StandIn, sampler_of: MakeSampler
) -> None:
    nvml.load(f"{TWO_GPUS}on nvmlDeviceGetHandleByIndex_v2 gpu=0 hang\n")

    first, second = sampler_of().snapshot().gpus

    assert (first.uid, first.unknown["memory_total_bytes"]) == ("nvidia:0", Cause.TIMEOUT)
    assert (second.uid, second.age_seconds) == (UID.format(1), 0)


def test_a_driver_that_hangs_at_opening_is_told(nvml: StandIn, sampler_of: MakeSampler) -> None:
    nvml.load("on nvmlInit hang\n")
    sampler = sampler_of()

    assert sampler.snapshot().failures == {"nvidia": "the driver did not open within 1 s"}
    nvml.release()
    while not sampler.snapshot().gpus:
        pass


def test_a_library_with_one_lock_makes_all_stale_and_says_so(
    nvml: StandIn, sampler_of: MakeSampler
) -> None:
    nvml.load(f"mutex\n{TWO_GPUS}")
    sampler = sampler_of()
    sampler.snapshot()
    nvml.load(f"mutex\n{TWO_GPUS}on nvmlDeviceGetPowerUsage gpu=0 hang\n")

    snapshots = [sampler.snapshot() for _ in range(4)]

    assert used(snapshots[-1]) == {"0": (2, False), "1": (20, False)}
    assert snapshots[-1].failures == {
        "nvidia": f"no answer from {UID.format(0)}, {UID.format(1)} within 0.2 s"
    }


def test_a_driver_that_is_unloaded_comes_back_without_a_restart(
    nvml: StandIn, sampler_of: MakeSampler
) -> None:
    sampler = sampler_of()
    sampler.snapshot()
    nvml.load(f"{TWO_GPUS}on * error=9\n")

    gone = sampler.snapshot()

    assert gone.gpus == ()
    assert "not loaded" in gone.failures["nvidia"]
    nvml.load(TWO_GPUS)
    while not (back := sampler.snapshot()).gpus:
        assert back.failures
    assert used(back) == {"0": (2, True), "1": (20, True)}
    assert nvml.initialised == 1


def test_a_lost_gpu_is_told_apart_from_none(nvml: StandIn, sampler_of: MakeSampler) -> None:
    nvml.load(f"{TWO_GPUS}on nvmlDevice* gpu=1 error=15\n")

    snapshot = sampler_of().snapshot()

    assert [gpu.state for gpu in snapshot.gpus] == [GpuState.ACTIVE, GpuState.LOST]


def test_beside_a_busy_thread_eight_gpus_are_read_whole(
    nvml: StandIn, sampler_of: MakeSampler
) -> None:
    nvml.load("gpus 8\ngpu * process compute pid=4194401 memory=1\n")
    sampler = sampler_of(deadlines=Deadlines())
    sampler.snapshot()
    stop = threading.Event()

    def compute() -> None:
        while not stop.is_set():
            pass

    thread = threading.Thread(target=compute)
    thread.start()
    try:
        snapshots = [sampler.snapshot() for _ in range(4)]
    finally:
        stop.set()
        thread.join()

    assert [each.failures for each in snapshots] == [{}] * 4
    assert [gpu.age_seconds for each in snapshots for gpu in each.gpus] == [0.0] * 32


def test_what_was_detected_is_logged_once_a_change(
    nvml: StandIn, sampler_of: MakeSampler, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="vramline.sampler")
    sampler = sampler_of()
    for _ in range(3):
        sampler.snapshot()
    nvml.load(f"{TWO_GPUS}on nvmlDevice* gpu=1 error=15\n")
    for _ in range(3):
        sampler.snapshot()

    messages = [record.getMessage() for record in caplog.records]

    assert len(messages) == 2
    assert "'lost'" not in messages[0]
    assert "'lost'" in messages[1]


def test_a_vendor_whose_gpus_another_reader_found_is_not_absent() -> None:
    gpu = GpuReading(uid="0000:01:00.0", vendor="nvidia")
    missing, none = VendorReport(absent="no binding"), VendorReport(absent="no AMD GPU")

    snapshot = assemble(
        NOON,
        HostReading(),
        {"nvidia": missing, "amd": none, "windows": VendorReport(readings=(gpu,))},
    )

    assert snapshot.absent == {"amd": "no AMD GPU"}


def test_one_snapshot_looks_twice_for_rates(nvml: StandIn) -> None:
    waited: list[float] = []

    snapshot = take_snapshot(machine(), sleep=waited.append)

    assert waited == [0.2]
    assert used(snapshot) == {"0": (2, True), "1": (20, True)}
    assert nvml.initialised == 0


def test_a_gpu_that_was_open_too_late_for_the_first_look_gets_a_third() -> None:
    waited: list[float] = []
    now = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        waited.append(seconds)
        now += seconds if len(waited) > 1 else 0.0

    host = entries_of("host/desktop_v2")
    tigerlake = recorded("intel/tigerlake", clock=lambda: now, **host)
    snapshot = take_snapshot(tigerlake, sleep=sleep)

    assert waited == [0.2, 0.2]
    assert [gpu.utilization_percent for gpu in snapshot.gpus] == [100.0]


def test_a_recorded_machine_without_a_driver_is_read_from_its_files_alone() -> None:
    with Sampler(RecordedMachine({})) as sampler:
        snapshot = sampler.snapshot()

    assert snapshot.absent["nvidia"].startswith("the Python module pynvml is not installed")
    assert snapshot.host.unknown["memory_total_bytes"] is Cause.NOT_SUPPORTED
