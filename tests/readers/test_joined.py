from collections.abc import Sequence
from dataclasses import replace

import pytest

from vramline.errors import ReadError
from vramline.readers.joined import JoinedReader
from vramline.readings import Cause, GpuReading


class Part:
    """Reads GPUs that it is given; names them anew when all of them are there."""

    def __init__(self, *names: str, first_index: int = 0, closes: bool = True) -> None:
        self.names = names
        self.first_index = first_index
        self.closes = closes
        self.closed = False

    def devices(self) -> Sequence[str]:
        return tuple(str(place) for place, _ in enumerate(self.names))

    def read(self, device: str) -> Sequence[GpuReading]:
        uid = self.names[int(device)]
        gpu = GpuReading(uid=uid, vendor="nvidia", index=self.first_index + int(device))
        return [gpu, replace(gpu, uid=f"{uid}/0", parent_uid=uid)]

    def describe(self, device: str, cause: Cause) -> GpuReading:
        return replace(self.read(device)[0], name=str(cause))

    def arrange(self, readings: Sequence[GpuReading]) -> tuple[GpuReading, ...]:
        return tuple(replace(gpu, cuda_index=place) for place, gpu in enumerate(readings))

    def close(self) -> None:
        self.closed = True
        if not self.closes:
            raise ReadError("would not close")


def test_devices_follow_each_other_and_none_hides_another() -> None:
    joined = JoinedReader([Part("a", "b"), Part("c", first_index=2)])

    devices = joined.devices()
    readings = [gpu for device in devices for gpu in joined.read(device)]

    assert len(set(devices)) == 3
    assert [(gpu.uid, gpu.index) for gpu in readings] == [
        ("a", 0),
        ("a/0", 0),
        ("b", 1),
        ("b/0", 1),
        ("c", 2),
        ("c/0", 2),
    ]


def test_each_reader_arranges_its_own_readings() -> None:
    joined = JoinedReader([Part("a"), Part("c")])
    first, second = joined.devices()
    readings = [*joined.read(first), joined.describe(second, Cause.TIMEOUT)]

    assert [(gpu.uid, gpu.cuda_index) for gpu in joined.arrange(readings)] == [
        ("a", 0),
        ("a/0", 1),
        ("c", 0),
    ]


def test_a_device_is_described_by_its_reader() -> None:
    joined = JoinedReader([Part("a"), Part("c")])

    assert [joined.describe(device, Cause.LOST).uid for device in joined.devices()] == ["a", "c"]


def test_every_reader_is_closed_even_where_one_fails() -> None:
    parts = [Part("a"), Part("b", closes=False), Part("c", closes=False)]

    with pytest.raises(ReadError, match="would not close"):
        JoinedReader(parts).close()

    assert [part.closed for part in parts] == [True, True, True]
