import json
import pickle
from dataclasses import FrozenInstanceError, fields
from datetime import UTC, datetime, timedelta, timezone
from typing import cast

import pytest

from vramline.readings import (
    Cause,
    FrozenDict,
    GpuProcess,
    GpuReading,
    HostReading,
    Snapshot,
)

GPU = GpuReading(
    uid="GPU-1",
    vendor="nvidia",
    memory_total_bytes=8,
    throttle=("power_cap",),
    processes=(GpuProcess(pid=1, memory_bytes=4),),
    unknown=FrozenDict(fan_percent=Cause.NOT_SUPPORTED),
)
SNAPSHOT = Snapshot(
    taken_at=datetime(2026, 11, 23, 12, tzinfo=UTC),
    host=HostReading(cores=1.5),
    gpus=(GPU,),
    absent=FrozenDict(amd="no card"),
)


def test_a_snapshot_as_a_dict_has_every_field_by_its_name() -> None:
    plain = SNAPSHOT.to_dict()

    assert list(plain) == ["format", "taken_at", "host", "gpus", "absent", "failures"]
    assert list(plain["gpus"][0]) == [field.name for field in fields(GpuReading)]
    assert list(plain["host"]) == [field.name for field in fields(HostReading)]
    assert plain["taken_at"] == "2026-11-23T12:00:00Z"
    assert plain["gpus"][0]["unknown"] == {"fan_percent": "not_supported"}
    assert plain["gpus"][0]["throttle"] == ["power_cap"]
    assert plain["gpus"][0]["processes"][0]["kind"] == "compute"
    assert plain["gpus"][0]["fan_percent"] is None


def test_that_dict_is_the_same_after_a_way_through_json() -> None:
    plain = SNAPSHOT.to_dict()

    assert json.loads(json.dumps(plain, allow_nan=False)) == plain


def test_the_time_is_given_in_utc() -> None:
    east = timezone(timedelta(hours=2))
    snapshot = Snapshot(taken_at=datetime(2026, 11, 23, 14, tzinfo=east), host=HostReading())

    assert snapshot.to_dict()["taken_at"] == "2026-11-23T12:00:00Z"


def test_a_snapshot_survives_pickling() -> None:
    assert pickle.loads(pickle.dumps(SNAPSHOT)) == SNAPSHOT


def test_a_snapshot_can_be_hashed() -> None:
    assert len({SNAPSHOT, pickle.loads(pickle.dumps(SNAPSHOT))}) == 1


def test_a_reading_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        GPU.uid = "GPU-2"  # type: ignore[misc]
    unknown = cast("dict[str, Cause]", GPU.unknown)
    with pytest.raises(TypeError, match="a reading cannot be changed"):
        unknown["uid"] = Cause.LOST
    with pytest.raises(TypeError, match="a reading cannot be changed"):
        unknown.update(uid=Cause.LOST)
    with pytest.raises(TypeError, match="a reading cannot be changed"):
        unknown.pop("fan_percent")
    with pytest.raises(TypeError, match="a reading cannot be changed"):
        unknown |= {"uid": Cause.LOST}
    with pytest.raises(TypeError, match="a reading cannot be changed"):
        unknown.clear()
    assert GPU.unknown == {"fan_percent": Cause.NOT_SUPPORTED}
