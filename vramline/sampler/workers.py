"""The threads that a reader runs on."""

import threading
from collections.abc import Callable
from queue import SimpleQueue

Task = Callable[[], object]
Start = Callable[[threading.Thread], None]


class Workers:
    """Daemon threads that do tasks: as many as are stuck in a call, and one more.

    Not executors', which the interpreter waits for when it ends.

    Args:
        lock: Held by whoever calls in here, and by no thread during a task.
        start: Starts a thread, or raises ``RuntimeError``.
    """

    def __init__(self, name: str, lock: "threading.RLock", start: Start) -> None:
        self._name = name
        self._start_thread = start
        self._lock = lock
        self._tasks: SimpleQueue[Task | None] = SimpleQueue()
        self._threads = 0
        # Threads that wait for a task, less the tasks that wait for a thread.
        self._idle = 0
        self._dismissed = False

    def send(self, task: Task, *, calls_out: int) -> bool:
        """Have a thread do *task*; *calls_out* of them are in a call and may never come back.

        ``False`` when one is needed and none can be started any more.
        """
        if self._idle <= 0 and self._threads <= calls_out:
            if not self._start():
                return False
        else:
            # Below zero, a thread that is just leaving its task will take this one too.
            self._idle -= 1
        self._tasks.put(task)
        return True

    def dismiss(self) -> None:
        """Let every thread end once its task, and those already sent, are done."""
        self._dismissed = True
        for _ in range(self._idle):
            self._tasks.put(None)
        self._idle = min(self._idle, 0)

    def _start(self) -> bool:
        thread = threading.Thread(target=self._work, name=f"vramline {self._name}", daemon=True)
        try:
            self._start_thread(thread)
        except RuntimeError:  # the interpreter is on its way out
            return False
        self._threads += 1
        return True

    def _work(self) -> None:
        try:
            while (task := self._tasks.get()) is not None:
                task()
                del task  # a waiting thread keeps nothing alive
                with self._lock:
                    if self._idle > 0 or (self._dismissed and self._idle == 0):
                        return
                    self._idle += 1
        finally:
            with self._lock:
                self._threads -= 1
