import gc
import threading
import weakref

import pytest

from tests.sampler.driver import (
    PATIENT,
    SHORT,
    Driver,
    MakeGuard,
    fresh,
    read_until_all_answer,
    reading,
    silent,
    threads_of,
    unread,
)
from vramline.errors import ReadError, ReaderUnavailableError
from vramline.readings import Cause
from vramline.sampler.guard import GuardedReader
from vramline.sampler.rounds import Deadlines, VendorReport


def test_every_device_is_read(driver: Driver, guard_of: MakeGuard) -> None:
    driver.value = 7

    report = guard_of(PATIENT).read()

    assert report == VendorReport(readings=tuple(reading(name, 7) for name in "abc"))


def test_a_later_reading_opens_nothing_again(driver: Driver, guard_of: MakeGuard) -> None:
    guard = guard_of(PATIENT)
    guard.read()
    driver.value = 8

    report = guard.read()

    assert fresh(report) == {"a": 8, "b": 8, "c": 8}
    assert driver.opened == 1


def test_a_hung_device_costs_the_others_nothing(driver: Driver, guard_of: MakeGuard) -> None:
    guard = guard_of(SHORT)
    guard.read()
    driver.hang("a")
    driver.value = 8

    report = guard.read()

    assert fresh(report) == {"b": 8, "c": 8}
    assert report.failure == silent("a")
    stale = report.readings[0]
    assert (stale.uid, stale.memory_used_bytes) == ("a", 0)
    assert stale.age_seconds >= SHORT.reading_seconds


def test_a_device_that_hung_is_not_waited_for_again(driver: Driver, guard_of: MakeGuard) -> None:
    guard = guard_of(SHORT)
    guard.read()
    driver.hang("b")
    guard.read()
    driver.reads.clear()
    driver.value = 9

    round_ = guard.begin()
    report = guard.finish(round_)

    assert fresh(report) == {"a": 9, "c": 9}
    assert sorted(driver.reads) == ["a", "c"]
    assert round_.done.is_set()


def test_a_device_recovers_when_its_call_returns(driver: Driver, guard_of: MakeGuard) -> None:
    guard = guard_of(SHORT)
    guard.read()
    driver.hang("a")
    guard.read()
    driver.let_go("a")
    driver.value = 3

    report = read_until_all_answer(guard)

    assert fresh(report) == {"a": 3, "b": 3, "c": 3}
    assert report.failure is None


def test_a_device_that_hangs_from_the_start_is_listed_with_the_cause(
    driver: Driver, guard_of: MakeGuard
) -> None:
    driver.hang("a")

    report = guard_of(SHORT).read()

    assert report.readings == (unread("a"), reading("b", 0), reading("c", 0))
    assert report.failure == silent("a")


def test_a_device_that_hangs_right_after_a_slow_opening_costs_the_others_nothing(
    driver: Driver, guard_of: MakeGuard
) -> None:
    driver.hang("open")
    driver.hang("a")
    guard = guard_of(Deadlines(opening_seconds=1, reading_seconds=0.2))
    round_ = guard.begin()
    reports: list[VendorReport] = []
    waiting = threading.Thread(target=lambda: reports.append(guard.finish(round_)))
    waiting.start()
    assert driver.entered["open"].acquire(timeout=30)

    driver.let_go("open")

    waiting.join(30)
    assert reports[0].readings == (unread("a"), reading("b", 0), reading("c", 0))


def test_each_stuck_device_holds_one_thread(
    driver: Driver, guard_of: MakeGuard, request: pytest.FixtureRequest
) -> None:
    guard = guard_of(SHORT)
    guard.read()
    driver.hang("a")
    driver.hang("c")

    for _ in range(20):
        guard.read()

    assert driver.reads.count("a") == 2
    assert driver.reads.count("c") == 2
    assert threads_of(request.node.name) == 3


def test_all_go_stale_where_the_driver_holds_one_lock(
    driver: Driver, guard_of: MakeGuard, request: pytest.FixtureRequest
) -> None:
    guard = guard_of(SHORT)
    guard.read()
    driver.one_lock = threading.Lock()
    driver.hang("a")

    reports = [guard.read() for _ in range(6)]

    assert reports[-1].failure == silent("a", "b", "c")
    assert threads_of(request.node.name) == 3
    driver.let_go("a")
    assert fresh(read_until_all_answer(guard)) == {"a": 0, "b": 0, "c": 0}


def test_callers_that_arrive_during_a_reading_share_it(driver: Driver, guard_of: MakeGuard) -> None:
    guard = guard_of(PATIENT)
    guard.read()
    driver.reads.clear()
    driver.hang("a")
    joined = [guard.begin() for _ in range(20)]
    driver.let_go("a")

    reports = [guard.finish(each) for each in joined]

    assert driver.reads == ["a", "b", "c"]
    assert all(report == reports[0] for report in reports)


def test_a_vendor_that_is_not_here_is_absent(driver: Driver, guard_of: MakeGuard) -> None:
    driver.fails["open"] = ReaderUnavailableError("no such hardware")

    assert guard_of(PATIENT).read() == VendorReport(absent="no such hardware")


def test_a_vendor_that_is_not_here_is_not_looked_for_at_every_reading(
    driver: Driver, guard_of: MakeGuard
) -> None:
    driver.fails["open"] = ReaderUnavailableError("no such hardware")
    guard = guard_of(PATIENT)

    reports = [guard.read() for _ in range(10)]

    assert reports == [VendorReport(absent="no such hardware")] * 10
    assert driver.tries == 1


def test_a_driver_that_does_not_open_is_a_failure(driver: Driver, guard_of: MakeGuard) -> None:
    driver.fails["open"] = ReadError("driver and library disagree")

    assert guard_of(PATIENT).read() == VendorReport(failure="driver and library disagree")


def test_a_driver_that_hangs_at_opening_is_a_failure(driver: Driver, guard_of: MakeGuard) -> None:
    driver.hang("open")
    guard = guard_of(SHORT)

    reports = [guard.read() for _ in range(3)]

    assert reports == [VendorReport(failure="the driver did not open within 0.3 s")] * 3


def test_a_driver_that_opened_late_is_read_all_the_same(
    driver: Driver, guard_of: MakeGuard
) -> None:
    driver.hang("open")
    guard = guard_of(SHORT)
    guard.read()
    driver.let_go("open")
    assert driver.entered["a"].acquire(timeout=30)

    report = guard.read()

    assert fresh(report) == {"a": 0, "b": 0, "c": 0}


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_failed_session_is_opened_anew_after_a_growing_pause(driver: Driver) -> None:
    clock = Clock()
    guard = GuardedReader(driver.open_reader, name="test", deadlines=PATIENT, clock=clock)
    guard.read()
    driver.fails["b"] = ReadError("driver unloaded")
    driver.fails["open"] = ReadError("driver not loaded")

    assert guard.read() == VendorReport(failure="driver unloaded")
    clock.now += 1
    while driver.tries < 2:  # the failed session is closed first
        guard.read()
    for _ in range(39):
        clock.now += 1
        guard.read()

    assert driver.tries == 6  # after 1, 2, 4, 8 and 16 s more
    driver.fails.clear()
    clock.now += 60
    assert fresh(guard.read()) == {"a": 0, "b": 0, "c": 0}
    guard.close()


def test_a_failed_session_is_closed_by_the_last_call_to_leave_it(
    driver: Driver, guard_of: MakeGuard
) -> None:
    guard = guard_of(SHORT)
    guard.read()
    driver.hang("a")
    guard.read()
    driver.fails["b"] = ReadError("driver unloaded")
    guard.read()

    assert driver.closed == 0
    driver.let_go("a")
    assert driver.entered["close"].acquire(timeout=30)


def test_an_unexpected_error_in_a_reader_costs_that_device_and_is_logged_once(
    driver: Driver, guard_of: MakeGuard, caplog: pytest.LogCaptureFixture
) -> None:
    guard = guard_of(PATIENT)
    driver.fails["b"] = ZeroDivisionError("a fault of ours")

    reports = [guard.read() for _ in range(3)]

    assert reports[-1] == VendorReport(
        readings=(reading("a", 0), unread("b", Cause.DRIVER_ERROR), reading("c", 0)),
        failure="unexpected ZeroDivisionError: a fault of ours",
    )
    assert len(caplog.records) == 1
    driver.fails.clear()
    assert guard.read().failure is None


def test_where_no_thread_can_be_started_the_reason_is_told(driver: Driver) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    guard = GuardedReader(driver.open_reader, name="test", deadlines=PATIENT, start=refuse)

    assert guard.read() == VendorReport(
        failure="no thread could be started, as when a program ends"
    )


def test_closed_before_its_first_reading_it_says_so(driver: Driver) -> None:
    guard = GuardedReader(driver.open_reader, name="test", deadlines=PATIENT)
    guard.close()

    assert guard.read() == VendorReport(failure="closed before it was read")


def test_closing_lets_the_driver_go_once(driver: Driver, guard_of: MakeGuard) -> None:
    guard = guard_of(PATIENT)
    guard.read()

    guard.close()
    guard.close()

    assert driver.closed == 1


def test_after_closing_the_last_readings_are_still_there(
    driver: Driver, guard_of: MakeGuard
) -> None:
    guard = guard_of(PATIENT)
    driver.value = 5
    guard.read()
    guard.close()
    driver.value = 6

    report = guard.read()

    assert [gpu.memory_used_bytes for gpu in report.readings] == [5, 5, 5]
    assert report.failure is None


def test_closing_with_a_call_outstanding_leaves_the_driver_open_until_it_returns(
    driver: Driver, guard_of: MakeGuard
) -> None:
    guard = guard_of(SHORT)
    guard.read()
    driver.hang("a")
    guard.read()

    guard.close()

    assert driver.closed == 0
    driver.let_go("a")
    assert driver.entered["close"].acquire(timeout=30)


def test_closing_ends_the_threads(
    driver: Driver, guard_of: MakeGuard, request: pytest.FixtureRequest
) -> None:
    guard = guard_of(PATIENT)
    guard.read()
    (worker,) = (each for each in threading.enumerate() if each.name.endswith(request.node.name))

    guard.close()

    worker.join(30)
    assert not worker.is_alive()


def test_a_guard_that_is_forgotten_keeps_nothing_alive_once_closed(driver: Driver) -> None:
    guard = GuardedReader(driver.open_reader, name="test", deadlines=PATIENT)
    guard.read()
    guard.close()
    workers = [each for each in threading.enumerate() if each.name == "vramline test"]
    for worker in workers:
        worker.join(30)
    gone = weakref.ref(guard)

    del guard
    gc.collect()

    assert gone() is None


def test_many_threads_and_a_device_that_comes_and_goes(
    driver: Driver, guard_of: MakeGuard, request: pytest.FixtureRequest
) -> None:
    guard = guard_of(Deadlines(opening_seconds=0.5, reading_seconds=0.02))
    reports: list[VendorReport] = []

    def ask() -> None:
        reports.extend(guard.read() for _ in range(30))

    threads = [threading.Thread(target=ask) for _ in range(100)]
    for thread in threads:
        thread.start()
    for number in range(40):
        driver.hang("abc"[number % 3])
        assert threads_of(request.node.name) <= 4
        driver.let_go("abc"[number % 3])
    for thread in threads:
        thread.join(60)

    assert len(reports) == 3000
    assert {len(report.readings) for report in reports} == {3}


@pytest.mark.parametrize("seconds", [-1.0, float("inf"), float("nan")])
def test_a_deadline_that_is_none_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="zero or more seconds"):
        Deadlines(opening_seconds=seconds)
    with pytest.raises(ValueError, match="zero or more seconds"):
        Deadlines(reading_seconds=seconds)
