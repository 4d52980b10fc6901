"""One GPU in an open NVML session, and the MIG instances that it is cut into.

Multi-Instance GPU: https://docs.nvidia.com/datacenter/tesla/mig-user-guide/
"""

from collections.abc import Iterator

from vramline.readers.nvidia import gauges
from vramline.readers.nvidia.findings import Figures, Panel, Site, reading
from vramline.readers.nvidia.gauges import Gauge, check_gone
from vramline.readers.nvidia.memory import Holders, Memory
from vramline.readings import Cause, GpuReading


class Gpu:
    """One GPU. Keeps what each of its gauges has learnt for as long as the session is open.

    Attributes:
        is_cut: MIG is on, so that nothing can be loaded into the GPU as a whole,
            whether it has been cut into instances yet or not.
    """

    def __init__(self, site: Site, handle: object) -> None:
        self._site = site
        self._handle = handle
        rows = (*gauges.IDENTITY, *gauges.ONLY_GPU)
        self._panel = Panel(
            [
                *(Gauge(row, site.nvml) for row in gauges.SYSTEM),
                *(Gauge(row, site.nvml, handle) for row in rows),
            ]
        )
        self._memory = Memory(site, handle)
        self._holders = Holders(site, handle)
        self._mig_mode = Gauge(gauges.MIG_MODE, site.nvml, handle)
        self._most_instances = Gauge(gauges.MOST_INSTANCES, site.nvml, handle)
        self._instances: dict[str, Instance] = {}
        self.is_cut = False

    def read(self, *, uid: str, index: int | None) -> list[GpuReading]:
        """Return the GPU's reading, and then its instances'.

        *uid* stands in where the GPU does not tell its own. Raises
        ``GpuLostError``, and ``ReadError`` where the whole driver is gone.
        """
        figures = self._panel.figures()
        _put_bandwidth(figures)
        figures.update(self._memory.figures())
        figures.update(self._holders.figures())
        gpu = reading(self._site, figures, uid=uid, index=index)
        self.is_cut = self._mig_mode.ask() == (1,)
        return [gpu, *self._read_instances(gpu)] if self.is_cut else [gpu]

    def aliases(self) -> dict[str, str]:
        """Return the uid of each instance by its older name, such as ``MIG-GPU-.../1/0``."""
        return {instance.alias: uid for uid, instance in self._instances.items()}

    def _read_instances(self, gpu: GpuReading) -> list[GpuReading]:
        instances: dict[str, Instance] = {}
        readings = []
        for place, handle in self._instance_handles():
            uid = Gauge(gauges.UUID, self._site.nvml, handle).ask()
            key = f"MIG {place}" if isinstance(uid, Cause) else uid[0]
            instances[key] = self._instances.get(key) or Instance(self._site, handle, gpu.uid)
            readings.append(instances[key].read(place, gpu))
        self._instances = instances
        return readings

    def _instance_handles(self) -> Iterator[tuple[int, object]]:
        most = self._most_instances.ask()
        for place in range(0 if isinstance(most, Cause) else most[0]):
            try:
                handle = self._site.nvml.nvmlDeviceGetMigDeviceHandleByIndex(self._handle, place)
            except self._site.nvml.NVMLError as error:
                check_gone(error.value)
            else:
                yield place, handle


class Instance:
    """One MIG instance: what NVML tells of it alone. The rest is its GPU's to tell."""

    def __init__(self, site: Site, handle: object, parent_uid: str) -> None:
        self._site = site
        self._identity = Panel(Gauge(row, site.nvml, handle) for row in gauges.IDENTITY)
        self._memory = Memory(site, handle)
        self._holders = Holders(site, handle)
        answers = [Gauge(row, site.nvml, handle).ask() for row in gauges.INSTANCE]
        numbers = ("?" if isinstance(answer, Cause) else str(answer[0]) for answer in answers)
        self.alias = "/".join((f"MIG-{parent_uid}", *numbers))

    def read(self, place: int, gpu: GpuReading) -> GpuReading:
        """Return its reading; *place* is NVML's number for it under *gpu*."""
        figures: Figures = {
            field: Cause.ON_PARENT for row in gauges.ONLY_GPU for field in row.fields
        }
        _put_bandwidth(figures)
        for field in ("pci_address", "driver_version", "cuda_version", "compute_capability"):
            figures[field] = getattr(gpu, field) or gpu.unknown[field]
        figures |= self._identity.figures() | self._memory.figures() | self._holders.figures()
        return reading(self._site, figures, uid=self.alias, index=place, parent_uid=gpu.uid)


def _put_bandwidth(figures: Figures) -> None:
    width, clock = figures.pop("bus_width"), figures.pop("highest_memory_clock")
    if type(width) is Cause or type(clock) is Cause:
        figures["memory_bandwidth_bytes_per_second"] = width if type(width) is Cause else clock
    else:
        # Two transfers a clock, which NVML gives for the bus and in MHz; eight bits a byte.
        figures["memory_bandwidth_bytes_per_second"] = width * clock * 2 * 1_000_000 // 8
