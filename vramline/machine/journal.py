"""What was asked of a machine, by whom, what the answer was, and when."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")

Question = tuple[Any, ...]
"""What kind of question it is, and what was asked."""

HANGS = {"hangs": True}


@dataclass(slots=True)
class Told:
    """One answer, and each time that it was given before there was another."""

    answer: Any
    at: list[float] = field(default_factory=list)


class Journal:
    """Notes questions and answers. Any number of threads may ask at once.

    No lock is held while a question is out, so one that hangs holds up nobody;
    it stands in the journal as what it is.

    Args:
        clock: Tells the seconds since some moment.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._started = clock()
        self._lock = threading.Lock()
        self._told: dict[Question, dict[str, list[Told]]] = {}
        self._out: dict[object, tuple[Question, str]] = {}
        self._last = threading.local()

    def now(self) -> float:
        """Return when this thread's last answer was given, else what time it is."""
        at: float | None = getattr(self._last, "at", None)
        return self._clock() - self._started if at is None else at

    def ask(
        self,
        question: Question,
        call: Callable[[], T],
        note: Callable[[T], Any],
        note_failure: Callable[[Exception], Any],
    ) -> T:
        """Return, or raise, what *call* does, and note it as *note* and *note_failure* have it."""
        asker, token = threading.current_thread().name, object()
        with self._lock:
            self._out[token] = (question, asker)
        try:
            answer = call()
        except Exception as error:
            self._note(token, note_failure(error))
            raise
        self._note(token, note(answer))
        return answer

    def told(self) -> dict[Question, dict[str, list[Told]]]:
        """Return what is known by now: each thread's answers to each question, in order."""
        with self._lock:
            told = {
                question: {
                    asker: [Told(each.answer, each.at[:]) for each in row]
                    for asker, row in by.items()
                }
                for question, by in self._told.items()
            }
            hanging = list(self._out.values())
        at = round(self._clock() - self._started, 6)
        for question, asker in hanging:
            told.setdefault(question, {}).setdefault(asker, []).append(Told(HANGS, [at]))
        return told

    def _note(self, token: object, answer: Any) -> None:
        at = round(self._clock() - self._started, 6)
        self._last.at = at
        with self._lock:
            question, asker = self._out.pop(token)
            row = self._told.setdefault(question, {}).setdefault(asker, [])
            if not row or row[-1].answer != answer:
                row.append(Told(answer))
            row[-1].at.append(at)
