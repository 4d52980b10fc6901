"""NVIDIA's GPUs that other drivers have: nouveau, or one that keeps them for virtual machines."""

from typing import Any

import pynvml
import pytest

from tests.machines import entries_of
from tests.readers.nvidia.machines import HOST, machine, on_bus
from tests.readers.test_silent import SYSTEM, a_card, silent
from tests.standin import StandIn
from vramline.errors import ReadError, ReaderUnavailableError
from vramline.machine import Machine, RecordedMachine
from vramline.readers.nvidia import open_reader
from vramline.readers.silent import SilentCards
from vramline.readings import Cause, GpuReading, GpuState

KEPT = "the NVIDIA GPU at 0000:01:00.0 is kept for a virtual machine, by {}"


def read_once(at: Machine) -> list[GpuReading]:
    reader = open_reader(at)
    readings = [gpu for device in reader.devices() for gpu in reader.read(device)]
    arranged = reader.arrange(readings)
    reader.close()
    return list(arranged)


def nouveau(number: int, **changed: Any) -> dict[str, Any]:
    address = f"0000:0{number}:00.0"
    return {**SYSTEM, **a_card(number, **changed), **on_bus(address, driver="nouveau")}


@pytest.mark.parametrize("code", [0, 9, 12, 999])
def test_a_card_under_nouveau_is_listed_and_nvml_is_not_opened(nvml: StandIn, code: int) -> None:
    nvml.load(f"on nvmlInit error={code}\n" if code else "")

    assert read_once(machine(nouveau(1))) == [silent(1, 0, "NVIDIA GeForce GTX 1080")]
    assert nvml.calls("nvmlInit") == 0


def test_a_card_under_nouveau_needs_no_binding() -> None:
    reader = open_reader(RecordedMachine({**HOST, **nouveau(1)}))

    assert isinstance(reader, SilentCards)


def test_a_card_under_nouveau_is_listed_where_drm_has_no_node_for_it(nvml: StandIn) -> None:
    (gpu,) = read_once(machine(on_bus("0000:01:00.0", driver="nouveau")))

    assert (gpu.uid, gpu.vendor, gpu.state) == ("0000:01:00.0", "nvidia", GpuState.ACTIVE)
    assert gpu.unknown["memory_total_bytes"] is Cause.DRIVER_EXPOSES_NOTHING


def test_a_card_under_nouveau_stands_behind_nvmls_gpus(nvml: StandIn) -> None:
    nvml.load("gpus 2\n")
    bus = {**on_bus("0000:01:00.0"), **on_bus("0000:02:00.0"), **nouveau(3)}

    gpus = read_once(machine(bus))

    assert [(gpu.index, gpu.pci_address, gpu.cuda_index) for gpu in gpus] == [
        (0, "0000:01:00.0", 0),
        (1, "0000:02:00.0", 1),
        (2, "0000:03:00.0", None),
    ]
    assert gpus[2] == silent(3, 2, "NVIDIA GeForce GTX 1080")
    assert nvml.initialised == 0


def test_a_card_of_nvidias_driver_is_in_drm_as_well_and_is_told_once(nvml: StandIn) -> None:
    nvml.load("gpu 0 pci 00000000:09:00.0\n")
    tree = entries_of("nvidia/rtx4080")

    gpus = read_once(machine({**tree, **on_bus("0000:09:00.0")}))

    assert [(gpu.pci_address, gpu.uid[:4]) for gpu in gpus] == [("0000:09:00.0", "GPU-")]


@pytest.mark.parametrize("driver", ["vfio-pci", "pci-stub", "nvgrace_gpu_vfio_pci"])
def test_a_gpu_that_is_kept_for_a_virtual_machine_is_absent(nvml: StandIn, driver: str) -> None:
    nvml.load("on nvmlInit error=12\n")

    with pytest.raises(ReaderUnavailableError) as error:
        open_reader(machine(on_bus("0000:01:00.0", driver=driver)))

    assert str(error.value) == KEPT.format(driver)


def test_beside_a_kept_gpu_the_others_are_read(nvml: StandIn) -> None:
    nvml.load("gpu 0 pci 00000000:02:00.0\n")
    bus = {**on_bus("0000:01:00.0", driver="vfio-pci"), **on_bus("0000:02:00.0")}

    assert [gpu.pci_address for gpu in read_once(machine(bus))] == ["0000:02:00.0"]


def test_a_kept_gpu_beside_one_under_nouveau_is_not_listed(nvml: StandIn) -> None:
    bus = {**on_bus("0000:01:00.0", driver="vfio-pci"), **nouveau(2)}

    assert [gpu.pci_address for gpu in read_once(machine(bus))] == ["0000:02:00.0"]


@pytest.mark.parametrize("driver", [None, "nvidia"])
def test_a_gpu_whose_driver_fails_is_a_failure_beside_nouveau_too(
    nvml: StandIn, driver: str | None
) -> None:
    nvml.load("on nvmlInit error=12\n")
    bus = {**on_bus("0000:01:00.0", driver=driver), **nouveau(2)}

    with pytest.raises(ReadError, match=r"an NVIDIA GPU is at 0000:01:00\.0"):
        open_reader(machine(bus))


def test_a_driver_without_a_gpu_leaves_the_card_under_nouveau(nvml: StandIn) -> None:
    nvml.load("gpus 0\n")
    bus = {**on_bus("0000:01:00.0", driver=None), **nouveau(2)}

    assert [gpu.pci_address for gpu in read_once(machine(bus))] == ["0000:02:00.0"]
    assert nvml.initialised == 0


def test_what_ends_nvml_ends_the_reading_of_both(nvml: StandIn) -> None:
    nvml.load("")
    bus = {**on_bus("0000:01:00.0"), **nouveau(3)}
    reader = open_reader(machine(bus))
    first, second = reader.devices()
    reader.read(first)
    pynvml.nvmlShutdown()

    with pytest.raises(ReadError):
        reader.read(first)
    assert reader.read(second)[0].pci_address == "0000:03:00.0"
    reader.close()
