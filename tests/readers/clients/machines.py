"""Cards, and machines whose processes have them open."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from vramline.machine import RecordedMachine
from vramline.readers.clients import Client
from vramline.readers.drm import Card

CARD = Card(
    folder="/sys/class/drm/card0",
    device="/sys/class/drm/card0/device",
    driver="amdgpu",
    address="0000:03:00.0",
    vendor_id="1002",
    device_id="744c",
    subsystem=None,
    revision=None,
    nodes=("/dev/dri/card0", "/dev/dri/renderD128"),
)
OTHER = replace(
    CARD,
    folder="/sys/class/drm/card1",
    device="/sys/class/drm/card1/device",
    driver="xe",
    address="0000:0a:00.0",
    nodes=("/dev/dri/card1", "/dev/dri/renderD129"),
)
RENDER, OTHER_RENDER = CARD.nodes[1], OTHER.nodes[1]

KTHREADD: dict[str, Any] = {
    "/proc/2/stat": "2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0\n",
    "/proc/2/fd": {"dir": []},
}

# As amdgpu writes it with blanks before some of the tabs.
AMDGPU = """\
pasid:\t32770
drm-driver:\tamdgpu
drm-client-id:\t113
drm-pdev:\t0000:03:00.0
drm-total-vram:\t9000 KiB
drm-resident-vram:\t8000 KiB
drm-memory-vram:\t7000 KiB
drm-memory-gtt: \t25258000 KiB
drm-memory-cpu: \t0 KiB
amd-requested-vram:\t5 KiB
drm-engine-gfx:\t17 ns
"""


NAMES = ("vram", "rcs", "\u0663", "")
KINDS = ("resident", "memory", "total", "engine", "engine-capacity", "cycles", "total-cycles")
KEYS = st.one_of(
    st.sampled_from(["client-id", "pdev"]),
    st.builds("{}-{}".format, st.sampled_from(KINDS), st.sampled_from(NAMES)),
)
VALUES = st.one_of(
    st.text(max_size=30),
    st.builds("{}{}".format, st.integers(), st.sampled_from(["", " KiB", " GiB", " ns", "\t"])),
)
LINES = st.builds("drm-{}{}{}".format, KEYS, st.sampled_from([":", ":\t", " : ", ""]), VALUES)
FDINFOS = st.one_of(st.text(), st.lists(LINES, max_size=40).map("\n".join))


def fdinfo(client_id: int, *lines: str, address: str = CARD.address) -> str:
    told = ["pos:\t0", f"drm-pdev:\t{address}", f"drm-client-id:\t{client_id}", *lines]
    return "".join(f"{line}\n" for line in told)


def process(pid: int, files: Mapping[int, tuple[str, str]]) -> dict[str, Any]:
    """Return the entries of a process with these files open: where each leads, and its fdinfo."""
    entries: dict[str, Any] = {
        f"/proc/{pid}/stat": f"{pid} (ollama) S 1 1 1 0 -1 4194560 0 0 0 0 1 1 0 0 20 0 1 0 250\n",
        f"/proc/{pid}/fd": {"dir": [str(number) for number in files]},
    }
    for number, (file, text) in files.items():
        entries[f"/proc/{pid}/fd/{number}"] = {"symlink": file}
        entries[f"/proc/{pid}/fdinfo/{number}"] = text
    return entries


class Machine(RecordedMachine):
    """Notes what it is asked, refuses some of it, and takes a while to list its processes."""

    def __init__(
        self,
        *parts: Mapping[str, Any],
        failing: Mapping[str, int] | None = None,
        looking_takes: float = 0.0,
    ) -> None:
        super().__init__({}, clock=lambda: self.now)
        self.failing = dict(failing or {})
        self.looking_takes = looking_takes
        self.now = 1000.0
        self.asked: list[str] = []
        self.change(*parts)

    def change(self, *parts: Mapping[str, Any]) -> None:
        entries = {path: entry for part in (KTHREADD, *parts) for path, entry in part.items()}
        super().__init__(entries, clock=lambda: self.now)

    def _ask(self, path: str) -> None:
        self.asked.append(path)
        if number := self.failing.get(path):
            raise OSError(number, os.strerror(number), path)

    def read(self, path: str) -> str:
        self._ask(path)
        return super().read(path)

    def list(self, path: str) -> list[str]:
        self._ask(path)
        if path == "/proc":
            self.now += self.looking_takes
        return super().list(path)

    def readlink(self, path: str) -> str:
        if path.startswith("/proc/"):
            self._ask(path)
        return super().readlink(path)

    @property
    def looks(self) -> int:
        return self.asked.count("/proc")

    @property
    def opened(self) -> Sequence[str]:
        return [path for path in self.asked if "/fdinfo/" in path]


def client(pid: int, client_id: int, **changes: Any) -> Client:
    nothing: dict[str, Any] = {"memory": {}, "engines_ns": {}, "cycles": {}, "capacity": {}}
    return Client(pid=pid, client_id=client_id, **{**nothing, **changes})
