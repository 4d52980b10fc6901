"""Each file of every tree under ``tests/data``, broken, whichever reader it is of.

What a file feeds is told in the readers' own tests. Here no tree is left out.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest

from tests.machines import DATA, entries_of, recording_of
from tests.readers.breakage import absurdities, breakages, unexplained
from tests.readers.nvidia.machines import HOST
from vramline.errors import ReadError, ReaderUnavailableError
from vramline.machine import RecordedMachine
from vramline.readers import open_reader, vendors_on
from vramline.readings import GpuReading

NAMES = sorted(str(path.relative_to(DATA).with_suffix("")) for path in DATA.glob("*/*.json"))
TREES = [
    name
    for name in NAMES
    if recording_of(name).get("platform", "linux") == "linux" and not name.startswith("host/")
]
WAYS = {"missing", "garbage", "EIO"}


def read_all(entries: Mapping[str, Any]) -> list[GpuReading]:
    machine = RecordedMachine(entries)
    readings: list[GpuReading] = []
    for vendor in vendors_on("linux"):
        with suppress(ReadError, ReaderUnavailableError):
            reader = open_reader(vendor, machine)
            found = [gpu for device in reader.devices() for gpu in reader.read(device)]
            readings.extend(reader.arrange(found))
            reader.close()
    return readings


@pytest.mark.parametrize("name", TREES)
def test_a_broken_file_makes_no_reading_absurd_and_no_gpu_another(name: str) -> None:
    entries = {**HOST, **entries_of(name)}
    uids = {gpu.uid for gpu in read_all(entries)}
    wrong = []
    for path, way, broken in breakages(entries):
        if way in WAYS:
            readings = read_all(broken)
            faults = [fault for gpu in readings for fault in (*absurdities(gpu), *unexplained(gpu))]
            if faults or len(readings) > len(uids):
                wrong.append((path, way, faults))

    assert wrong == []
