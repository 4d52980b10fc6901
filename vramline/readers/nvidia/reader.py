"""The NVIDIA reader: one NVML session for its life, let go only for a GPU to sleep or return."""

import re
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from types import ModuleType

from vramline.errors import ReadError
from vramline.machine import Machine
from vramline.pauses import GrowingPause
from vramline.readers.nvidia import VENDOR
from vramline.readers.nvidia.errors import INVALID_ARGUMENT, NOT_FOUND, cause_of, why_closed
from vramline.readers.nvidia.findings import Site
from vramline.readers.nvidia.gauges import (
    GpuLostError,
    SessionGoneError,
    StaleHandleError,
    check_gone,
)
from vramline.readers.nvidia.gpu import Gpu
from vramline.readers.nvidia.visible import Mig, Visibility
from vramline.readers.pci import is_asleep
from vramline.readers.processes import Processes
from vramline.readers.shared_memory import SharedMemory
from vramline.readers.unread import unread
from vramline.readings import Cause, GpuReading, GpuState

REST_SECONDS = 10.0
"""How long an idle GPU that may suspend is left alone. It falls asleep within 6 s once nobody
holds it (https://github.com/D-Brox/cosmic-ext-applet-system-monitor/issues/38)."""


@dataclass(slots=True, eq=False)
class Slot:
    """One GPU's place in the machine, and what is known of the GPU that sits there.

    Attributes:
        index: NVML's number for it. ``None`` where it is asked for by its PCI
            address, so that no other GPU, which may be asleep, is touched.
        gpu: As the session of that number found it.
        idle: Nobody would miss the session: it is asleep, or could be.
    """

    index: int | None
    known: GpuReading
    gpu: Gpu | None = None
    session: int = -1
    last: tuple[GpuReading, ...] = ()
    read_at: float = 0.0
    may_suspend: bool = False
    idle: bool = False
    is_cut: bool = False


def by_index(count: int, driven: Sequence[str]) -> dict[str, Slot]:
    """Return the places of *count* GPUs, for NVML to be asked by number."""
    # NVML numbers in the order of the bus. In a container it may show only some.
    addresses: Sequence[str | None] = driven if len(driven) == count else [None] * count
    return {str(index): _slot(index, address) for index, address in enumerate(addresses)}


def by_address(driven: Sequence[str]) -> dict[str, Slot]:
    """Return the places of the GPUs at these addresses, for NVML to be asked by address."""
    return {address: _slot(None, address) for address in driven}


def _slot(index: int | None, address: str | None) -> Slot:
    known = GpuReading(
        uid=address or f"{VENDOR}:{index}", vendor=VENDOR, index=index, pci_address=address
    )
    return Slot(index=index, known=known)


class NvidiaReader:
    """Reads the GPUs that were found when it was opened.

    Args:
        nvml: The module ``pynvml``.
        slots: The GPUs, by key.
        is_open: Whether NVML was initialised for this reader already.
    """

    def __init__(
        self,
        machine: Machine,
        nvml: ModuleType,
        slots: dict[str, Slot],
        *,
        is_open: bool,
        clock: Callable[[], float],
    ) -> None:
        self._machine = machine
        self._nvml = nvml
        self._slots = slots
        self._clock = clock
        self._site = Site(
            nvml=nvml,
            machine=machine,
            processes=Processes(machine),
            visibility=Visibility(machine.environ),
            shared_memory=SharedMemory(machine),
        )
        self._lock = threading.Lock()
        self._is_open = is_open
        self._session = 0
        self._calls = 0
        self._lost: set[Slot] = set()
        self._rest_until = clock()
        self._pause = GrowingPause()
        self._renew_at = float("inf")

    def devices(self) -> Sequence[str]:
        return tuple(self._slots)

    def describe(self, device: str, cause: Cause) -> GpuReading:
        slot = self._slots[device]
        return unread(slot.known, GpuState.LOST if slot in self._lost else GpuState.ACTIVE, cause)

    def arrange(self, readings: Sequence[GpuReading]) -> tuple[GpuReading, ...]:
        cut = [slot for slot in self._slots.values() if slot.is_cut]
        gpus = [gpu for slot in cut if (gpu := slot.gpu) is not None]
        aliases = {old: uid for gpu in gpus for old, uid in gpu.aliases().items()}
        mig = Mig(cut=frozenset(slot.known.uid for slot in cut), aliases=aliases)
        return self._site.visibility.arrange(readings, mig)

    def read(self, device: str) -> Sequence[GpuReading]:
        slot = self._slots[device]
        address = slot.known.pci_address
        if address is not None and is_asleep(self._machine, address):
            slot.idle = True
            return [unread(slot.known, GpuState.ASLEEP, Cause.ASLEEP)]
        now = self._clock()
        if slot.last and now < self._rest_until:
            return [replace(gpu, age_seconds=now - slot.read_at) for gpu in slot.last]
        self._enter()
        try:
            return self._ask(slot)
        except SessionGoneError:
            self._is_open = False
            raise
        finally:
            self._leave()

    def close(self) -> None:
        with self._lock:
            self._shut()

    def _enter(self) -> None:
        with self._lock:
            if not self._is_open:
                self._open()
            self._calls += 1

    def _open(self) -> None:
        """Open NVML once more: each GPU is found and looked at anew."""
        try:
            self._nvml.nvmlInit()
            self._is_open = True
            count = self._nvml.nvmlDeviceGetCount()
        except self._nvml.NVMLError as error:
            self._shut()
            raise ReadError(why_closed(error.value)) from error
        if count > len(self._slots):
            self._shut()
            raise ReadError("there are more GPUs than before: all are looked for again")
        self._session += 1
        for slot in self._slots.values():
            slot.idle = False

    def _leave(self) -> None:
        with self._lock:
            self._calls -= 1
            if self._calls == 0 and (self._may_rest() or self._renews()):
                self._shut()

    def _shut(self) -> None:
        if self._is_open:
            self._is_open = False
            with suppress(self._nvml.NVMLError):  # what it was to end is gone already
                self._nvml.nvmlShutdown()

    def _may_rest(self) -> bool:
        """Tell whether every GPU could sleep if the session did not keep it awake."""
        for slot in self._slots.values():
            if not slot.idle:  # in all but laptops at the first: a generator would cost more
                return False
        self._rest_until = self._clock() + REST_SECONDS
        return True

    def _renews(self) -> bool:
        """Tell whether it is time to open NVML anew, as a lost GPU may be back."""
        if not self._lost:
            self._renew_at = float("inf")
            self._pause.reset()
            return False
        now = self._clock()
        if now < self._renew_at < float("inf"):
            return False
        due = now >= self._renew_at
        self._renew_at = now + self._pause.next()
        return due

    def _ask(self, slot: Slot) -> Sequence[GpuReading]:
        for _ in range(2):
            try:
                return self._ask_attached(slot)
            except StaleHandleError:
                slot.gpu = None
            except GpuLostError:
                slot.gpu, slot.idle = None, False
                self._lost.add(slot)
                return [unread(slot.known, GpuState.LOST, Cause.LOST)]
        return [unread(slot.known, GpuState.ACTIVE, Cause.DRIVER_ERROR)]

    def _ask_attached(self, slot: Slot) -> Sequence[GpuReading]:
        gpu = self._attached(slot)
        if isinstance(gpu, Cause):
            return [unread(slot.known, GpuState.ACTIVE, gpu)]
        readings = gpu.read(uid=slot.known.uid, index=slot.known.index)
        slot.is_cut = gpu.is_cut
        self._learn(slot, readings)
        return readings

    def _attached(self, slot: Slot) -> Gpu | Cause:
        if slot.gpu is None or slot.session != self._session:
            try:
                handle = self._handle(slot)
            except self._nvml.NVMLError as error:
                if error.value in (INVALID_ARGUMENT, NOT_FOUND):
                    raise GpuLostError from error  # it was there when the reader was opened
                check_gone(error.value)
                return cause_of(error.value)
            slot.gpu = Gpu(self._site, handle, is_cut=slot.is_cut)
            slot.session = self._session
            slot.last = ()
        return slot.gpu

    def _handle(self, slot: Slot) -> object:
        """Find the GPU: by the number that NVML gave it at first, and then where it sits.

        The numbers shift when NVML is opened without one of the GPUs.
        """
        address = slot.known.pci_address
        if address is None or (slot.index is not None and slot.session < 0):
            return self._nvml.nvmlDeviceGetHandleByIndex(slot.index)
        handle = self._nvml.nvmlDeviceGetHandleByPciBusId(address)
        slot.known = replace(slot.known, index=self._nvml.nvmlDeviceGetIndex(handle))
        return handle

    def _learn(self, slot: Slot, readings: Sequence[GpuReading]) -> None:
        gpu = readings[0]
        if not slot.last and gpu.pci_address is not None:
            slot.may_suspend = may_suspend(self._machine, gpu.pci_address)
        slot.known, slot.last, slot.read_at = gpu, tuple(readings), self._clock()
        slot.idle = slot.may_suspend and gpu.processes == () and gpu.utilization_percent == 0
        self._lost.discard(slot)


def may_suspend(machine: Machine, address: str) -> bool:
    """Tell whether the driver lets this GPU suspend at run time while it is idle.

    The file's layout changed with driver 590, so it is read by key
    (https://github.com/UshakovVasilii/gnome-shell-extension-freon/issues/306).
    """
    try:
        power = machine.read(f"/proc/driver/nvidia/gpus/{address}/power")
    except OSError:
        return False
    return re.search(r"^\s*Runtime D3 status:\s*Enabled", power, re.MULTILINE) is not None
