"""From a card's clients to the processes of a reading."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from vramline.readers.causes import LARGEST_COUNT
from vramline.readers.clients.client import Client, Usage
from vramline.readers.processes import Processes
from vramline.readings import Cause, GpuProcess, ProcessKind

DRAWING = frozenset({"gfx", "render", "rcs"})
COMPUTING = frozenset({"compute", "ccs"})
MEDIA = frozenset({"dec", "enc", "enc_1", "jpeg", "vpe", "video", "video-enhance", "vcs", "vecs"})


@dataclass(slots=True, kw_only=True)
class _Share:
    """One process's use of the card, over all its clients."""

    memory_bytes: int | None = None
    engines: frozenset[str] = frozenset()

    def add(self, client: Client, regions: Callable[[str], bool]) -> None:
        held = [size for region, size in client.memory.items() if regions(region)]
        if held:
            self.memory_bytes = (self.memory_bytes or 0) + sum(held)
        self.engines |= _used(client)


def processes(
    usage: Usage | Cause,
    identify: Processes,
    regions: Callable[[str], bool],
    kfd: Mapping[int, int] | None = None,
) -> tuple[GpuProcess, ...] | Cause:
    """Return the processes that hold memory on the card, or have run work on it, by pid.

    To see none among those that may be seen is not to know that there are none.

    One that only has the card open, as systemd-logind has, is left out. What two
    processes share counts for both, so the sum may be more than the card's.

    Args:
        regions: Tells of a region's name whether it belongs to the card's pool:
            ``{"vram"}.__contains__``, or ``lambda name: name.startswith("vram")``.
        kfd: What ``kfd_memory`` gave. It is part of what the clients hold, so the
            larger of the two counts; where the driver does not tell one of them,
            the other.
    """
    shares: dict[int, _Share] = {}
    for client in () if isinstance(usage, Cause) else usage.clients:
        shares.setdefault(client.pid, _Share()).add(client, regions)
    through_kfd = {pid: size for pid, size in (kfd or {}).items() if size > 0}
    for pid, size in through_kfd.items():
        share = shares.setdefault(pid, _Share())
        share.memory_bytes = max(share.memory_bytes or 0, size)
    holders = tuple(
        _process(identify, pid, share, by_kfd=pid in through_kfd)
        for pid, share in sorted(shares.items())
        if share.memory_bytes or share.engines
    )
    if holders:
        return holders
    if isinstance(usage, Cause):
        return usage
    return () if usage.complete else Cause.NO_PERMISSION


def _used(client: Client) -> frozenset[str]:
    by_time = {engine for engine, busy in client.engines_ns.items() if busy}
    by_cycles = {engine for engine, (busy, _) in client.cycles.items() if busy}
    return frozenset(by_time | by_cycles)


def _process(identify: Processes, pid: int, share: _Share, *, by_kfd: bool) -> GpuProcess:
    who = identify.identify(pid)
    known = share.memory_bytes is not None and share.memory_bytes <= LARGEST_COUNT
    return GpuProcess(
        pid=pid,
        start_time=who.start_time,
        name=who.name,
        user=who.user,
        memory_bytes=share.memory_bytes if known else None,
        kind=_kind(share.engines, by_kfd=by_kfd),
        container=who.container,
    )


def _kind(engines: frozenset[str], *, by_kfd: bool) -> ProcessKind:
    """Return what the engines that were ever used say.

    Who only has video decoded, or encoded, shows pictures. Who has used no engine
    and holds memory computes: the queues of ROCm go past the counters of engines,
    and a container is not told KFD's.
    """
    computes = by_kfd or bool(engines & COMPUTING)
    draws = bool(engines & DRAWING) or (not computes and bool(engines & MEDIA))
    if computes and draws:
        return ProcessKind.COMPUTE_AND_GRAPHICS
    return ProcessKind.GRAPHICS if draws else ProcessKind.COMPUTE
