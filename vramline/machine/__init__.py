"""What a reader may touch: the one seam between vramline and a machine.

Every reader takes a ``Machine`` and reaches files, environment, programs and
native libraries through it alone. That is what lets a recorded machine stand in for a
real one, ``--host-root`` move ``/proc`` and ``/sys``, and a test prove that no
file was opened that wakes a sleeping GPU.
"""

from typing import TYPE_CHECKING, Any

from vramline.machine.live import MAX_FILE_BYTES, LiveMachine
from vramline.machine.protocol import HttpAnswer, Machine

if TYPE_CHECKING:
    from vramline.machine.recorded import RecordedMachine

__all__ = ["MAX_FILE_BYTES", "HttpAnswer", "LiveMachine", "Machine", "RecordedMachine"]


def __getattr__(name: str) -> Any:
    """Load ``RecordedMachine`` on first use: few need one, and it is half of all this."""
    if name != "RecordedMachine":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from vramline.machine.recorded import RecordedMachine

    globals()[name] = RecordedMachine
    return RecordedMachine
