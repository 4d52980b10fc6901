"""A machine that notes all that is asked of it, for ``vramline capture``."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any, TypeVar

from vramline.machine.answers import errno_name
from vramline.machine.captured import CapturedLibrary
from vramline.machine.journal import Journal
from vramline.machine.masking import Masks
from vramline.machine.protocol import HttpAnswer, Machine
from vramline.machine.writing import Header, compose

T = TypeVar("T")


class CapturingMachine:
    """Passes every question on to *machine*, and notes it with its answer and its time."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._journal = Journal(machine.clock)
        self._environ = AskedEnvironment(machine.environ)
        self._libraries: dict[str, CapturedLibrary] = {}

    def to_dict(self, header: Header, masks: Masks) -> dict[str, Any]:
        """Return what was captured until now as a recording, as JSON has it.

        May be called while other threads still ask. A question that has no
        answer yet is said to hang.
        """
        libraries = {name: each.traits() for name, each in self._libraries.copy().items()}
        masks.learn_surroundings(self._machine.environ, *_host_names(self._machine))
        return compose(
            header,
            masks,
            platform=self.platform,
            process=self.process,
            environ=self._environ.asked(),
            told=self._journal.told(),
            libraries=libraries,
        )

    @property
    def platform(self) -> str:
        return self._machine.platform

    @property
    def process(self) -> str:
        return self._machine.process

    @property
    def environ(self) -> Mapping[str, str]:
        return self._environ

    def read(self, path: str) -> str:
        return self._ask(("read", path), lambda: self._machine.read(path))

    def read_bytes(self, path: str) -> bytes:
        return self._ask(("read", path), lambda: self._machine.read_bytes(path), _text_or_bytes)

    def list(self, path: str) -> list[str]:
        return self._ask(("list", path), lambda: self._machine.list(path), lambda names: [*names])

    def readlink(self, path: str) -> str:
        return self._ask(("readlink", path), lambda: self._machine.readlink(path))

    def may_open(self, path: str) -> bool:
        return self._ask(("may_open", path), lambda: self._machine.may_open(path))

    def ioctl(self, path: str, request: int, memory: bytes, pointers: Mapping[int, int]) -> bytes:
        return self._ask(
            ("ioctl", path, request, bytes(memory), tuple(pointers.items())),
            lambda: self._machine.ioctl(path, request, memory, pointers),
        )

    def clock(self) -> float:
        """Return when the last answer that this thread got was given, as a replay does."""
        return self._journal.now()

    def user_name(self, user_id: int) -> str:
        return self._ask(("user", user_id), lambda: self._machine.user_name(user_id))

    def library(self, name: str) -> ModuleType:
        module = self._ask(("library", name), lambda: self._machine.library(name), lambda _: True)
        return self._libraries.setdefault(name, CapturedLibrary(name, module, self._journal))

    def has_library(self, name: str) -> bool:
        return self._ask(("has_library", name), lambda: self._machine.has_library(name))

    def which(self, program: str) -> str:
        return self._ask(("which", program), lambda: self._machine.which(program))

    def fetch(self, url: str, *, timeout_seconds: float) -> HttpAnswer:
        return self._ask(
            ("fetch", url),
            lambda: self._machine.fetch(url, timeout_seconds=timeout_seconds),
            lambda answer: {"status": answer.status, "body": answer.body},
        )

    def scratch_folder(self) -> AbstractContextManager[str]:
        return self._machine.scratch_folder()

    def run(self, command: Sequence[str], *, timeout_seconds: float) -> str:
        return self._ask(
            ("run", *command),
            lambda: self._machine.run(command, timeout_seconds=timeout_seconds),
            note_failure=_failed_run,
        )

    def _ask(
        self,
        question: tuple[Any, ...],
        call: Callable[[], T],
        note: Callable[[T], Any] = lambda answer: answer,
        note_failure: Callable[[Exception], Any] | None = None,
    ) -> T:
        return self._journal.ask(question, call, note, note_failure or _failure)


class AskedEnvironment(Mapping[str, str]):
    """An environment that notes which of its names were asked for."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._asked: dict[str, str] = {}

    def asked(self) -> dict[str, str]:
        """Return the variables that were asked for and are there."""
        return self._asked.copy()

    def __getitem__(self, name: str) -> str:
        value = self._environ[name]
        self._asked[name] = value
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._environ)

    def __len__(self) -> int:
        return len(self._environ)


def _host_names(machine: Machine) -> list[str]:
    import platform

    try:
        return [machine.read("/proc/sys/kernel/hostname").strip(), platform.node()]
    except OSError:
        return [platform.node()]


def _text_or_bytes(content: bytes) -> str | bytes:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content


def _failure(error: Exception) -> Any:
    if isinstance(error, OSError):
        return {"errno": errno_name(error)}
    return {"missing": str(error)} if isinstance(error, ImportError) else {"errno": "EINVAL"}


def _failed_run(error: Exception) -> Any:
    import subprocess

    if isinstance(error, subprocess.TimeoutExpired):
        return {"timeout_seconds": error.timeout}
    if isinstance(error, subprocess.CalledProcessError):
        said = {"output": error.output or "", "errors": error.stderr or ""}
        return {"exit": error.returncode, **said}
    return _failure(error)
