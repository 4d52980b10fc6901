"""The memory of one device, and who holds it."""

from vramline.readers.nvidia import gauges
from vramline.readers.nvidia.errors import FOR_GOOD
from vramline.readers.nvidia.findings import Figures, Site
from vramline.readers.nvidia.gauges import Gauge, Values
from vramline.readings import Cause, GpuProcess, ProcessKind


class Memory:
    """The pool that a model on this device would be loaded into.

    Where CPU and GPU share one memory NVML does not support the question (GB10),
    answers zero, or gives the host's total (Thor, Orin). The figures are then the
    host's, with what it has *available*: its free memory leaves out the page cache,
    which a model can have (https://github.com/XuehaiPan/nvitop/pull/208).
    """

    def __init__(self, site: Site, handle: object) -> None:
        self._gauge = Gauge(gauges.MEMORY, site.nvml, handle)
        self._site = site
        self._host_total: int | None = None

    def figures(self) -> Figures:
        """Return the four figures, and whose memory they are of."""
        answer = self._gauge.ask()
        if self._is_unified(answer):
            return self._site.shared_memory.figures()
        if isinstance(answer, Cause):
            return dict.fromkeys(gauges.MEMORY.fields, answer)
        if not _adds_up(*answer):
            return dict.fromkeys(gauges.MEMORY.fields, Cause.GARBLED)
        total, used, free, reserved = answer
        return {
            "memory_total_bytes": total,
            "memory_used_bytes": used,
            "memory_free_bytes": free,
            "memory_reserved_bytes": Cause.DRIVER_TOO_OLD if reserved is None else reserved,
        }

    def _is_unified(self, answer: Values | Cause) -> bool:
        if isinstance(answer, Cause):
            return self._gauge.settled is Cause.NOT_SUPPORTED
        return answer[0] in (0, self._total_of_host())

    def _total_of_host(self) -> int | None:
        if self._host_total is None:
            self._host_total = self._site.shared_memory.host().memory_total_bytes
        return self._host_total


def _adds_up(total: int, used: int, free: int, reserved: int | None) -> bool:
    return used <= total and free <= total and (reserved or 0) <= total


class Holders:
    """The processes on one device."""

    def __init__(self, site: Site, handle: object) -> None:
        self._compute = Gauge(gauges.COMPUTE_PROCESSES, site.nvml, handle)
        self._graphics = Gauge(gauges.GRAPHICS_PROCESSES, site.nvml, handle)
        self._processes = site.processes

    def figures(self) -> Figures:
        """Return the processes; one that both computes and draws is told once."""
        compute, graphics = self._compute.ask(), self._graphics.ask()
        if compute == graphics == ((),):
            return {"processes": ()}
        refused = [answer for answer in (compute, graphics) if isinstance(answer, Cause)]
        passing = [cause for cause in refused if cause not in FOR_GOOD]
        # A list that the driver does not have is empty; one that it refuses is not known.
        if passing or len(refused) == 2:
            return {"processes": (passing or refused)[0]}
        computing, drawing = _by_pid(compute), _by_pid(graphics)
        pids = dict.fromkeys((*computing, *drawing))
        return {"processes": tuple(self._process(pid, computing, drawing) for pid in pids)}

    def _process(
        self, pid: int, computing: dict[int, int | None], drawing: dict[int, int | None]
    ) -> GpuProcess:
        kind = ProcessKind.COMPUTE if pid in computing else ProcessKind.GRAPHICS
        if pid in computing and pid in drawing:
            kind = ProcessKind.COMPUTE_AND_GRAPHICS
        who = self._processes.identify(pid)
        return GpuProcess(
            pid=pid,
            start_time=who.start_time,
            name=who.name,
            user=who.user,
            # Both of NVML's lists give the process's whole memory.
            memory_bytes=computing.get(pid, drawing.get(pid)),
            kind=kind,
            container=who.container,
        )


def _by_pid(answer: Values | Cause) -> dict[int, int | None]:
    return {} if isinstance(answer, Cause) else dict(answer[0])
