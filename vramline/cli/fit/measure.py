"""``vramline fit MODEL --measure``: run it as it was planned, and learn what loading it took."""

import os
import subprocess
import time
from collections.abc import Callable, Mapping

from vramline.cli.fit.answer import Answer
from vramline.cli.fit.lessons import keep_learned, learned_store
from vramline.cli.fit.question import Question, exact_need
from vramline.cli.fit.wanted import WrongUseError
from vramline.cli.fit.words import Names, names_in
from vramline.cli.look import Look, as_recorded
from vramline.cli.output import complain
from vramline.fit.lessons import Lessons, Loading, lessons_of
from vramline.fit.plan.flags import device_names, flags_of
from vramline.fit.settings import Runner
from vramline.machine import Machine
from vramline.units import format_bytes

HEALTH = "http://127.0.0.1:{port}/health"
ASK_SECONDS = 1.0
POLL_SECONDS = 0.25
LOAD_SECONDS = 900.0
"""A large model from a slow disk takes minutes."""

KIB = 1024
OWN_PAGES = ("RssAnon", "RssShmem")
"""Of a process, what is no file's. https://docs.kernel.org/filesystems/proc.html"""


def check(question: Question, found: Answer) -> None:
    """See whether it can be run and watched. Raises ``WrongUseError``."""
    if as_recorded(question.here.machine) is not None:
        raise WrongUseError("--measure does not go with --from: nothing is run there")
    if question.runner is not Runner.LLAMA_SERVER or question.runner not in question.here.runners:
        raise WrongUseError("--measure runs llama-server, which was not found here")
    if found.subject.missing_bytes:
        raise WrongUseError("--measure loads the model, and its file is not whole")
    if not found.fits:
        raise WrongUseError("--measure loads what fits, and this does not")


def measure(question: Question, found: Answer, port: int, look: Look) -> int:
    """Run llama-server until it ends; return its exit status.

    Raises ``WrongUseError`` where that cannot be done.
    """
    check(question, found)
    machine = question.here.machine
    if answers(machine, port) is not None:
        raise WrongUseError(f"--measure {port}: another program listens at this port")
    command, environment = command_of(question, found, port)
    try:
        process = subprocess.Popen(command, env={**os.environ, **environment})
    except OSError as error:
        raise WrongUseError(f"{command[0]}: {error.strerror}") from error
    try:
        ready = wait_until_loaded(machine, port, lambda: process.poll() is None)
        if ready:
            tell(learn(question, found, process.pid, look), names_in(question.here.snapshot))
        elif process.poll() is None:
            complain("nothing was learned: the model was not loaded in time")
        return status_of(process.wait())
    except KeyboardInterrupt:  # it got that too
        return status_of(process.wait())


def status_of(returned: int) -> int:
    """Return how a process ended as a shell has it, also where it was a signal that ended it."""
    return returned if returned >= 0 else 128 - returned


def command_of(question: Question, found: Answer, port: int) -> tuple[list[str], Mapping[str, str]]:
    """Return what is run, and in which environment: what the page says, at that port."""
    if found.settings is None:
        raise WrongUseError("--measure loads what fits, and this does not")
    names = device_names(question.here.snapshot)
    flags = flags_of(found.settings, names=names, blocks=found.candidate.blocks)
    projector = ["--mmproj", question.options.projector] if question.options.projector else []
    program = question.here.runners[Runner.LLAMA_SERVER].path
    words = [program, "--model", found.subject.path, *projector, *flags.arguments]
    return [*words, "--host", "127.0.0.1", "--port", str(port)], flags.environment


def answers(machine: Machine, port: int) -> int | None:
    """Return the status that a server answers with, ``None`` where nobody listens."""
    try:
        return machine.fetch(HEALTH.format(port=port), timeout_seconds=ASK_SECONDS).status
    except ConnectionRefusedError:
        return None
    except (OSError, ValueError):
        return 0


def wait_until_loaded(machine: Machine, port: int, runs: Callable[[], bool]) -> bool:
    """Wait until the model is loaded; tell whether it is.

    https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md (``/health``)
    """
    deadline = time.monotonic() + LOAD_SECONDS
    while runs() and time.monotonic() < deadline:
        if answers(machine, port) == 200:
            return True
        time.sleep(POLL_SECONDS)
    return False


def learn(question: Question, found: Answer, pid: int, look: Look) -> Lessons:
    """Work out what was taken beside what was said, and keep it."""
    here = question.here
    settings = found.settings or question.wish.settings
    own = own_bytes(here.machine, pid)
    lessons = lessons_of(
        Loading(
            settings=settings,
            need=exact_need(question, settings),
            before=here.snapshot,
            after=look(here.machine),
            pids=frozenset((pid,)),
            host_bytes=own,
        )
    )
    if not keep_learned(learned_store(), lessons.learned):
        complain("what was learned could not be kept")
    return lessons


def own_bytes(machine: Machine, pid: int) -> int | None:
    """Return what a process holds of the host's memory that is no file's."""
    try:
        lines = machine.read(f"/proc/{pid}/status").splitlines()
        told = dict(line.split(":", 1) for line in lines if ":" in line)
        return sum(int(told[name].split()[0]) * KIB for name in OWN_PAGES)
    except (OSError, ValueError, KeyError, IndexError):
        return None


def tell(lessons: Lessons, names: Names) -> None:
    """Say what was learned, and where nothing was."""
    for each in lessons.learned:
        size = format_bytes(each.samples[-1].bytes)
        complain(f"learned: llama-server itself takes {size} on {names.of(each.place)}")
    for place, why in lessons.refused.items():
        complain(f"nothing was learned of {names.of(place)}: {why}")
