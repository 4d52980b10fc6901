from dataclasses import replace

import pytest

from vramline.machine import RecordedMachine
from vramline.readers.rest import Rest
from vramline.readings import Cause, FrozenDict, GpuReading

DEVICE = "/sys/class/drm/card0/device"
READING = GpuReading(uid="0000:03:00.0", vendor="amd")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def a_rest(
    clock: Clock,
    control: str | None = "auto\n",
    holders: str | None = None,
    *,
    in_doubt: bool = True,
) -> Rest:
    told = {"control": control, "runtime_usage": holders}
    files = {f"{DEVICE}/power/{name}": text for name, text in told.items() if text is not None}
    return Rest(RecordedMachine(files, clock=clock), DEVICE, 10.0, in_doubt=in_doubt)


def test_an_idle_device_is_left_alone_until_the_time_is_over() -> None:
    clock = Clock()
    rest = a_rest(clock)
    rest.begin(READING, is_idle=True)

    clock.now += 9.5
    assert rest.reading() == replace(READING, age_seconds=9.5)
    clock.now += 0.5
    assert rest.reading() is None


@pytest.mark.parametrize("control", ["on\n", "", None])
def test_one_that_may_not_sleep_is_read(control: str | None) -> None:
    rest = a_rest(Clock(), control)
    rest.begin(READING, is_idle=True)

    assert rest.reading() is None


@pytest.mark.parametrize(
    ("holders", "in_doubt", "is_left"),
    [
        ("0\n", False, True),
        ("0\n", True, True),
        ("2\n", True, False),  # a screen is on
        (None, True, True),
        (None, False, False),
    ],
)
def test_one_that_somebody_holds_awake_is_read(
    holders: str | None, in_doubt: bool, is_left: bool
) -> None:
    rest = a_rest(Clock(), holders=holders, in_doubt=in_doubt)
    rest.begin(READING, is_idle=True)

    assert (rest.reading() is not None) is is_left


def test_one_that_is_used_or_has_a_rate_to_come_is_read() -> None:
    first = replace(READING, unknown=FrozenDict({"power_watts": Cause.FIRST_SAMPLE}))
    rest = a_rest(Clock())

    assert rest.reading() is None
    for reading, is_idle in ((READING, False), (first, True)):
        rest.begin(READING, is_idle=True)
        rest.begin(reading, is_idle=is_idle)
        assert rest.reading() is None


def test_a_rest_can_be_ended() -> None:
    rest = a_rest(Clock())
    rest.begin(READING, is_idle=True)
    rest.end()

    assert rest.reading() is None
