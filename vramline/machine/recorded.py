"""A machine as it was recorded."""

import base64
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from types import ModuleType
from typing import Any, Never, Self

from vramline.machine.answers import os_error
from vramline.machine.keys import command_key, ioctl_key
from vramline.machine.protocol import HttpAnswer
from vramline.machine.recording import Recording, parse
from vramline.machine.tree import Tree, target
from vramline.machine.turns import Rows, Turns, rows

Ioctl = Callable[[str, int, bytes], bytes]
"""Takes the device file, the request and the memory, and returns the memory after it."""

_NOTHING = Recording()


class RecordedMachine:
    """A machine as it was recorded: nothing live is touched.

    Args:
        entries: What lies at each absolute path, as ``files`` has it in a
            recording: a file's text, or one of ``{"base64": text}``,
            ``{"symlink": target}``, ``{"dir": [names]}`` and
            ``{"errno": "EBUSY"}`` for a file that could not be read.
        libraries: What stands in for each native library.
        programs: What each command prints, or how running it fails.
        ioctl: Answers in the place of ``ioctl``, and raises as it does.
        clock: Tells the time to a thread that got no answer whose time was recorded.
        recording: What else is known of the machine.
    """

    def __init__(
        self,
        entries: Mapping[str, str | Mapping[str, Any]],
        *,
        platform: str | None = None,
        environ: Mapping[str, str] | None = None,
        libraries: Mapping[str, ModuleType] | None = None,
        programs: Mapping[tuple[str, ...], str | Exception] | None = None,
        ioctl: Ioctl | None = None,
        clock: Callable[[], float] = time.monotonic,
        recording: Recording = _NOTHING,
    ) -> None:
        self._recording = recording
        self._files = {**recording.files, **{path: rows(each) for path, each in entries.items()}}
        self._tree = Tree(self._files, recording.links)
        self._platform = platform or recording.platform
        self._environ = dict(recording.environ if environ is None else environ)
        self._libraries = dict(libraries or {})
        self._programs = {command_key(each): output for each, output in (programs or {}).items()}
        self._ioctl = ioctl
        self._clock = clock
        self._turns = Turns()

    @classmethod
    def from_dict(
        cls,
        recording: str | bytes | Mapping[str, Any],
        *,
        libraries: Mapping[str, ModuleType] | None = None,
        ioctl: Ioctl | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> Self:
        """Return the machine of a recording, as its file or as JSON has it.

        Raises ``RecordingError`` for what is no recording.
        """
        return cls({}, libraries=libraries, ioctl=ioctl, clock=clock, recording=parse(recording))

    @property
    def taken_at(self) -> datetime | None:
        """When it was recorded, in UTC, where that is known."""
        return self._recording.taken_at

    @property
    def took_seconds(self) -> float:
        """How long its snapshot took."""
        return self._recording.took_seconds

    @property
    def interrupted(self) -> bool:
        """Whether it was ended before all was asked: what is not there may only not be known."""
        return self._recording.interrupted

    def version_of(self, distribution: str) -> str | None:
        """Return the version of a Python distribution there, ``None`` where it was not there."""
        return self._recording.versions.get(distribution)

    @property
    def platform(self) -> str:
        return self._platform

    @property
    def process(self) -> str:
        return self._recording.process

    @property
    def environ(self) -> Mapping[str, str]:
        return self._environ

    def read(self, path: str) -> str:
        content = self._content(path)
        return content if isinstance(content, str) else content.decode("utf-8", "replace")

    def read_bytes(self, path: str) -> bytes:
        content = self._content(path)
        return content.encode("utf-8", "replace") if isinstance(content, str) else content

    def _content(self, path: str) -> str | bytes:
        place = self._place(path)
        answers = self._files.get(place)
        if answers is None:
            raise os_error("ENOENT" if self._tree.names(place) is None else "EISDIR", path)
        answer = self._next(("read", place), answers, path)
        if isinstance(answer, Mapping):
            if "base64" in answer:
                return base64.b64decode(answer["base64"])
            raise os_error("EISDIR" if "dir" in answer else "ENOENT", path)
        return str(answer)

    def list(self, path: str) -> list[str]:
        place = self._place(path)
        answers = self._files.get(place)
        answer = None if answers is None else self._next(("list", place), answers, path)
        told = answer.get("dir") if isinstance(answer, Mapping) else None
        if isinstance(told, Sequence):
            return sorted(told)
        names = self._tree.names(place)
        if names is None:
            raise os_error("ENOENT" if answers is None else "ENOTDIR", path)
        return sorted(names)

    def readlink(self, path: str) -> str:
        place = self._tree.beside(path)
        answers = self._tree.links.get(place)
        if answers is None:
            raise os_error("EINVAL" if self._tree.holds(place) else "ENOENT", path)
        return target(self._next(("readlink", place), answers, path))

    def may_open(self, path: str) -> bool:
        answers = self._recording.openable.get(path)
        if answers is not None:
            return bool(self._next(("may_open", path), answers, path))
        try:
            self._content(path)
        except FileNotFoundError:
            raise
        except OSError as error:
            return not isinstance(error, PermissionError)
        return True

    def ioctl(self, path: str, request: int, memory: bytes, pointers: Mapping[int, int]) -> bytes:
        if self._ioctl is not None:
            return self._ioctl(path, request, memory)
        asked = self._recording.ioctls.get(path, {})
        question = ioctl_key(request, memory, pointers)
        answers = asked.get(question)
        if answers is None:
            if not asked:
                self.may_open(path)
            raise os_error("ENOTTY", path)
        return base64.b64decode(self._next(("ioctl", path, question), answers, path)["base64"])

    def clock(self) -> float:
        """Return when the last answer that this thread got was given.

        It is the recorded time, so that two looks at a counter make the same rate
        as they did. An answer without one changes nothing, and a thread that got
        none with one is told the time by ``clock``.
        """
        at = self._turns.at()
        return self._clock() if at is None else at

    def user_name(self, user_id: int) -> str:
        return self._recording.users.get(str(user_id), str(user_id))

    def library(self, name: str) -> ModuleType:
        recorded = self._recording.libraries.get(name)
        if name not in self._libraries and recorded is not None and recorded.missing is None:
            from vramline.machine.replayed import ReplayedLibrary

            replayed = ReplayedLibrary(name, recorded, self._turns, _hang)
            return self._libraries.setdefault(name, replayed)
        if name in self._libraries:
            return self._libraries[name]
        why = recorded.missing if recorded else None
        raise ModuleNotFoundError(why or f"the recording holds no {name}", name=name)

    def has_library(self, name: str) -> bool:
        recorded = self._recording.libraries.get(name)
        return name in self._libraries or (recorded is not None and recorded.missing is None)

    def which(self, program: str) -> str:
        answers = self._recording.which.get(program)
        if answers is not None:
            return str(self._next(("which", program), answers, program))
        for command in (*self._programs, *self._recording.programs):
            if command.partition(" ")[0] == program:
                return program
        raise os_error("ENOENT", program)

    def fetch(self, url: str, *, timeout_seconds: float) -> HttpAnswer:
        answers = self._recording.fetched.get(url)
        if answers is None:
            raise os_error("ECONNREFUSED", url)
        answer = self._next(("fetch", url), answers, url)
        if isinstance(answer, Mapping):
            return HttpAnswer(status=answer["status"], body=answer["body"])
        return HttpAnswer(body=str(answer))

    def scratch_folder(self) -> AbstractContextManager[str]:
        return nullcontext("/tmp/vramline-recorded")  # nothing is run that could use it

    def run(self, command: Sequence[str], *, timeout_seconds: float) -> str:
        key = command_key(command)
        answers = self._recording.programs.get(key)
        if key in self._programs:
            output: Any = self._programs[key]
        elif answers is None:
            raise os_error("ENOENT", command[0])
        else:
            output = self._next(("run", key), answers, command[0])
        if isinstance(output, Mapping):
            raise _failure(output, command)
        if isinstance(output, Exception):
            raise output
        return str(output)

    def _next(self, question: tuple[str, ...], answers: Rows, what: str) -> Any:
        """Return the answer whose turn it is, or fail as it did."""
        answer = self._turns.next(question, answers)
        if isinstance(answer, Mapping):
            if "errno" in answer:
                raise os_error(answer["errno"], what)
            if "hangs" in answer:
                _hang(what)
        return answer

    def _place(self, path: str) -> str:
        if "\0" in path:
            raise ValueError("embedded null byte")
        return self._tree.place(path)


def _hang(what: str) -> Never:
    """Wait for ever, as whoever asked did. The thread that everything waits for gets an error."""
    if threading.current_thread() is threading.main_thread():
        raise os_error("ETIMEDOUT", what)
    while True:
        threading.Event().wait()


def _failure(output: Mapping[str, Any], command: Sequence[str]) -> Exception:
    import subprocess

    if "timeout_seconds" in output:
        return subprocess.TimeoutExpired(command, output["timeout_seconds"])
    said = (output.get("output", ""), output.get("errors", ""))
    return subprocess.CalledProcessError(output["exit"], command, *said)
