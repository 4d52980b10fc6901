"""A driver to run the reading threads on, every call of which can be held."""

import threading
import time
from collections.abc import Callable, Sequence

from vramline.readings import Cause, FrozenDict, GpuReading
from vramline.sampler.guard import GuardedReader
from vramline.sampler.rounds import Deadlines, VendorReport

SHORT = Deadlines(opening_seconds=0.3, reading_seconds=0.2)
PATIENT = Deadlines(opening_seconds=60, reading_seconds=60)


class Driver:
    """A vendor's driver whose every device can be made to hang, and let go again."""

    def __init__(self, devices: Sequence[str] = ("a", "b", "c")) -> None:
        self.names = devices
        self.gates = {name: threading.Event() for name in ("open", "close", *devices)}
        for gate in self.gates.values():
            gate.set()
        self.entered = {name: threading.Semaphore(0) for name in self.gates}
        self.fails: dict[str, Exception] = {}
        self.reads: list[str] = []
        self.tries = self.opened = self.closed = 0
        self.value = 0
        self.one_lock: threading.Lock | None = None

    def hang(self, name: str) -> None:
        self.gates[name].clear()

    def let_go(self, name: str) -> None:
        self.gates[name].set()

    def call(self, name: str) -> None:
        if self.one_lock:
            with self.one_lock:
                self._answer(name)
        else:
            self._answer(name)

    def _answer(self, name: str) -> None:
        self.entered[name].release()
        assert self.gates[name].wait(30)
        if name in self.fails:
            raise self.fails[name]

    def open_reader(self) -> "Reader":
        self.tries += 1
        self.call("open")
        self.opened += 1
        return Reader(self)


class Reader:
    def __init__(self, driver: Driver) -> None:
        self.driver = driver

    def devices(self) -> Sequence[str]:
        return self.driver.names

    def read(self, device: str) -> list[GpuReading]:
        self.driver.reads.append(device)
        self.driver.call(device)
        return [reading(device, self.driver.value)]

    def describe(self, device: str, cause: Cause) -> GpuReading:
        return unread(device, cause)

    def arrange(self, readings: Sequence[GpuReading]) -> tuple[GpuReading, ...]:
        return tuple(readings)

    def close(self) -> None:
        self.driver.call("close")
        self.driver.closed += 1


def reading(device: str, value: int) -> GpuReading:
    return GpuReading(uid=device, vendor="test", memory_used_bytes=value)


def unread(device: str, cause: Cause = Cause.TIMEOUT) -> GpuReading:
    return GpuReading(uid=device, vendor="test", unknown=FrozenDict(memory_used_bytes=cause))


def silent(*uids: str) -> str:
    return f"no answer from {', '.join(uids)} within 0.2 s"


def fresh(report: VendorReport) -> dict[str, int | None]:
    return {gpu.uid: gpu.memory_used_bytes for gpu in report.readings if gpu.age_seconds == 0}


def read_until_all_answer(guard: GuardedReader) -> VendorReport:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        report = guard.read()
        if len(fresh(report)) == 3:
            return report
    raise AssertionError("the devices never came back")


def threads_of(driver_name: str) -> int:
    return sum(thread.name == f"vramline {driver_name}" for thread in threading.enumerate())


MakeGuard = Callable[[Deadlines], GuardedReader]
