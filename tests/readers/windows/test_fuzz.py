"""Whatever Windows says, no reading is absurd, and nothing but a ReadError comes out."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.readers.breakage import absurdities, unexplained
from tests.readers.windows.machines import NAVI, holder, instance, navi
from tests.readers.windows.standin import ARRAYS, FakeWindows, adapter, collection
from vramline.errors import ReadError, ReaderUnavailableError
from vramline.readers.windows import open_reader
from vramline.readers.windows.instances import adapter_bytes, engine_percents, process_bytes
from vramline.readings import Cause, GpuReading

NUMBERS = st.one_of(
    st.integers(-(2**70), 2**70),
    st.sampled_from([0, 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1, True]),
    st.floats(),
)
ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, st.text(max_size=8), st.binary(max_size=4)),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["status", "items", "bus", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)
NAMES = st.one_of(
    st.text(max_size=40),
    st.from_regex(
        r"(pid_[0-9]{1,12}_)?luid_0x[0-9A-Fa-f]{1,9}_0x[0-9A-Fa-f]{1,9}_phys_[0-9]{1,6}"
        r"(_eng_[0-9]{1,6}_engtype_.{0,6})?(_part_[0-9])?",
        fullmatch=True,
    ),
    st.sampled_from(
        [
            instance(NAVI),
            holder(5, NAVI),
            f"{holder(5, NAVI)}_eng_0_engtype_3D",
            f"{holder(6, NAVI)}_eng_0_engtype_Cuda",
        ]
    ),
)
ITEMS = st.lists(st.tuples(NAMES, NUMBERS).map(list), max_size=8)
ARRAY = st.fixed_dictionaries(
    {
        "status": st.sampled_from([0, 0, 0, 0x800007D1, 0xC0000BBA, 0xC0000BB8, -1]),
        "instances": st.integers(0, 9),
        "zeros": st.integers(0, 9),
        "items": ITEMS,
    }
)
COLLECTION = st.fixed_dictionaries(dict.fromkeys(ARRAYS, ARRAY))


def all_read(windows: FakeWindows, looks: int = 2) -> list[GpuReading]:
    readings: list[GpuReading] = []
    try:
        reader = open_reader(windows.machine())
        for _ in range(looks):
            windows.now += 1
            for key in reader.devices():
                try:
                    readings.extend(reader.read(key))
                except ReadError:
                    readings.append(reader.describe(key, Cause.DRIVER_ERROR))
        reader.close()
    except (ReadError, ReaderUnavailableError):
        pass
    return readings


def check(readings: list[GpuReading]) -> None:
    for gpu in readings:
        assert absurdities(gpu) == []
        assert unexplained(gpu) == set()
        assert (gpu.memory_used_bytes or 0) < 2**63
        for process in gpu.processes or ():
            assert process.pid >= 0
            assert process.memory_bytes is None or 0 <= process.memory_bytes < 2**63
            if gpu.memory_total_bytes is not None:
                assert (process.memory_bytes or 0) <= gpu.memory_total_bytes


@given(COLLECTION, COLLECTION)
def test_no_counters_make_an_absurd_reading(first: Any, second: Any) -> None:
    check(all_read(navi(collections=[first, second])))


@given(ITEMS)
def test_no_name_and_no_value_makes_a_figure_that_is_none(items: Any) -> None:
    busy, running = engine_percents(items)

    assert all(count >= 0 for count in adapter_bytes(items).values())
    assert all(count >= 0 for each in process_bytes(items).values() for count in each.values())
    assert all(0 < percent <= 100 for percent in busy.values())
    assert running.keys() == busy.keys()


@given(
    st.lists(
        st.builds(
            lambda luid, own, shared, vendor, name: adapter(
                luid,
                (vendor, 1),
                name,
                dedicated_video_memory=own,
                shared_system_memory=shared,
            ),
            st.sampled_from([NAVI, 7, -1, 2**70]),
            NUMBERS,
            NUMBERS,
            st.sampled_from([0x1002, 0x10DE, 0x8086, 2**32 - 1]),
            ANYTHING,
        ),
        max_size=4,
    ),
    st.dictionaries(st.sampled_from([NAVI, 7]), st.booleans()),
    COLLECTION,
    ANYTHING,
)
def test_no_adapter_makes_an_absurd_reading(
    adapters: Any, integrated: Any, counted: Any, kernel: Any
) -> None:
    told = {"address": kernel, "kind": kernel, "limits": kernel, "performance": kernel}
    windows = FakeWindows(
        adapters,
        integrated=integrated,
        lasting={NAVI: told},
        present={NAVI: told},
        registered=kernel if isinstance(kernel, list) else [],
        collections=[counted],
    )
    readings = all_read(windows)

    check(readings)
    assert len({gpu.uid for gpu in readings}) * 2 == len(readings)


@given(st.sampled_from(["adapters", "lasting", "present", "registry", "collect"]), ANYTHING)
def test_no_answer_of_any_kind_is_fatal(what: str, answer: Any) -> None:
    windows = navi()
    if what == "adapters":
        windows.answers = {"status": 0, "adapters": answer}
    elif what == "registry":
        windows.registry = answer
    elif what == "collect":
        windows.collections = [answer, collection(engine=answer)]
    else:
        windows.kernel[what][NAVI] = answer if isinstance(answer, dict) else {}

    check(all_read(windows))
