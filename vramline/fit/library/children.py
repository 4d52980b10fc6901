"""Programs of our own that read headers, where there are many: one thread's work is Python's.

Each is asked for one header at a time, in a line of JSON, and answers with its length and what
is to be kept of it. It ends when nobody can ask it any more.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from queue import SimpleQueue
from struct import Struct
from typing import IO

from vramline.fit.library.found import Candidate, FileFormat, Source
from vramline.fit.library.headers import Summary, parse, read, write

CHILDREN_FROM = 100
"""For fewer headers it does not pay: a program takes as long to start as ten headers."""

CHILDREN_MOST = 4
CODE = (
    "import sys; sys.path.insert(0, sys.argv[1])\n"
    "from vramline.fit.library.children import serve\n"
    "serve(sys.stdin.buffer, sys.stdout.buffer)"
)
OPTIONS = ("-I", "-S", "-X", f"utf8={sys.flags.utf8_mode}")
"""Nothing is imported from the folder that we are in, which may have downloads in it. Paths are
written as here."""

ROOT = str(Path(__file__).parents[3])
HEAD = Struct(">?I")
"""Whether it went wrong in passing, and the length of what follows."""

END_SECONDS = 2.0


class Readers:
    """Reads headers, in this process or in others. Several threads may ask at once."""

    def __init__(self, children: Iterable["Child | None"]) -> None:
        """Take the programs; ``None`` stands for reading here."""
        self._idle: SimpleQueue[Child | None] = SimpleQueue()
        self.count = 0
        for child in children:
            self._idle.put(child)
            self.count += 1

    def read(self, candidate: Candidate) -> Summary:
        """Read a header. A program that has ended is done without."""
        child = self._idle.get()
        try:
            found = child.ask(candidate) if child else None
        except (OSError, ValueError):
            if child:
                child.close()
            child, found = None, None
        finally:
            self._idle.put(child)
        return found or read(candidate)

    def close(self) -> None:
        """End the programs, when nobody asks any more."""
        for _ in range(self.count):
            if child := self._idle.get():
                child.close()


class Child:
    """One program that reads headers."""

    def __init__(self) -> None:
        """Start it. Raises ``OSError``."""
        self._process = subprocess.Popen(
            [sys.executable, *OPTIONS, "-c", CODE, ROOT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # an interrupt from the keyboard is the parent's affair
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )

    def ask(self, candidate: Candidate) -> Summary:
        """Have a header read. Raises ``OSError`` or ``ValueError`` where the program has ended."""
        questions, answers = self._process.stdin, self._process.stdout
        if questions is None or answers is None:
            raise ValueError("there is no way to ask")
        words = [candidate.path, candidate.format.value, candidate.hint]
        questions.write(json.dumps(words).encode() + b"\n")
        questions.flush()
        head = answers.read(HEAD.size)
        if len(head) < HEAD.size:
            raise ValueError("the program has ended")
        passing, length = HEAD.unpack(head)
        return parse(answers.read(length), passing=passing)

    def close(self) -> None:
        """End it."""
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError, ValueError):
                if pipe:
                    pipe.close()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def start_children(count: int) -> Iterator[Child | None]:
    """Start *count* programs; give ``None`` for each that cannot be."""
    name = os.path.basename(sys.executable or "").lower()
    for _ in range(count):
        child = None
        # In a program that was frozen, or has Python inside, that is the program itself.
        if name.startswith("python") and not getattr(sys, "frozen", False):
            with contextlib.suppress(OSError):
                child = Child()
        yield child


def children_for(headers: int) -> int:
    """Return how many programs so many headers are worth."""
    if headers < CHILDREN_FROM:
        return 0
    usable = getattr(os, "sched_getaffinity", None)
    processors = len(usable(0)) if usable else os.cpu_count() or 1
    return min(processors, CHILDREN_MOST) if processors > 1 else 0


def serve(questions: IO[bytes], answers: IO[bytes]) -> None:
    """Answer until there are no more questions."""
    for line in questions:
        path, form, hint = json.loads(line)
        candidate = Candidate(
            name="",
            source=Source.FOLDER,
            format=FileFormat(form),
            path=path,
            paths=(path,),
            hint=hint,
        )
        found = read(candidate)
        content = write(found)
        answers.write(HEAD.pack(found.passing, len(content)) + content)
        answers.flush()
