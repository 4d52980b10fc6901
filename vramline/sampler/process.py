"""What a fork and the interpreter's exit ask of the threads that read.

A fork copies the driver library's locks as they stand. It therefore waits, for a
moment, until no call is under way; and the child forgets all that it inherited.
"""

import atexit
import os
import time
from collections.abc import Iterable
from typing import Protocol
from weakref import WeakValueDictionary


class Forkable(Protocol):
    """What has threads of its own."""

    def hold_for_fork(self) -> None:
        """Begin no call, and wait a moment for those under way."""

    def go_on_after_fork(self) -> None:
        """Undo ``hold_for_fork``, in the parent."""

    def start_anew(self) -> None:
        """Forget every thread, lock and session, in the child."""

    def close(self, *, wait: bool) -> None:
        """End, as the interpreter does."""

    def await_closed(self, seconds: float) -> None:
        """Wait, no longer than that, for the end."""


CLOSING_SECONDS = 0.5
"""How long the end of a program may be kept waiting by drivers that are let go."""

_known: WeakValueDictionary[int, Forkable] = WeakValueDictionary()


def register(forkable: Forkable) -> None:
    """See to *forkable* at every fork, and at exit, for as long as it lives."""
    _known[id(forkable)] = forkable


def _living() -> list[Forkable]:
    return [living for ref in _known.valuerefs() if (living := ref()) is not None]


def _before() -> None:
    for forkable in sorted(_living(), key=id):  # one order: two forks must not lock each other
        forkable.hold_for_fork()


def _in_parent() -> None:
    for forkable in _living():
        forkable.go_on_after_fork()


def _in_child() -> None:
    for forkable in _living():
        forkable.start_anew()


def close_together(forkables: Iterable[Forkable]) -> None:
    """Close them all at once, and wait no longer than for one."""
    closing = list(forkables)
    for forkable in closing:
        forkable.close(wait=False)
    until = time.monotonic() + CLOSING_SECONDS
    for forkable in closing:
        forkable.await_closed(max(until - time.monotonic(), 0))


@atexit.register
def _at_exit() -> None:
    close_together(_living())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
