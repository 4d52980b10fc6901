"""What a model could take of a Mac's memory: of the host's, or of a card's own."""

from subprocess import SubprocessError

from vramline.machine import Machine
from vramline.readers.apple.registry import Figures, count
from vramline.readers.causes import LARGEST_COUNT
from vramline.readers.causes import count as count_text
from vramline.readers.host import HostMemory
from vramline.readers.shared_memory import SharedMemory, room
from vramline.readings import Cause, MemoryBound
from vramline.units import GIB, MIB

PAUSE_SECONDS = 10.0
"""A person sets the limit, and seldom; each look at it starts a program."""
TIMEOUT_SECONDS = 3.0

LIMITS = (("iogpu.wired_limit_mb", MIB), ("debug.iogpu.wired_limit", 1))
"""Newest first, each with its unit in bytes."""
VERSION = "kern.osproductversion"

# -i leaves out what this macOS does not have (https://github.com/archspec/archspec/pull/233).
SYSCTL = ("/usr/sbin/sysctl", "-i", *(name for name, _ in LIMITS), VERSION)

SHARES_SINCE_26 = ((128, 84), (64, 81), (32, 78), (16, 74))
"""From so many GiB of memory on, how many percent of it a GPU may hold, from macOS 26 on."""

INTEL_LIMIT = 1536 * MIB


class UnifiedMemory:
    """The host's memory, as far as Apple's GPU may hold it.

    macOS lets the GPU wire, that is hold in place, so much memory and no more; past that
    Metal's work fails or is paged. The limit is ``iogpu.wired_limit_mb`` in MiB (before macOS
    14 ``debug.iogpu.wired_limit`` in bytes, https://github.com/ggml-org/llama.cpp/discussions/2182#discussioncomment-7698315),
    and where that is 0 a default, which Metal alone tells, as
    ``recommendedMaxWorkingSetSize``. Programs print it when they start, and so it is known:

    - Before macOS 26, two thirds below 36 GiB of memory and three quarters from there on.
      https://github.com/abetlen/llama-cpp-python/issues/687 (10922.67 MiB of 16 GiB),
      https://github.com/ollama/ollama/issues/434 (21845.34 of 32),
      https://github.com/ggml-org/llama.cpp/issues/1870 (49152 of 64),
      https://github.com/ggml-org/llama.cpp/issues/3213 (73728 of 96)
    - From macOS 26 on, more.
      https://github.com/AlexsJones/llmfit/pull/754 (11.84 GiB of 16),
      https://github.com/ggml-org/llama.cpp/pull/16634 (40200.90 MB, of 48 GiB),
      https://github.com/hackur/qwen36-local-llamacpp-turboquant/blob/main/benchmarks/RESULTS.md
      (53084 MiB of 64 GiB), https://github.com/antirez/ds4/pull/893 (107.52 GiB of 128)

    A size in between gets the share of the next smaller one, so that the limit is rather told
    too low. What the limit leaves is told likewise: of the two figures that the driver has for
    what the GPU holds, "Alloc system memory" is taken off it. "In use system memory" is what
    the GPU works on at this moment, 0.8 GB with a model of 16 GB loaded, and does not follow
    models as they come and go
    (https://github.com/jaigouk/gpumod/blob/10ac42a8ead6c4393474e523c99cfc4f7b1a8b0d/docs/internal/research/20260330_macos_spike/q2_q3_q4_findings.md).
    Some of what is allocated may never have been touched, though, so no more is taken off than
    the whole host has in use.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._memory = SharedMemory(machine)
        self._settings: dict[str, str] = {}
        self._asked_at = float("-inf")

    def apple(self, stats: Figures) -> dict[str, object]:
        """Return the memory fields of an Apple GPU."""
        allocated = count(stats, "Alloc system memory")
        in_use = count(stats, "In use system memory")
        # A virtual machine's GPU has more in use than allocated.
        if not isinstance(allocated, Cause) and not isinstance(in_use, Cause):
            allocated = max(allocated, in_use)
        host = self._memory.host()
        return self._figures(host, self._limit(host), allocated)

    def intel(self, stats: Figures) -> dict[str, object]:
        """Return the memory fields of an Intel GPU, of which Metal recommends to use 1536 MiB.

        https://github.com/ggml-org/llama.cpp/issues/8886,
        https://github.com/gpustack/gpustack/issues/71
        """
        held = count(stats, "inUseSysMemoryBytes", "In use system memory")
        return self._figures(self._memory.host(), INTEL_LIMIT, held)

    def _figures(
        self, host: HostMemory, limit: int | Cause, held: int | Cause
    ) -> dict[str, object]:
        if host.memory_used_bytes is not None and not isinstance(held, Cause):
            held = min(held, host.memory_used_bytes)
        return self._memory.figures({MemoryBound.WIRED_LIMIT: room(limit, held)})

    def _limit(self, host: HostMemory) -> int | Cause:
        total = host.memory_total_bytes
        if total is None:
            return host.unknown.get("memory_total_bytes", Cause.NOT_SUPPORTED)
        settings = self._look()
        name, unit = next((row for row in LIMITS if row[0] in settings), LIMITS[0])
        limit = count_text(settings.get(name, "0"))
        if isinstance(limit, Cause) or limit == 0:
            return default_limit(total, settings.get(VERSION, ""))
        return limit * unit

    def _look(self) -> dict[str, str]:
        """Return what ``sysctl`` tells, or told before. Where it never did, nothing was set."""
        now = self._machine.clock()
        if now - self._asked_at >= PAUSE_SECONDS:
            self._asked_at = now
            try:
                output = self._machine.run(SYSCTL, timeout_seconds=TIMEOUT_SECONDS)
            except (OSError, SubprocessError):
                return self._settings
            lines = (line.partition(":") for line in output.splitlines())
            self._settings = {name.strip(): value.strip() for name, _, value in lines}
        return self._settings


def default_limit(total_bytes: int, version: str) -> int:
    """Return how much memory a GPU may hold on a Mac where nobody set a limit.

    *version* is that of macOS. To some programs 26 calls itself 16, which never was.
    """
    major = count_text(version.partition(".")[0])
    if not isinstance(major, Cause) and major >= 16:
        for least_gib, percent in SHARES_SINCE_26:
            if total_bytes >= least_gib * GIB:
                return total_bytes * percent // 100
    elif total_bytes >= 36 * GIB:
        return total_bytes * 3 // 4
    return total_bytes * 2 // 3


def own_memory(stats: Figures, size: int | Cause) -> dict[str, object]:
    """Return the memory fields of a card with its own, of *size* bytes.

    Newer drivers tell what is free and what is in use, which leaves out what they keep to use
    again (https://github.com/gao-sun/eul/issues/187); older ones tell what is used and what is
    free, which make the whole.
    """
    used, free = count(stats, "vramUsedBytes", "inUseVidMemoryBytes"), count(stats, "vramFreeBytes")
    taken, left = (0 if isinstance(each, Cause) else each for each in (used, free))
    if isinstance(size, Cause) and not isinstance(count(stats, "vramUsedBytes"), Cause):
        size = free if isinstance(free, Cause) else taken + left
    if taken + left > (LARGEST_COUNT if isinstance(size, Cause) else min(size, LARGEST_COUNT)):
        size = used = free = Cause.GARBLED
    return {
        "memory_total_bytes": size,
        "memory_used_bytes": used,
        "memory_free_bytes": free,
    }
