import json
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from pathlib import Path, PurePosixPath
from typing import Any

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vramline.machine import LiveMachine, RecordedMachine
from vramline.readers.host import Cgroups, HostMemory, HostReader, read_memory
from vramline.readings import Cause, HostReading
from vramline.units import GIB, KIB

Entry = str | Mapping[str, Any]

DATA = Path(__file__).parent.parent / "data" / "host"
MACHINES: dict[str, dict[str, Entry]] = {
    path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(DATA.glob("*.json"))
}
FILES = [(name, path) for name, entries in MACHINES.items() for path in entries]
V2 = "/sys/fs/cgroup"

FIRST = {"cpu_percent": Cause.FIRST_SAMPLE}
PRESSURE = (
    "pressure_cpu_some_percent",
    "pressure_memory_some_percent",
    "pressure_memory_full_percent",
    "pressure_io_some_percent",
    "pressure_io_full_percent",
)
NO_PRESSURE = dict.fromkeys(PRESSURE, Cause.NOT_SUPPORTED)
ROOM = ("memory_available_bytes", "available_source", "memory_percent")
LIMIT = (*ROOM, "memory_limit_bytes", "limit_source")
FED = {
    "/proc/stat": ("cpu_percent",),
    "/proc/meminfo": (
        *ROOM,
        "memory_total_bytes",
        "memory_used_bytes",
        "swap_total_bytes",
        "swap_used_bytes",
    ),
    "/proc/self/status": ("cores",),
    "/proc/self/cgroup": ("cores", *LIMIT),
    "/proc/self/mountinfo": ("cores", *LIMIT),
    "/proc/pressure/cpu": PRESSURE[:1],
    "/proc/pressure/memory": PRESSURE[1:3],
    "/proc/pressure/io": PRESSURE[3:],
    "memory.max": LIMIT,
    "memory.high": LIMIT,
    "memory.limit_in_bytes": LIMIT,
    "memory.current": ROOM,
    "memory.usage_in_bytes": ROOM,
    "memory.stat": ROOM,
    "cpu.max": ("cores",),
    "cpu.cfs_quota_us": ("cores",),
    "cpu.cfs_period_us": ("cores",),
}


on_linux = pytest.mark.skipif(sys.platform != "linux", reason="needs a live machine that is Linux")


class Replaceable(RecordedMachine):
    def __init__(self, *entries: Mapping[str, Entry]) -> None:
        super().__init__({})
        self._recordings = [RecordedMachine(each) for each in entries]
        self.asked: list[str] = []

    def read(self, path: str) -> str:
        self.asked.append(path)
        return self._recordings[0].read(path)

    def step(self) -> None:
        del self._recordings[0]


def recorded(name: str, **changes: Entry) -> RecordedMachine:
    return RecordedMachine({**MACHINES[name], **changes})


def read(name: str, changes: Mapping[str, Entry] | None = None) -> HostReading:
    return HostReader(RecordedMachine({**MACHINES[name], **(changes or {})})).read()


def without(name: str, *paths: str) -> dict[str, Entry]:
    return {path: entry for path, entry in MACHINES[name].items() if path not in paths}


def test_a_desktop_without_limits_has_what_the_system_has() -> None:
    assert read("desktop_v2") == HostReading(
        cores=16.0,
        memory_total_bytes=65536000 * KIB,
        memory_available_bytes=49152000 * KIB,
        memory_used_bytes=16384000 * KIB,
        memory_percent=25.0,
        swap_total_bytes=8 * GIB,
        swap_used_bytes=2 * GIB,
        pressure_cpu_some_percent=2.5,
        pressure_memory_some_percent=0.0,
        pressure_memory_full_percent=0.0,
        pressure_io_some_percent=0.75,
        pressure_io_full_percent=0.5,
        unknown=FIRST,
    )


def test_a_container_full_of_page_cache_is_not_full() -> None:
    assert read("container_v2") == HostReading(
        cores=1.5,
        memory_total_bytes=131072000 * KIB,
        memory_available_bytes=7 * GIB + GIB // 8,
        memory_used_bytes=32768000 * KIB,
        memory_percent=25.0,
        memory_limit_bytes=8 * GIB,
        limit_source="/",
        available_source="/",
        swap_total_bytes=0,
        swap_used_bytes=0,
        pressure_cpu_some_percent=12.25,
        pressure_memory_some_percent=0.0,
        pressure_memory_full_percent=0.0,
        pressure_io_some_percent=0.0,
        pressure_io_full_percent=0.0,
        unknown=FIRST,
    )


def test_a_limit_above_the_own_cgroup_binds_and_pressure_may_be_switched_off() -> None:
    assert read("ancestor_limit_v2") == HostReading(
        cores=6.0,
        memory_total_bytes=131072000 * KIB,
        memory_available_bytes=9 * GIB // 2,
        memory_used_bytes=32768000 * KIB,
        memory_percent=85.9375,
        memory_limit_bytes=32 * GIB,
        limit_source="/training.slice",
        available_source="/training.slice",
        swap_total_bytes=2 * GIB,
        swap_used_bytes=0,
        unknown={**FIRST, **NO_PRESSURE},
    )


def test_memory_high_is_a_limit_and_a_fuller_cgroup_above_leaves_less() -> None:
    assert read("memory_high_v2") == HostReading(
        cores=8.0,
        memory_total_bytes=32 * GIB,
        memory_available_bytes=9 * GIB // 2,
        memory_used_bytes=8 * GIB,
        memory_percent=71.875,
        memory_limit_bytes=12 * GIB,
        limit_source="/app.slice/chat.service",
        available_source="/app.slice/chat.service",
        swap_total_bytes=0,
        swap_used_bytes=0,
        pressure_cpu_some_percent=0.0,
        pressure_memory_some_percent=7.5,
        pressure_memory_full_percent=3.25,
        pressure_io_some_percent=0.0,
        pressure_io_full_percent=0.0,
        unknown=FIRST,
    )


def test_docker_on_version_1_mounts_its_own_cgroup_and_an_old_kernel_has_no_pressure() -> None:
    assert read("docker_v1") == HostReading(
        cores=2.5,
        memory_total_bytes=16384000 * KIB,
        memory_available_bytes=9 * GIB // 4,
        memory_used_bytes=4096000 * KIB,
        memory_percent=43.75,
        memory_limit_bytes=4 * GIB,
        limit_source="/",
        available_source="/",
        swap_total_bytes=2 * GIB,
        swap_used_bytes=1 * GIB,
        unknown={**FIRST, **NO_PRESSURE},
    )


def test_a_hybrid_machine_without_limits_has_none_from_either_version() -> None:
    assert read("hybrid_unlimited") == HostReading(
        cores=2.0,
        memory_total_bytes=25276510208,
        memory_available_bytes=24964431872,
        memory_used_bytes=25276510208 - 24964431872,
        memory_percent=100 * (25276510208 - 24964431872) / 25276510208,
        swap_total_bytes=0,
        swap_used_bytes=0,
        pressure_cpu_some_percent=0.16,
        pressure_memory_some_percent=0.0,
        pressure_memory_full_percent=0.0,
        pressure_io_some_percent=0.17,
        pressure_io_full_percent=0.17,
        unknown=FIRST,
    )


@pytest.mark.parametrize(
    ("name", "source", "used_bytes"),
    [
        (
            "hybrid_limited",
            "/sandbox/0123456789abcdef0123456789abcdef/limited",
            325775360 - 314572800,
        ),
        ("v1_bind_mount", "/", 326983680 - 315371520 - 1118208),
    ],
)
def test_a_file_that_was_read_does_not_fill_a_real_cgroup(
    name: str, source: str, used_bytes: int
) -> None:
    reading = read(name)

    assert (
        reading.cores,
        reading.memory_available_bytes,
        reading.memory_percent,
        reading.memory_limit_bytes,
        reading.limit_source,
    ) == (
        1.5,
        512 * 2**20 - used_bytes,
        100 * used_bytes / (512 * 2**20),
        512 * 2**20,
        source,
    )


def test_without_memavailable_it_is_estimated_from_what_can_be_dropped() -> None:
    assert read("kernel_2_6") == HostReading(
        cores=4.0,
        memory_total_bytes=8000000 * KIB,
        memory_available_bytes=3200000 * KIB,
        memory_used_bytes=4800000 * KIB,
        memory_percent=60.0,
        swap_total_bytes=0,
        swap_used_bytes=0,
        unknown={**FIRST, **NO_PRESSURE},
    )


@on_linux
def test_under_another_root_the_first_process_is_the_one_whose_limits_count(
    tmp_path: Path,
) -> None:
    # As a container in a cgroup namespace two below the host's root sees its host.
    mounts = "33 24 0:28 /../.. /sys/fs/cgroup rw shared:8 - cgroup2 cgroup2 rw\n"
    tree = {
        "proc/stat": "cpu  10 0 10 80 0 0 0 0 0 0\n",
        "proc/meminfo": MACHINES["memory_high_v2"]["/proc/meminfo"],
        "proc/self/status": "Name:\tinside\nCpus_allowed_list:\t0\n",
        "proc/self/cgroup": "0::/\n",
        "proc/1/status": "Name:\tsystemd\nCpus_allowed_list:\t0-3,6\n",
        "proc/1/cgroup": "0::/../../init.scope\n",
        "proc/1/mountinfo": mounts,
        "sys/fs/cgroup/init.scope/memory.max": f"{4 * GIB}\n",
        "sys/fs/cgroup/init.scope/memory.current": f"{3 * GIB}\n",
        "sys/fs/cgroup/init.scope/memory.stat": f"inactive_file {GIB}\n",
        "sys/fs/cgroup/init.scope/cpu.max": "450000 100000\n",
    }
    for path, text in tree.items():
        place = tmp_path / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(str(text))

    reader = HostReader(LiveMachine(host_root=str(tmp_path)))

    assert reader.read() == HostReading(
        cores=4.5,
        memory_total_bytes=32 * GIB,
        memory_available_bytes=2 * GIB,
        memory_used_bytes=8 * GIB,
        memory_percent=50.0,
        memory_limit_bytes=4 * GIB,
        limit_source="/init.scope",
        available_source="/init.scope",
        swap_total_bytes=0,
        swap_used_bytes=0,
        unknown={**FIRST, **NO_PRESSURE},
    )


def test_memory_can_be_read_alone() -> None:
    machine = recorded("ancestor_limit_v2")

    memory = HostMemory(
        memory_total_bytes=131072000 * KIB,
        memory_available_bytes=9 * GIB // 2,
        memory_used_bytes=32768000 * KIB,
        memory_percent=85.9375,
        memory_limit_bytes=32 * GIB,
        limit_source="/training.slice",
        available_source="/training.slice",
        swap_total_bytes=2 * GIB,
        swap_used_bytes=0,
    )
    assert read_memory(machine) == memory
    assert read_memory(machine, cgroups=Cgroups(machine)) == memory


def ticks(*columns: int) -> dict[str, Entry]:
    cpu = " ".join(map(str, columns))
    return {**MACHINES["desktop_v2"], "/proc/stat": f"cpu  {cpu}\ncpu0 1 2 3 4\n"}


def percents(*looks: tuple[float, Mapping[str, Entry]]) -> list[float | Cause | None]:
    machine = Replaceable(*(entries for _, entries in looks))
    now = [0.0]
    reader = HostReader(machine, clock=lambda: now[0])
    answers: list[float | Cause | None] = []
    for at, _ in looks:
        now[0] = at
        reading = reader.read()
        answers.append(reading.unknown.get("cpu_percent", reading.cpu_percent))
        machine.step()
    return answers


def test_cpu_percent_is_the_busy_share_between_two_looks() -> None:
    # user nice system idle iowait irq softirq steal guest guest_nice
    first = ticks(1000, 100, 500, 9000, 400, 50, 50, 0, 300, 0)
    second = ticks(1030, 110, 515, 9010, 410, 51, 52, 2, 329, 0)

    assert percents((0.0, first), (1.0, second)) == [Cause.FIRST_SAMPLE, 75.0]


def test_looks_that_are_close_together_give_the_last_rate_and_keep_the_older_base() -> None:
    looks = [
        (0.0, ticks(0, 0, 0, 100)),
        (0.05, ticks(9, 0, 0, 100)),
        (1.0, ticks(50, 0, 0, 150)),
        (1.09, ticks(59, 0, 0, 150)),
        (1.2, ticks(60, 0, 0, 180)),
    ]

    assert percents(*looks) == [Cause.FIRST_SAMPLE, Cause.FIRST_SAMPLE, 50.0, 50.0, 25.0]


def test_counters_that_go_back_leave_the_last_rate_and_start_again_from_there() -> None:
    looks = [
        (0.0, ticks(100, 0, 0, 900)),
        (1.0, ticks(10, 0, 0, 90)),
        (2.0, ticks(20, 0, 0, 120)),
        (3.0, ticks(5, 0, 0, 200)),
        (4.0, ticks(80, 0, 0, 225)),
    ]

    assert percents(*looks) == [Cause.FIRST_SAMPLE, Cause.FIRST_SAMPLE, 25.0, 25.0, 75.0]


def test_idle_time_that_goes_back_makes_no_more_than_a_hundred_percent() -> None:
    looks = [(0.0, ticks(0, 0, 0, 100, 50)), (1.0, ticks(100, 0, 0, 100, 40))]

    assert percents(*looks) == [Cause.FIRST_SAMPLE, 100.0]


def test_a_look_that_fails_does_not_lose_the_earlier_one() -> None:
    looks = [
        (0.0, ticks(0, 0, 0, 100)),
        (1.0, {**ticks(), "/proc/stat": {"errno": "EACCES"}}),
        (2.0, ticks(10, 0, 0, 190)),
    ]

    assert percents(*looks) == [Cause.FIRST_SAMPLE, Cause.NO_PERMISSION, 10.0]


def test_a_sandbox_that_counts_nothing_does_not_look_idle() -> None:
    zeros = ticks(0, 0, 0, 0, 0, 0, 0, 0, 0, 0)

    assert percents((0.0, zeros), (1.0, zeros)) == [Cause.NOT_SUPPORTED, Cause.NOT_SUPPORTED]


def test_many_threads_may_read_at_once() -> None:
    reader = HostReader(recorded("container_v2"))
    expected = read("container_v2")

    with ThreadPoolExecutor(8) as pool:
        readings = list(pool.map(lambda _: reader.read(), range(200)))

    assert set(readings) == {expected}


def test_the_list_of_mounts_is_read_again_only_when_the_process_was_moved() -> None:
    stayed = MACHINES["ancestor_limit_v2"]
    machine = Replaceable(stayed, {**stayed, "/proc/self/cgroup": "0::/other.slice\n"})
    reader = HostReader(machine)
    limits = [reader.read().memory_limit_bytes, reader.read().memory_limit_bytes]
    machine.step()
    limits.append(reader.read().memory_limit_bytes)

    assert limits == [32 * GIB, 32 * GIB, None]
    assert machine.asked.count("/proc/self/mountinfo") == 2


def test_usage_is_read_only_where_there_is_a_limit() -> None:
    machine = Replaceable(MACHINES["ancestor_limit_v2"])

    HostReader(machine).read()

    usage = [path for path in machine.asked if path.endswith(("memory.current", "memory.stat"))]
    assert usage == [
        "/sys/fs/cgroup/training.slice/memory.current",
        "/sys/fs/cgroup/training.slice/memory.stat",
    ]


@pytest.mark.parametrize(("name", "path"), FILES)
@pytest.mark.parametrize(
    ("number", "cause"),
    [
        ("EACCES", Cause.NO_PERMISSION),
        ("EPERM", Cause.NO_PERMISSION),
        ("EIO", Cause.DRIVER_ERROR),
        ("ESTALE", Cause.DRIVER_ERROR),
    ],
)
def test_a_file_that_cannot_be_read_costs_its_own_fields_only(
    name: str, path: str, number: str, cause: Cause
) -> None:
    fed = FED.get(path) or FED[PurePosixPath(path).name]
    whole = read(name)

    assert read(name, {path: {"errno": number}}) == replace(
        whole,
        **dict.fromkeys(fed),
        unknown={**whole.unknown, **dict.fromkeys(fed, cause)},
    )


@pytest.mark.parametrize(
    ("path", "text", "cause"),
    [
        ("/proc/stat", "", Cause.GARBLED),
        ("/proc/stat", "cpu  1 2 x 4\n", Cause.GARBLED),
        ("/proc/stat", "cpu  1 2 -3 4\n", Cause.GARBLED),
        ("/proc/stat", "cpu  1 2\n", Cause.GARBLED),
        ("/proc/stat", "intr 1 2 3 4 5\n", Cause.GARBLED),
        ("/proc/meminfo", "", Cause.GARBLED),
        ("/proc/meminfo", "out of order", Cause.GARBLED),
        ("/proc/self/status", "", Cause.GARBLED),
        ("/proc/self/status", "Name:\tx\nCpus_allowed_list:\t3-0\n", Cause.GARBLED),
        ("/proc/self/status", "Name:\tx\nCpus_allowed_list:\t0-99999999\n", Cause.GARBLED),
        ("/proc/self/status", "Name:\tx\nCpus_allowed_list:\t\n", Cause.GARBLED),
        ("/proc/self/cgroup", "what is this?\n", Cause.GARBLED),
        ("/proc/self/cgroup", "0::relative\n", Cause.GARBLED),
        ("/proc/self/mountinfo", "33 24 0:28 / /sys/fs/cgroup rw\n", Cause.GARBLED),
        ("/proc/pressure/cpu", "some avg10=nan avg60=0\n", Cause.GARBLED),
        ("/proc/pressure/cpu", "some avg10=-1.00 avg60=0\n", Cause.GARBLED),
        ("/proc/pressure/cpu", "some avg10=101.00 avg60=0\n", Cause.GARBLED),
        ("/proc/pressure/memory", "", Cause.GARBLED),
        (f"{V2}/memory.max", "", Cause.GARBLED),
        (f"{V2}/memory.max", "-1\n", Cause.GARBLED),
        (f"{V2}/memory.max", "not_supported", Cause.GARBLED),
        (f"{V2}/memory.high", f"{2**64}\n", Cause.GARBLED),
        (f"{V2}/memory.current", "lots\n", Cause.GARBLED),
        (f"{V2}/memory.stat", "", Cause.GARBLED),
        (f"{V2}/memory.stat", "inactive_file -5\n", Cause.GARBLED),
        (f"{V2}/memory.stat", "inactive_file 5\nslab_reclaimable\n", Cause.GARBLED),
        (f"{V2}/cpu.max", "\n", Cause.GARBLED),
        (f"{V2}/cpu.max", "0 100000\n", Cause.GARBLED),
        (f"{V2}/cpu.max", "150000 0\n", Cause.GARBLED),
        (f"{V2}/cpu.max", "not_supported", Cause.GARBLED),
    ],
)
def test_a_file_that_makes_no_sense_costs_its_own_fields_only(
    path: str, text: str, cause: Cause
) -> None:
    fed = FED.get(path) or FED[PurePosixPath(path).name]
    whole = read("container_v2")

    assert read("container_v2", {path: text}) == replace(
        whole,
        **dict.fromkeys(fed),
        unknown={**whole.unknown, **dict.fromkeys(fed, cause)},
    )


@pytest.mark.parametrize("column", range(2))
def test_a_quota_of_version_1_that_makes_no_sense_is_not_passed_on(column: int) -> None:
    name = ("cpu.cfs_quota_us", "cpu.cfs_period_us")[column]

    reading = read("docker_v1", {f"/sys/fs/cgroup/cpu,cpuacct/{name}": "-7\n"})

    assert (reading.cores, reading.unknown["cores"]) == (None, Cause.GARBLED)


def meminfo(**kibibytes: object) -> dict[str, Entry]:
    return {
        "/proc/meminfo": "".join(f"{name}: {each} kB\n" for name, each in kibibytes.items()),
    }


SANE = {"MemTotal": 4096, "MemAvailable": 1024, "SwapTotal": 2048, "SwapFree": 512}
SANE_MEMORY = HostMemory(
    memory_total_bytes=4096 * KIB,
    memory_available_bytes=1024 * KIB,
    memory_used_bytes=3072 * KIB,
    memory_percent=75.0,
    swap_total_bytes=2048 * KIB,
    swap_used_bytes=1536 * KIB,
)


@pytest.mark.parametrize(
    ("line", "fields_lost"),
    [
        ({"MemTotal": 0}, ("memory_total_bytes", "memory_used_bytes", *ROOM)),
        ({"MemTotal": "many"}, ("memory_total_bytes", "memory_used_bytes", "memory_percent")),
        ({"MemAvailable": 4097}, ("memory_used_bytes", *ROOM)),
        ({"MemAvailable": -1}, ("memory_used_bytes", *ROOM)),
        ({"MemAvailable": 2**60}, ("memory_used_bytes", *ROOM)),
        ({"SwapFree": 2049}, ("swap_used_bytes",)),
        ({"SwapTotal": ""}, ("swap_total_bytes", "swap_used_bytes")),
    ],
)
def test_memory_that_cannot_be_is_not_passed_on(
    line: dict[str, object], fields_lost: tuple[str, ...]
) -> None:
    machine = RecordedMachine(meminfo(**{**SANE, **line}))

    assert read_memory(machine) == replace(
        SANE_MEMORY,
        **dict.fromkeys(fields_lost),
        unknown=dict.fromkeys(fields_lost, Cause.GARBLED),
    )


def test_a_kernel_without_swap_figures_does_not_support_them() -> None:
    machine = RecordedMachine(meminfo(MemTotal=4096, MemAvailable=1024))

    assert read_memory(machine) == replace(
        SANE_MEMORY,
        swap_total_bytes=None,
        swap_used_bytes=None,
        unknown=dict.fromkeys(("swap_total_bytes", "swap_used_bytes"), Cause.NOT_SUPPORTED),
    )


def test_a_limit_that_was_set_below_what_is_used_leaves_nothing() -> None:
    reading = read("container_v2", {f"{V2}/memory.max": "4096\n"})

    assert (reading.memory_available_bytes, reading.memory_percent) == (0, 100.0)


def test_a_limit_of_nothing_is_full() -> None:
    reading = read("container_v2", {f"{V2}/memory.max": "0\n"})

    assert (reading.memory_available_bytes, reading.memory_percent) == (0, 100.0)


def test_cache_counted_after_usage_does_not_leave_more_than_the_limit() -> None:
    reading = read("container_v2", {f"{V2}/memory.current": "4096\n"})

    assert reading.memory_available_bytes == 8 * GIB


def test_a_limit_above_the_machines_memory_is_none() -> None:
    reading = read("container_v2", {f"{V2}/memory.max": f"{125 * GIB}\n"})

    assert (reading.memory_limit_bytes, reading.memory_available_bytes) == (None, 98304000 * KIB)


def test_a_limit_is_told_even_where_the_machines_memory_is_not() -> None:
    machine = RecordedMachine(without("container_v2", "/proc/meminfo"))

    assert read_memory(machine) == HostMemory(
        memory_limit_bytes=8 * GIB,
        limit_source="/",
        unknown=dict.fromkeys(FED["/proc/meminfo"], Cause.NOT_SUPPORTED),
    )


def test_a_machine_of_which_nothing_is_recorded_gives_a_reading_without_values() -> None:
    reading = HostReader(RecordedMachine({})).read()

    named = {field.name for field in fields(HostReading)}
    absent = named - {"unknown", "memory_limit_bytes", "limit_source"}
    assert reading == HostReading(unknown=dict.fromkeys(absent, Cause.NOT_SUPPORTED))


def assert_plausible(reading: HostReading) -> None:
    values = {
        field.name: getattr(reading, field.name)
        for field in fields(reading)
        if field.name not in ("unknown", "limit_source", "available_source")
    }
    assert all(value is None or value >= 0 for value in values.values()), reading
    assert all(
        value is None or value <= 100 for name, value in values.items() if name.endswith("_percent")
    ), reading
    assert reading.unknown.keys() <= {name for name, value in values.items() if value is None} | {
        "limit_source",
        "available_source",
    }
    total = reading.memory_total_bytes
    if total is not None:
        for part in (reading.memory_available_bytes, reading.memory_used_bytes):
            assert part is None or part <= total
        assert reading.memory_limit_bytes is None or reading.memory_limit_bytes < total
    if reading.swap_total_bytes is not None and reading.swap_used_bytes is not None:
        assert reading.swap_used_bytes <= reading.swap_total_bytes
    assert reading.cores is None or 0 < reading.cores <= 2**16


NUMBERS = st.sampled_from(
    ["0", "-1", "1", "max", "nan", "inf", "1e9", str(2**31), str(2**62), str(2**64), "9" * 5000, ""]
)
ERRORS = st.sampled_from(["ENOENT", "EACCES", "EPERM", "EIO", "EOPNOTSUPP", "ESTALE", "ENODEV"])


@st.composite
def broken(draw: st.DrawFn, text: str) -> Entry:
    kind = draw(st.sampled_from(["error", "cut", "number", "words"]))
    if kind == "error":
        return {"errno": draw(ERRORS)}
    if kind == "cut":
        return text[: draw(st.integers(0, len(text)))]
    words = text.split(" ")
    place = draw(st.integers(0, len(words) - 1))
    words[place] = draw(NUMBERS if kind == "number" else st.text(max_size=20))
    return " ".join(words)


@settings(deadline=None)
@given(st.data())
def test_broken_files_never_make_an_absurd_reading(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(MACHINES)))
    entries = dict(MACHINES[name])
    for path in data.draw(st.sets(st.sampled_from(sorted(entries)), min_size=1)):
        entry = entries[path]
        entries[path] = data.draw(broken(entry if isinstance(entry, str) else ""))
    now = iter(range(9))
    machine = Replaceable(MACHINES[name], entries, MACHINES[name])
    reader = HostReader(machine, clock=lambda: next(now))

    assert_plausible(reader.read())
    machine.step()
    assert_plausible(reader.read())
    machine.step()
    assert_plausible(reader.read())


@settings(deadline=None)
@given(st.data())
def test_random_text_never_makes_an_absurd_reading(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(MACHINES)))
    path = data.draw(st.sampled_from(sorted(MACHINES[name])))
    text = data.draw(st.text() | st.from_regex(r"([0-9]+[: /,.-]?)+\n", fullmatch=True))

    assert_plausible(read(name, {path: text}))


@on_linux
def test_a_mount_whose_name_no_path_can_have_is_garbled(tmp_path: Path) -> None:
    folder = tmp_path / "proc" / "1"
    folder.mkdir(parents=True)
    (folder / "cgroup").write_text("0::/\n")
    (folder / "mountinfo").write_text("33 24 0:28 / /sys\\000 rw - cgroup2 cgroup2 rw\n")

    memory = read_memory(LiveMachine(host_root=str(tmp_path)))

    assert memory.unknown["memory_limit_bytes"] is Cause.GARBLED


def test_the_real_psutil_answers_on_any_system() -> None:
    machine = RecordedMachine({}, platform="darwin", libraries={"psutil": psutil})
    now = iter([0.0, 1.0])
    reader = HostReader(machine, clock=lambda: next(now))

    readings = [reader.read(), reader.read()]

    for reading in readings:
        assert_plausible(reading)
    assert readings[0].memory_total_bytes == psutil.virtual_memory().total


@pytest.mark.linux
@on_linux
def test_this_machine_is_read_as_psutil_reads_it() -> None:
    reader = HostReader(LiveMachine())

    reading = reader.read()

    assert_plausible(reading)
    system = psutil.virtual_memory()
    assert reading.memory_total_bytes == system.total
    assert reading.swap_total_bytes == psutil.swap_memory().total
    assert reading.memory_available_bytes is not None
    if reading.memory_limit_bytes is None:
        assert abs(reading.memory_available_bytes - system.available) < system.total / 20
    assert reading.cores is not None
    assert reading.cores <= (psutil.cpu_count() or 0)
    assert set(reading.unknown) - set(NO_PRESSURE) == {"cpu_percent"}
