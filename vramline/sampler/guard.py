"""Runs one reader on threads of its own, so that a driver that hangs holds up no caller.

No thread in a C call can be ended, so the caller never makes one. It asks for a
*round*, one reading of every device, and waits no longer than the deadline. The
devices of a round lie in one queue that workers take from: one worker does it all
until a device keeps it waiting, and then another takes the rest. A device whose
call has not come back is not asked again until it does, so each one that is stuck
holds one thread, whatever the number of callers.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from vramline.errors import ReadError, ReaderUnavailableError
from vramline.pauses import GrowingPause
from vramline.readers.base import GpuReader
from vramline.readings import Cause, GpuReading
from vramline.sampler import process
from vramline.sampler.rounds import SESSION, Deadlines, Look, Round, Session, VendorReport
from vramline.sampler.workers import Start, Task, Workers

log = logging.getLogger(__name__)

NOT_OPENED = "the driver did not open"


class GuardedReader:
    """One vendor's reader behind a deadline. Any thread may ask it, at any time.

    Args:
        open_reader: Opens the reader. Called on a worker, again after a
            failure (with a growing pause) and in a forked child.
        name: The vendor, for the names of the threads and the log.
    """

    def __init__(
        self,
        open_reader: Callable[[], GpuReader],
        *,
        name: str,
        deadlines: Deadlines | None = None,
        clock: Callable[[], float] = time.monotonic,
        start: Start = threading.Thread.start,
    ) -> None:
        self._open_reader = open_reader
        self._name = name
        self._deadlines = deadlines or Deadlines()
        self._clock = clock
        self._start = start
        self._closing = False
        self._logged: set[str] = set()
        self.start_anew()
        process.register(self)

    def start_anew(self) -> None:
        """Forget every thread, lock and session: in a forked child they are the parent's."""
        # Reentrant, as a collected Sampler closes its guards from wherever the
        # garbage collector happens to run.
        self._lock = threading.RLock()
        self._held_by: int | None = None
        self._workers = Workers(self._name, self._lock, self._start)
        self._busy: dict[str, float] = {}
        self._round: Round | None = None
        self._session: Session | None = None
        self._failed: Session | None = None
        self._latest: dict[str, Look] = {}
        self._absent: str | None = None
        self._failure: str | None = None
        self._retry_at = self._clock()
        self._pause = GrowingPause()
        self._first = True

    # The caller's side.

    def read(self, *, until: float = float("inf")) -> VendorReport:
        """Return the newest readings. Waits no longer than the deadline, and never raises."""
        return self.finish(self.begin(), until=until)

    def begin(self) -> Round:
        """Join the round that is under way, or start one. Does not wait."""
        with self._lock:
            if self._round is not None:
                return self._round
            round_ = Round(started=self._clock(), first=self._first)
            if self._nothing_to_ask():
                round_.done.set()
            elif self._send(partial(self._carry_out, round_)):
                self._round = round_
            else:
                self._failure = (
                    self._failure or "no thread could be started, as when a program ends"
                )
                round_.done.set()
            return round_

    def finish(self, round_: Round, *, until: float = float("inf")) -> VendorReport:
        """Wait for the round, within the deadline, and return the newest readings.

        *until* is a time of the clock past which a first reading is not waited for.
        """
        self._wait(round_, until)
        if round_.first and not round_.done.is_set():
            # A device that hung at its first reading used up the long deadline:
            # what the others said then is old by now.
            self._wait(round_ := self.begin(), float("inf"))
        with self._lock:
            return self._report(round_)

    def close(self, *, wait: bool = True) -> None:
        """Let the driver go, and with it every thread that is not stuck.

        With a call outstanding the driver stays open; the last readings are
        still to be had.
        """
        with self._lock:
            if not self._closing:
                self._closing = True
                if self._session is not None:
                    self._end(self._session)
                self._workers.dismiss()
        if wait:
            self.await_closed(self._deadlines.reading_seconds)

    def await_closed(self, seconds: float) -> None:
        """Wait, no longer than that, for the driver to be closed where it is being closed."""
        with self._lock:
            ending = [each for each in (self._session, self._failed) if each and each.closing]
        until = time.monotonic() + seconds
        for session in ending:
            session.closed.wait(max(until - time.monotonic(), 0))

    def _wait(self, round_: Round, until: float) -> None:
        while not round_.done.is_set():
            with self._lock:
                now = self._clock()
                limit = min(self._limit(round_), until if round_.first else float("inf"))
                if now >= limit:
                    return self._give_up(round_)
                if now >= self._help_at(round_):
                    round_.moved = now
                    self._send(partial(self._carry_out, round_))
            # No longer than that at a time, as the reader may open meanwhile.
            round_.done.wait(min(limit - now, self._deadlines.patience_seconds))

    def _give_up(self, round_: Round) -> None:
        """Leave what is not done to the next round, which begins with it."""
        if round_.pending is not None:
            round_.pending.clear()
        self._over(round_)

    def _over(self, round_: Round) -> None:
        self._first = False
        if self._round is round_:
            self._round = None

    def _limit(self, round_: Round) -> float:
        """Until when a caller waits for the round, as it stands."""
        seconds = self._deadlines.reading_seconds
        if round_.first:
            opening = round_.started + self._deadlines.opening_seconds
            return max(opening, round_.opened + 2 * seconds)
        if round_.pending is None:
            return round_.started + seconds
        newest = max(round_.asked.values(), default=round_.moved)
        return min(newest + seconds, round_.opened + 2 * seconds)

    def _help_at(self, round_: Round) -> float:
        """When another worker should take what the present ones leave lying."""
        if round_.pending is None and self._session is not None:
            return max(round_.started, round_.moved) + self._deadlines.patience_seconds
        if not round_.pending:
            return float("inf")
        return round_.moved + self._deadlines.patience_seconds

    def _nothing_to_ask(self) -> bool:
        if self._closing or SESSION in self._busy:
            return True
        if self._session is None:
            return self._clock() < self._retry_at
        return all(device in self._busy for device in self._session.reader.devices())

    def _report(self, round_: Round) -> VendorReport:
        if self._session is None:
            return self._report_of_none()
        reader = self._session.reader
        readings: list[GpuReading] = []
        silent: list[str] = []
        faults: list[str] = []
        for device in reader.devices():
            look = self._latest.get(device)
            if look is not None and look.at >= round_.started:
                readings.extend(look.readings)
            else:
                stale = self._stale(reader, device, look)
                readings.extend(stale)
                silent.append(stale[0].uid)
            if look is not None and look.fault is not None:
                faults.append(look.fault)
        faults.extend(self._silence(silent, round_))
        return VendorReport(readings=reader.arrange(readings), failure="; ".join(faults) or None)

    def _report_of_none(self) -> VendorReport:
        failure = self._failure
        if SESSION in self._busy and not failure:
            failure = f"{NOT_OPENED} within {self._deadlines.opening_seconds:g} s"
        elif self._closing and not (failure or self._absent):
            failure = "closed before it was read"
        return VendorReport(absent=self._absent, failure=failure)

    def _stale(self, reader: GpuReader, device: str, look: Look | None) -> Sequence[GpuReading]:
        if look is None:
            return [reader.describe(device, Cause.TIMEOUT)]
        age = self._clock() - look.at
        return [replace(gpu, age_seconds=gpu.age_seconds + age) for gpu in look.readings]

    def _silence(self, uids: Sequence[str], round_: Round) -> list[str]:
        deadlines = self._deadlines
        seconds = deadlines.opening_seconds if round_.first else deadlines.reading_seconds
        if not uids or not deadlines.reading_seconds or self._closing:
            return []
        return [f"no answer from {', '.join(uids)} within {seconds:g} s"]

    # The workers' side.

    def _send(self, task: Task) -> bool:
        return self._workers.send(task, calls_out=len(self._busy))

    def _carry_out(self, round_: Round) -> None:
        with self._lock:
            if round_.complete:
                return
            round_.running += 1
        try:
            session = self._session or self._open()
            while session is not None and (device := self._take(session, round_)) is not None:
                self._read(session, device, round_)
        finally:
            self._leave(round_)

    def _open(self) -> Session | None:
        with self._lock:
            if self._closing or SESSION in self._busy or self._session is not None:
                return self._session
            self._busy[SESSION] = self._clock()
        absent = failure = session = None
        try:
            session = Session(self._open_reader())
        except ReaderUnavailableError as error:
            absent = str(error)
        except ReadError as error:
            failure = str(error)
        except Exception as error:  # noqa: BLE001 (the top of a thread must not end)
            failure = self._unexpected(error)
        return self._opened(session, absent, failure)

    def _opened(
        self, session: Session | None, absent: str | None, failure: str | None
    ) -> Session | None:
        with self._lock:
            del self._busy[SESSION]
            self._absent, self._failure = absent, failure
            self._session = session
            if session is None:
                self._retry_at = self._clock() + self._pause.next()
            elif self._closing:
                self._end(session)
            return session

    def _take(self, session: Session, round_: Round) -> str | None:
        """Take the next device of the round, or ``None`` when there is none left."""
        with self._lock:
            now = self._clock()
            if round_.pending is None:
                round_.pending = self._oldest_first(session.reader.devices())
                round_.opened = round_.moved = now
            if session.ended:
                round_.pending.clear()
            while round_.pending:
                device = round_.pending.popleft()
                if device not in self._busy:
                    self._busy[device] = round_.asked[device] = now
                    session.users += 1
                    return device
            return None

    def _oldest_first(self, devices: Sequence[str]) -> deque[str]:
        never = Look(float("-inf"), ())
        ages = {key: self._latest.get(key, never).at for key in devices if key not in self._busy}
        return deque(sorted(ages, key=ages.__getitem__))

    def _read(self, session: Session, device: str, round_: Round) -> None:
        readings: Sequence[GpuReading] | None = None
        failure: str | None = None
        try:
            readings = session.reader.read(device)
        except ReadError as error:
            failure = str(error)
        except Exception as error:  # noqa: BLE001 (a fault of ours costs this device alone)
            failure = self._unexpected(error)
            readings = (session.reader.describe(device, Cause.DRIVER_ERROR),)
        finally:
            with self._lock:
                round_.moved = now = self._clock()
                del self._busy[device], round_.asked[device]
                session.users -= 1
                if session is not self._session:
                    pass  # it failed while this call was out
                elif readings is None:
                    self._give_session_up(failure)
                else:
                    self._latest[device] = Look(now, tuple(readings), failure)
                    self._pause.reset()
                if session.ended:
                    self._end(session)

    def _unexpected(self, error: Exception) -> str:
        """Log a fault of ours, once, and return what to say of it."""
        text = f"unexpected {type(error).__name__}: {error}"
        if text not in self._logged:
            self._logged.add(text)
            log.error("%s: %s", self._name, text, exc_info=error)
        return text

    def _give_session_up(self, failure: str | None) -> None:
        """End the session; a later round opens another."""
        self._failed, self._session = self._session, None
        if self._failed is not None:
            self._failed.ended = True
        self._failure = failure
        self._latest.clear()
        self._retry_at = self._clock() + self._pause.next()

    def _end(self, session: Session) -> None:
        """Have a worker close the session.

        Not while a call is out: the one that comes back last sees to it.
        """
        session.ended = True
        if session.users or session.closing:
            return
        session.closing = True
        self._busy[SESSION] = self._clock()
        if not self._send(partial(self._close_session, session)):
            session.closed.set()

    def _close_session(self, session: Session) -> None:
        try:
            session.reader.close()
        except Exception as error:  # noqa: BLE001 (the top of a thread must not end)
            self._unexpected(error)
        finally:
            with self._lock:
                del self._busy[SESSION]
            session.closed.set()

    def _leave(self, round_: Round) -> None:
        with self._lock:
            round_.running -= 1
            last = round_.running == 0 and not round_.pending and not round_.complete
            if last:
                round_.complete = True
                self._over(round_)
        if last:  # not under the lock, which whoever waits for it takes next
            round_.done.set()

    # Forks and the interpreter's exit.

    def hold_for_fork(self) -> None:
        """Wait for calls under way, so that the child finds no lock of the driver's taken.

        A call that is stuck is not waited for, and then the child's own opening
        runs into its deadline.
        """
        patience = self._deadlines.patience_seconds
        until = self._clock() + patience
        while self._lock.acquire(timeout=patience):
            now = self._clock()
            if now >= until or all(now - since >= patience for since in self._busy.values()):
                self._held_by = threading.get_ident()
                return
            self._lock.release()
            time.sleep(0.001)

    def go_on_after_fork(self) -> None:
        if self._held_by == threading.get_ident():  # another thread may be forking too
            self._held_by = None
            self._lock.release()
