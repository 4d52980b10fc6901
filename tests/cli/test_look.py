import io
from datetime import UTC, datetime

from tests.machines import recorded
from vramline.cli.look import look_in_turn, look_once, tell
from vramline.machine import RecordedMachine
from vramline.machine.capture import CapturingMachine
from vramline.machine.masking import Masks
from vramline.machine.writing import Header
from vramline.sampler import Sampler

WHEN = datetime(2026, 1, 2, tzinfo=UTC)
ENERGY = "/sys/class/drm/card1/device/hwmon/hwmon2/energy1_input"


def told(seconds: int) -> str:
    """What a terminal gets in that many seconds of waiting."""
    stream = io.StringIO()
    answers = iter([*[False] * seconds, True])
    tell(stream, 10.0, lambda timeout: next(answers))
    return stream.getvalue()


def test_a_short_wait_is_not_told() -> None:
    assert told(0) == ""


def test_a_long_wait_is_counted_and_erased() -> None:
    line = "waiting for the GPU drivers: {} s (at most 10 s for an answer)"

    assert told(2) == f"\r{line.format(1)}\r{line.format(2)}\r{' ' * 61}\r"


def test_a_replay_looks_as_often_as_the_capture_did() -> None:
    # What the first look could not read takes a third for its rate.
    late = {"in_turn": [{"errno": "EBUSY"}, "1000000\n", "3000000\n"], "at": [0.1, 0.3, 0.5]}
    live = CapturingMachine(recorded("intel/b580", clock=lambda: 0.0, **{ENERGY: late}))
    steps: list[float] = []
    with Sampler(live, now=lambda: WHEN) as sampler:
        captured = look_in_turn(sampler, steps.append)

    recording = live.to_dict(Header(version="0", taken_at=WHEN), Masks())
    replayed = look_once(RecordedMachine.from_dict(recording, clock=lambda: 0.0))

    assert steps == [0.2, 0.2]
    assert [round(gpu.power_watts or 0) for gpu in captured.gpus] == [10]
    assert replayed.to_dict() == captured.to_dict()
