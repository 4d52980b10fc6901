"""Machines with runners on them, written by hand."""

from pathlib import Path
from typing import Any

from vramline.machine import HttpAnswer, LiveMachine, RecordedMachine
from vramline.runners.distributions import Distribution

BODIES = Path(__file__).parents[1] / "data" / "runners"
NOTHING: dict[str, list[str]] = {"dir": []}
ELF = "\x7fELF"


def body(name: str) -> str:
    """Return an answer, whose source ``SOURCES.md`` beside it names."""
    return (BODIES / f"{name}.body").read_text("utf-8")


def machine(**sections: Any) -> RecordedMachine:
    """Return a recorded machine."""
    return RecordedMachine.from_dict({"format": 1, **sections}, clock=lambda: 0.0)


def nothing_installed(_name: str) -> Distribution | None:
    """Tell of a Python with no distribution."""
    return None


def process(pid: int, *words: str, parent: int = 1, name: str = "") -> dict[str, str]:
    """Return the files of a process on Linux."""
    name = name or words[0].rpartition("/")[2]
    return {
        f"/proc/{pid}/stat": f"{pid} ({name}) S {parent} {pid} {pid} 0 -1 4194560\n",
        f"/proc/{pid}/cmdline": "".join(f"{word}\0" for word in words),
    }


class MachineWithServers(RecordedMachine):
    """A recorded machine whose servers are real: those at *ports*, by the ports they stand for."""

    def __init__(self, ports: dict[int, int], entries: dict[str, Any], **others: Any) -> None:
        super().__init__(entries, **others)
        self._ports = ports

    def fetch(self, url: str, *, timeout_seconds: float) -> HttpAnswer:
        for told, real in self._ports.items():
            if f":{told}/" in url:
                real_url = url.replace(f":{told}/", f":{real}/")
                return LiveMachine().fetch(real_url, timeout_seconds=timeout_seconds)
        return super().fetch(url, timeout_seconds=timeout_seconds)
