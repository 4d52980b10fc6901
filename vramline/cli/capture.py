"""``vramline capture FILE``: this machine as a file that ``--from`` replays."""

import errno
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from vramline import __version__
from vramline.cli.fit.processor import processor_of
from vramline.cli.look import Look
from vramline.cli.options import Options, would_be_lost
from vramline.cli.output import complain, emit
from vramline.doctor import examine, installed_version
from vramline.machine import LiveMachine
from vramline.machine.capture import CapturingMachine
from vramline.machine.masking import Masks
from vramline.machine.writing import Header, to_text
from vramline.runners import find_runners, loaded_models


@dataclass(slots=True)
class _Visit:
    """How far the recording of a machine got."""

    machine: CapturingMachine
    taken_at: datetime
    took_seconds: float = 0.0
    versions: dict[str, str] = field(default_factory=dict)
    complete: bool = False

    def version_of(self, distribution: str) -> str | None:
        version = installed_version(distribution)
        if version is not None:
            self.versions[distribution] = version
        return version


def run(options: Options, look: Look) -> int:
    """Record the machine; return the exit status.

    What was read until an interrupt, or until vramline itself failed, is written
    too: that is when it is wanted most.
    """
    machine = CapturingMachine(LiveMachine(host_root=options.host_root))
    visit = _Visit(machine, datetime.now(UTC))
    try:
        _look_at_all(visit, look)
    except BaseException:
        _save(visit, options)
        raise
    return _save(visit, options)


def _look_at_all(visit: _Visit, look: Look) -> None:
    """Ask all that ``vramline`` and its doctor ask, and what is asked of it for models.

    What this Python has installed is left out, as a replay has its own or none.
    """
    started = time.monotonic()
    snapshot = look(visit.machine)
    visit.taken_at, visit.took_seconds = snapshot.taken_at, time.monotonic() - started
    examine(visit.machine, snapshot, version_of=visit.version_of, took_seconds=visit.took_seconds)
    find_runners(visit.machine, lambda _: None)
    loaded_models(visit.machine)
    processor_of(visit.machine)
    visit.complete = True


def _save(visit: _Visit, options: Options) -> int:
    masks = Masks()
    header = Header(
        version=__version__,
        taken_at=visit.taken_at,
        took_seconds=visit.took_seconds,
        versions=visit.versions,
        interrupted=not visit.complete,
    )
    text = to_text(visit.machine.to_dict(header, masks))
    status = emit(text) if options.capture_to == "-" else _write(options, text)
    if status == 0:
        _tell(options.capture_to, len(text), masks.told(), complete=visit.complete)
    return status


def _write(options: Options, text: str) -> int:
    file = options.capture_to
    try:
        if would_be_lost(file) and not options.force:  # since the options were read
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        _write_whole(file, text)
    except OSError as error:
        complain(f"cannot write {file}: {error.strerror or error}")
        return 1
    return 0


def _write_whole(file: str, text: str) -> None:
    """Write all of a file, or nothing."""
    with suppress(FileNotFoundError):
        if not stat.S_ISREG(os.stat(file).st_mode):  # a device, or a pipe, is not replaced
            with open(file, "w", encoding="utf-8") as stream:
                stream.write(text)
            return
    file = os.path.realpath(file)  # a link is kept, and what it points to is replaced
    with _draft(file) as draft:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        with open(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(draft, file)


@contextmanager
def _draft(file: str) -> Iterator[str]:
    """Give a name beside *file*, and leave nothing there whatever happens."""
    draft = f"{file}.{os.getpid()}.new"
    try:
        yield draft
    finally:
        with suppress(FileNotFoundError):
            os.unlink(draft)


def _tell(file: str, length: int, masked: dict[str, int], *, complete: bool) -> None:
    what = "the recording" if file == "-" else file
    words = [f"{count} {_plural(kind, count)}" for kind, count in masked.items()]
    of_masks = f"masked {', '.join(words)}" if words else "nothing was masked"
    part = "" if complete else ", as far as it was read,"
    complain(
        f"wrote {what}{part} ({length // 1024 + 1} KiB; {of_masks}): "
        "look through it before you send it"
    )


def _plural(kind: str, count: int) -> str:
    return kind if count == 1 else f"{kind}{'es' if kind.endswith('s') else 's'}"
