"""Who is measured: each opens itself as its documentation says, and gives what is then repeated.

What a tool keeps between two looks it may keep here too. Peers are imported only in the
process that measures them.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import psutil

from bench.bare import Ask, bare_loop, nvml_alone, read_file
from vramline import LiveMachine, Sampler
from vramline.models.resource_monitor import ResourceMonitor
from vramline.readers.host import HostReader

BARE = "bare loop"
NVML_ALONE = "bare loop, without the files"
SNAPSHOT = "vramline Sampler.snapshot()"
MONITOR = "vramline ResourceMonitor"
NVITOP = "nvitop, the same fields"
NVITOP_ONE_BY_ONE = "nvitop, a method a field"
NVITOP_DEVICES = "nvitop Device.as_snapshot()"
NVITOP_SNAPSHOT = "nvitop take_snapshots()"
GPUSTAT = "gpustat.new_query()"
GLANCES = "Glances' NVIDIA card"
GLANCES_CARDS = "Glances' cards"
HOST_FILES = "bare loop over the same files"
HOST_READER = "vramline HostReader.read()"
PSUTIL = "psutil: processors, memory, swap, affinity"

NEEDS = {
    NVITOP: "nvitop",
    NVITOP_ONE_BY_ONE: "nvitop",
    NVITOP_DEVICES: "nvitop",
    NVITOP_SNAPSHOT: "nvitop",
    GPUSTAT: "gpustat",
    GLANCES: "glances",
    GLANCES_CARDS: "glances",
}
"""The module without which a subject is left out."""


def is_installed(subject: str) -> bool:
    """Tell whether the subject can be measured here."""
    return subject not in NEEDS or find_spec(NEEDS[subject]) is not None


def open_subject(name: str, files: Sequence[str], root: str = "") -> Ask:
    """Open a subject.

    Args:
        files: Those that the bare loop reads.
        root: Where the machine's files are, if it is not this machine.
    """
    if name == BARE:
        return bare_loop(files)
    if name == SNAPSHOT:
        return Sampler(LiveMachine(host_root=root)).snapshot
    if name == GLANCES_CARDS:
        return _glances_cards(root)
    if name == HOST_FILES:
        return lambda: [read_file(path) for path in files]
    return _OPENERS[name]()


def _monitor() -> Ask:
    return ResourceMonitor().get_current_resources


def _nvitop() -> Ask:
    nvitop: Any = import_module("nvitop")
    devices = nvitop.Device.all()

    def ask() -> object:
        return [_nvitop_fields(device) for device in devices], _nvitop_host(nvitop.host)

    return ask


def _nvitop_fields(device: Any) -> tuple[object, ...]:
    # Inside oneshot() nvitop asks the driver once for what several methods share, and
    # it forgets that at the end: so each call here is real, and none is made twice. It has
    # no method for the throttle reasons, so it makes one call less than the bare loop. It
    # keeps name and UUID by itself. Encoder, decoder and two more clocks come with the
    # methods that tell the fields.
    with device.oneshot():
        return (
            device.index,
            device.name(),
            device.uuid(),
            device.bus_id(),
            device.memory_info(),
            device.utilization_rates(),
            device.temperature(),
            device.power_usage(),
            device.power_limit(),
            device.clock_infos(),
            device.fan_speed(),
            _nvitop_processes(device),
        )


def _nvitop_processes(device: Any) -> list[tuple[object, ...]]:
    return [
        (process.name(), process.username(), process.create_time(), process.gpu_memory())
        for process in device.processes().values()
    ]


def _nvitop_one_by_one() -> Ask:
    nvitop: Any = import_module("nvitop")
    devices = nvitop.Device.all()

    def ask() -> object:
        return [_nvitop_each_field(device) for device in devices], _nvitop_host(nvitop.host)

    return ask


def _nvitop_each_field(device: Any) -> tuple[object, ...]:
    # As its documentation shows it: without oneshot() each method asks the driver anew.
    return (
        device.index,
        device.name(),
        device.uuid(),
        device.bus_id(),
        device.memory_total(),
        device.memory_used(),
        device.memory_free(),
        device.gpu_utilization(),
        device.memory_utilization(),
        device.temperature(),
        device.power_usage(),
        device.power_limit(),
        device.sm_clock(),
        device.memory_clock(),
        device.fan_speed(),
        _nvitop_processes(device),
    )


def _nvitop_host(host: Any) -> tuple[object, ...]:
    # No cgroups and no pressure: fewer files than the bare loop reads.
    return host.cpu_percent(), host.virtual_memory(), host.swap_memory()


def _nvitop_devices() -> Ask:
    # Without the host, and without processes.
    devices = import_module("nvitop").Device.all()
    return lambda: [device.as_snapshot() for device in devices]


def _nvitop_snapshot() -> Ask:
    # Each device's as_snapshot() and each process's: its documented way to take all of it.
    ask: Ask = import_module("nvitop").take_snapshots
    return ask


def _gpustat() -> Ask:
    gpustat: Any = import_module("gpustat")
    return lambda: [gpu.jsonify() for gpu in gpustat.new_query()]


def _glances() -> Ask:
    card: Any = import_module("glances.plugins.gpu.cards.nvidia").NvidiaGPU()
    ask: Ask = card.get_device_stats
    return ask


def _glances_cards(root: str) -> Ask:
    folder = f"{root}/sys/class/drm"
    cards: list[Any] = [
        import_module("glances.plugins.gpu.cards.amd").AmdGPU(drm_root_folder=folder),
        import_module("glances.plugins.gpu.cards.intel").IntelGPU(drm_root_folder=folder),
        import_module("glances.plugins.gpu.cards.nvidia").NvidiaGPU(),
    ]
    return lambda: [card.get_device_stats() for card in cards]


def _host_reader() -> Ask:
    return HostReader(LiveMachine()).read


def _psutil() -> Ask:
    process: Any = psutil.Process()  # macOS tells no affinity

    def ask() -> object:
        return (
            psutil.cpu_percent(),
            psutil.virtual_memory(),
            psutil.swap_memory(),
            process.cpu_affinity(),
        )

    return ask


_OPENERS: Mapping[str, Callable[[], Ask]] = {
    NVML_ALONE: nvml_alone,
    MONITOR: _monitor,
    NVITOP: _nvitop,
    NVITOP_ONE_BY_ONE: _nvitop_one_by_one,
    NVITOP_DEVICES: _nvitop_devices,
    NVITOP_SNAPSHOT: _nvitop_snapshot,
    GPUSTAT: _gpustat,
    GLANCES: _glances,
    HOST_READER: _host_reader,
    PSUTIL: _psutil,
}
