"""A recorded question's answers: in the order in which they were given, and when that was.

A question that was asked several times, as rates need it, has several answers.
They are given in their order, and the last one for ever.

Each thread that asked had its own order. So each has answers of its own, by
the thread's name: what the thread that reads a GPU was told does not depend
on when the one that reads the host asked the same. Threads that are not named
in the recording go through the longest row of answers together.
"""

import threading
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ANYBODY = ""
"""Stands for the name of a thread where the answers are anybody's."""


@dataclass(frozen=True, slots=True)
class Given:
    """One answer, as the recording has it; *at* is in seconds since the recording began."""

    answer: Any
    at: float | None = None


Row = tuple[Given, ...]
Rows = Mapping[str, Row]
"""What each thread was told, in order. No row is empty."""


def rows(entry: Any, times: Any = None) -> Rows:
    """Take an entry of a recording apart, whose *times* lie beside it where it never changed."""
    if isinstance(entry, Mapping) and "asked_by" in entry:
        beside = times if isinstance(times, Mapping) else {}
        return {name: _row(each, beside.get(name)) for name, each in entry["asked_by"].items()}
    if isinstance(times, Mapping):
        return {name: _row(entry, each) for name, each in times.items()}
    return {ANYBODY: _row(entry, times)}


def _row(entry: Any, times: Sequence[float] | None) -> Row:
    if isinstance(entry, Mapping) and "in_turn" in entry:
        return tuple(_dated(entry["in_turn"], entry.get("at") or ()))
    return tuple(Given(entry, at) for at in times) if times else (Given(entry),)


def _dated(answers: Sequence[Any], times: Sequence[Any]) -> Iterator[Given]:
    for place, answer in enumerate(answers):
        at = times[place] if place < len(times) else None
        for moment in at if isinstance(at, Sequence) else (at,):
            yield Given(answer, moment)


class Turns:
    """How far each thread is in its row of each question's answers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next: dict[tuple[Hashable, str], int] = {}
        self._last = threading.local()

    def next(self, question: Hashable, answers: Rows) -> Any:
        """Return the answer whose turn it is."""
        asker = threading.current_thread().name
        if asker not in answers:
            asker = ANYBODY
        row = answers.get(asker) or max(answers.values(), key=len)
        with self._lock:
            place = self._next.get((question, asker), 0)
            if place < len(row) - 1:
                self._next[question, asker] = place + 1
        given = row[place]
        if given.at is not None:
            self._last.at = given.at
        return given.answer

    def at(self) -> float | None:
        """Return when the last answer that the calling thread got was given, if that is known."""
        at: float | None = getattr(self._last, "at", None)
        return at
