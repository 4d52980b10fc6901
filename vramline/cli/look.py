"""Takes the one snapshot that a command shows, of this machine or of a recorded one.

It tells a person who has to wait for it.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TextIO

from vramline.cli.options import WRONG_USE, Options
from vramline.cli.output import complain
from vramline.cli.words import printable
from vramline.machine import LiveMachine, Machine
from vramline.readings import Snapshot

if TYPE_CHECKING:
    from vramline.machine import RecordedMachine
    from vramline.sampler import Sampler

Look = Callable[[Machine], Snapshot]

UNDATED = datetime.fromtimestamp(0, UTC)
"""When a recording was made that does not tell, as one that was written by hand."""


def machine_of(options: Options) -> Machine:
    """Return the machine that the user asked for.

    Raises ``SystemExit`` where that is a file which is no recording, and says so.
    """
    if options.recording is None:
        return LiveMachine(host_root=options.host_root)
    from vramline.errors import RecordingError
    from vramline.machine import RecordedMachine

    try:
        # No clock: two looks at a counter whose times were not recorded make no rate.
        return RecordedMachine.from_dict(_content(options.recording), clock=lambda: 0.0)
    except OSError as error:
        why = error.strerror or str(error)
    except (RecordingError, ValueError) as error:  # a name that no file can have, too
        why = str(error)
    complain(printable(f"--from {options.recording}: {why}"))
    raise SystemExit(WRONG_USE)


def _content(file: str) -> bytes:
    from vramline.machine.recording import MAX_BYTES

    # By its number, as there may be no sys.stdin.
    with open(0 if file == "-" else file, "rb", closefd=file != "-") as stream:
        return stream.read(MAX_BYTES + 1)


def as_recorded(machine: Machine) -> "RecordedMachine | None":
    """Return the machine if it is a recorded one. Loads nothing for one that is not."""
    if isinstance(machine, LiveMachine):
        return None
    from vramline.machine import RecordedMachine

    return machine if isinstance(machine, RecordedMachine) else None


def told_of(machine: Machine) -> str:
    """Return what a person must know of a machine that is not this one, now; else nothing."""
    recorded = as_recorded(machine)
    if recorded is None:
        return ""
    at = recorded.taken_at
    when = f" {at:%Y-%m-%d %H:%M} UTC" if at else ""
    part = ", and interrupted" if recorded.interrupted else ""
    return printable(f"recorded{when} on {recorded.platform}{part}")


def look_once(machine: Machine) -> Snapshot:
    """Return a snapshot. While a driver is slow to open, say so on a terminal."""
    from vramline.sampler import Deadlines, Sampler, take_snapshot

    with _telling(sys.stderr, Deadlines().opening_seconds):
        recorded = as_recorded(machine)
        if recorded is not None:
            return _replay(recorded)
        if isinstance(machine, LiveMachine):
            return take_snapshot(machine)
        with Sampler(machine) as sampler:  # it is captured, to be replayed
            return look_in_turn(sampler, time.sleep)


def look_in_turn(sampler: "Sampler", pause: Callable[[float], object]) -> Snapshot:
    """Look as often as rates need it, each time to the end.

    So a replay looks as often as the capture did: how far a driver was opened when
    the next look began, which ``take_snapshot`` leaves open, is in no recording.
    """
    from vramline.sampler import SETTLE_SECONDS, wants_another_look

    sampler.snapshot()
    pause(SETTLE_SECONDS)
    snapshot = sampler.snapshot()
    if wants_another_look(snapshot):
        pause(SETTLE_SECONDS)
        snapshot = sampler.snapshot()
    return snapshot


def _replay(machine: "RecordedMachine") -> Snapshot:
    """Return the recorded snapshot. Nobody waits between its looks."""
    from vramline.sampler import Sampler

    with Sampler(machine, now=lambda: machine.taken_at or UNDATED) as sampler:
        snapshot = look_in_turn(sampler, lambda _: None)
    # What the replay itself took is not the reading's age.
    gpus = tuple(replace(gpu, age_seconds=round(gpu.age_seconds, 1)) for gpu in snapshot.gpus)
    return replace(snapshot, gpus=gpus)


@contextmanager
def _telling(stream: TextIO | None, limit_seconds: float) -> Iterator[None]:
    if stream is None or not stream.isatty():
        yield
        return
    done = threading.Event()
    teller = threading.Thread(
        target=tell, args=(stream, limit_seconds, done.wait), name="vramline-progress", daemon=True
    )
    teller.start()
    try:
        yield
    finally:
        done.set()
        teller.join()


def tell(stream: TextIO, limit_seconds: float, wait: Callable[[float], bool]) -> None:
    """Count the seconds on *stream* until *wait* returns true, and erase that again."""
    seconds, line = 0, ""
    limit = f"at most {limit_seconds:g} s for an answer"
    while not wait(1.0):
        seconds += 1
        line = f"waiting for the GPU drivers: {seconds} s ({limit})"
        stream.write(f"\r{line}")
        stream.flush()
    stream.write(f"\r{' ' * len(line)}\r" if line else "")
    stream.flush()
