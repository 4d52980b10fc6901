import pytest

from vramline.errors import ReadError, ReaderUnavailableError
from vramline.machine import LiveMachine, Machine, RecordedMachine
from vramline.readers import VENDORS, open_reader
from vramline.readers.base import GpuReader
from vramline.readings import Cause

NOTHING = RecordedMachine({})


def opened(vendor: str, machine: Machine) -> GpuReader:
    try:
        return open_reader(vendor, machine)
    except ReaderUnavailableError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("vendor", VENDORS)
def test_on_an_empty_machine_the_vendor_is_unavailable_and_says_why(vendor: str) -> None:
    with pytest.raises(ReaderUnavailableError, match=r"\w"):
        open_reader(vendor, NOTHING)


@pytest.mark.parametrize("vendor", VENDORS)
def test_on_this_machine_every_reading_is_whole(vendor: str) -> None:
    try:
        reader = opened(vendor, LiveMachine())
    except ReadError as error:
        pytest.skip(str(error))
    readings = [gpu for device in reader.devices() for gpu in reader.read(device)]
    arranged = reader.arrange(readings)
    reader.close()

    assert vendor in ("apple", "windows") or {gpu.vendor for gpu in arranged} == {vendor}
    assert len({gpu.uid for gpu in arranged}) == len(arranged)
    for gpu in arranged:
        silent = [
            name
            for name, value in gpu.__class__.__dataclass_fields__.items()
            if getattr(gpu, name) is None and name not in gpu.unknown
        ]
        assert set(silent) <= {"parent_uid", "cuda_index", "index"}


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_device_is_described_without_being_asked(vendor: str) -> None:
    reader = opened(vendor, LiveMachine())

    described = [reader.describe(device, Cause.TIMEOUT) for device in reader.devices()]
    reader.close()

    assert [gpu.unknown["memory_total_bytes"] for gpu in described] == [Cause.TIMEOUT] * len(
        described
    )
