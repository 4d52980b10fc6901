"""Every recorded machine of the tests, captured once more."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.machines import DATA, recorded
from vramline.doctor import examine
from vramline.machine import Machine, RecordedMachine
from vramline.machine.capture import CapturingMachine
from vramline.machine.masking import Masks
from vramline.machine.sections import account
from vramline.machine.writing import Header, to_text
from vramline.readings import Snapshot
from vramline.sampler import Sampler

WHEN = datetime(2026, 1, 2, tzinfo=UTC)
NAMES = [str(path.relative_to(DATA).with_suffix("")) for path in sorted(DATA.rglob("*.json"))]


def two_looks(machine: Machine) -> Snapshot:
    with Sampler(machine, now=lambda: WHEN) as sampler:
        sampler.snapshot()
        return sampler.snapshot()


def masked(snapshot: Snapshot, masks: Masks) -> dict[str, Any]:
    plain: dict[str, Any] = masks.value(snapshot.to_dict())
    for gpu in plain["gpus"]:
        for process in gpu["processes"] or ():
            # Of a host of two letters only what stands before a user is masked.
            if "\\" in (process["user"] or ""):
                process["user"] = account(masks, process["user"])
    return plain


@pytest.mark.parametrize("name", NAMES)
def test_a_machine_shows_the_same_when_it_was_captured(name: str) -> None:
    live = CapturingMachine(recorded(name, clock=lambda: 0.0))
    masks = Masks()

    captured = two_looks(live)
    findings = examine(live, captured, version_of=lambda _: None)
    recording = to_text(live.to_dict(Header(version="0", taken_at=WHEN), masks))
    replay = RecordedMachine.from_dict(recording, clock=lambda: 0.0)
    replayed = two_looks(replay)

    assert masked(captured, masks) == json.loads(json.dumps(replayed.to_dict()))
    assert [masks.text(finding.found) for finding in findings] == [
        finding.found for finding in examine(replay, replayed, version_of=lambda _: None)
    ]
