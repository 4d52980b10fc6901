"""Which runners are installed here, and what devices each can reach.

All is read from files. No program is started: even ``llama-server --version`` first loads every
backend, and with it the drivers, which wakes every GPU:
https://github.com/ggml-org/llama.cpp/blob/master/common/arg.cpp (``ggml_backend_load_all``)
"""

from collections.abc import Iterable
from dataclasses import dataclass

from vramline.fit.settings import Backend, Runner


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledRunner:
    """A runner that is installed.

    Attributes:
        path: Of its program, or of the folder in which it is kept.
        version: As the runner counts, where a file or a name tells it.
        backends: What it reaches devices through. Empty: the processor alone.
            ``None``: not known.
        note: Why the backends are not known, or what of them is to be said.
    """

    runner: Runner
    path: str
    version: str | None = None
    backends: tuple[Backend, ...] | None = None
    note: str = ""


def in_order(backends: Iterable[Backend]) -> tuple[Backend, ...]:
    """Return each backend once, in the order in which they are defined."""
    found = set(backends)
    return tuple(each for each in Backend if each in found)
