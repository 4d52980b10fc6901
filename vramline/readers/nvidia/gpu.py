"""One GPU in an open NVML session, and the MIG instances that it is cut into.

Multi-Instance GPU: https://docs.nvidia.com/datacenter/tesla/mig-user-guide/
"""

from vramline.readers.nvidia import gauges
from vramline.readers.nvidia.errors import INVALID_ARGUMENT, NOT_FOUND, cause_of
from vramline.readers.nvidia.findings import Figures, Panel, Site, reading
from vramline.readers.nvidia.gauges import Gauge, check_gone
from vramline.readers.nvidia.memory import Holders, Memory
from vramline.readers.unread import unread
from vramline.readings import Cause, GpuReading, GpuState

NO_ADDRESS = "0000:00:00.0"
"""What NVML says of Orin's GPU, which is not on the PCI bus. It is the address of a bridge."""


class Gpu:
    """One GPU. Keeps what each of its gauges has learnt for as long as the session is open.

    Attributes:
        is_cut: MIG is on, so that nothing can be loaded into the GPU as a whole,
            whether it has been cut into instances yet or not.
    """

    def __init__(self, site: Site, handle: object, *, is_cut: bool = False) -> None:
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
        self._instances: dict[int, Instance] = {}
        self.is_cut = is_cut

    def read(self, *, uid: str, index: int | None) -> list[GpuReading]:
        """Return the GPU's reading, and then its instances'.

        *uid* stands in where the GPU does not tell its own. Raises
        ``GpuLostError``, and ``ReadError`` where the whole driver is gone.
        """
        figures = self._panel.figures()
        _put_bandwidth(figures)
        if figures["pci_address"] == NO_ADDRESS:
            figures["pci_address"] = Cause.NOT_SUPPORTED
        figures.update(self._memory.figures())
        figures.update(self._holders.figures())
        gpu = reading(self._site, figures, uid=uid, index=index)
        mode = self._mig_mode.ask()
        if not isinstance(mode, Cause):  # a fault that passes changes no mode
            self.is_cut = mode == (1,)
        return [gpu, *self._read_instances(gpu)] if self.is_cut else [gpu]

    def aliases(self) -> dict[str, str]:
        """Return the uid of each instance by its older name, such as ``MIG-GPU-.../1/0``."""
        return {each.alias: each.last.uid for each in tuple(self._instances.values()) if each.last}

    def _read_instances(self, gpu: GpuReading) -> list[GpuReading]:
        most = self._most_instances.ask()
        places = tuple(self._instances) if isinstance(most, Cause) else range(most[0])
        readings = (self._read_instance(place, gpu) for place in places)
        return [instance for instance in readings if instance is not None]

    def _read_instance(self, place: int, gpu: GpuReading) -> GpuReading | None:
        known = self._instances.get(place)
        try:
            handle = self._site.nvml.nvmlDeviceGetMigDeviceHandleByIndex(self._handle, place)
        except self._site.nvml.NVMLError as error:
            check_gone(error.value)
            if error.value in (NOT_FOUND, INVALID_ARGUMENT):  # there is none at this place
                self._instances.pop(place, None)
                return None
            return known.unread(cause_of(error.value)) if known else None
        uid = Gauge(gauges.UUID, self._site.nvml, handle).ask()
        if known is None or not (isinstance(uid, Cause) or known.is_named(uid[0])):
            known = self._instances[place] = Instance(self._site, handle, gpu.uid)
        return known.read(place, gpu)


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
        self.last: GpuReading | None = None

    def is_named(self, uid: str) -> bool:
        """Tell whether this is, or may be, the instance of that uid."""
        return self.last is None or self.last.uid in (uid, self.alias)

    def unread(self, cause: Cause) -> GpuReading | None:
        """Return what is known of it without asking it."""
        return unread(self.last, GpuState.ACTIVE, cause) if self.last else None

    def read(self, place: int, gpu: GpuReading) -> GpuReading:
        """Return its reading; *place* is NVML's number for it under *gpu*."""
        figures: Figures = {
            field: Cause.ON_PARENT for row in gauges.ONLY_GPU for field in row.fields
        }
        _put_bandwidth(figures)
        for field in ("pci_address", "driver_version", "cuda_version", "compute_capability"):
            figures[field] = getattr(gpu, field) or gpu.unknown[field]
        figures |= self._identity.figures() | self._memory.figures() | self._holders.figures()
        self.last = reading(self._site, figures, uid=self.alias, index=place, parent_uid=gpu.uid)
        return self.last


def _put_bandwidth(figures: Figures) -> None:
    width, clock = figures.pop("bus_width"), figures.pop("highest_memory_clock")
    if type(width) is Cause or type(clock) is Cause:
        figures["memory_bandwidth_bytes_per_second"] = width if type(width) is Cause else clock
    else:
        # Two transfers a clock, which NVML gives for the bus and in MHz; eight bits a byte.
        figures["memory_bandwidth_bytes_per_second"] = width * clock * 2 * 1_000_000 // 8
