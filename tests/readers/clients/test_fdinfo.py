import pytest
from hypothesis import given

from tests.readers.clients.machines import AMDGPU, CARD, FDINFOS, fdinfo
from vramline.readers.clients.fdinfo import FdInfo, parse

# The figures of an Arc Pro B70 under Linux 7.1, with a model loaded.
XE = """\
pos:\t0
flags:\t02000002
drm-driver:\txe
drm-client-id:\t20
drm-pdev:\t0000:03:00.0
drm-total-system:\t0
drm-total-gtt:\t2 MiB
drm-resident-gtt:\t2 MiB
drm-total-vram0:\t16946852 KiB
drm-resident-vram0:\t16000 MiB
drm-cycles-rcs:\t744
drm-total-cycles-rcs:\t18956600119
drm-cycles-ccs:\t386293167
drm-total-cycles-ccs:\t18956600119
drm-engine-capacity-ccs:\t2
"""
# The form of https://lore.kernel.org/r/20241206073828.1119464-4-irogers@google.com
I915 = """\
pos: 0
flags: 02100002
drm-driver: i915
drm-client-id: 39
drm-pdev: 0000:00:02.0
drm-total-system0: 6044 KiB
drm-shared-system0: 0
drm-resident-system0: 6044 KiB
drm-purgeable-system0: 1688 KiB
drm-engine-render: 346249 ns
drm-engine-video: 0 ns
drm-engine-capacity-video: 2
"""


def test_what_lies_in_each_region_is_told_in_bytes_and_of_cycles_both_counts() -> None:
    assert parse(XE) == FdInfo(
        client_id=20,
        address="0000:03:00.0",
        memory={"system": 0, "gtt": 2 * 2**20, "vram0": 16000 * 2**20},
        engines_ns={},
        cycles={"rcs": (744, 18956600119), "ccs": (386293167, 18956600119)},
        capacity={"rcs": 1, "ccs": 2},
    )


def test_an_engines_capacity_is_no_engine() -> None:
    assert parse(I915) == FdInfo(
        client_id=39,
        address="0000:00:02.0",
        memory={"system0": 6044 * 1024},
        engines_ns={"render": 346249, "video": 0},
        cycles={},
        capacity={"render": 1, "video": 2},
    )


def test_resident_wins_over_memory_and_memory_over_total() -> None:
    assert parse(AMDGPU) == FdInfo(
        client_id=113,
        address="0000:03:00.0",
        memory={"vram": 8000 * 1024, "gtt": 25258000 * 1024, "cpu": 0},
        engines_ns={"gfx": 17},
        cycles={},
        capacity={"gfx": 1},
    )


@pytest.mark.parametrize(
    ("line", "size"),
    [
        ("drm-resident-vram:4096", 4096),
        ("drm-resident-vram: \t 4096", 4096),
        ("drm-resident-vram\t:\t4096 ", 4096),
        ("drm-resident-vram:\t3 KiB", 3 * 2**10),
        ("drm-resident-vram:\t3 MiB", 3 * 2**20),
        ("drm-resident-vram:\t3 GiB", 3 * 2**30),
        (f"drm-resident-vram:\t{2**63 - 1}", 2**63 - 1),
    ],
)
def test_a_size_is_in_bytes_unless_it_has_another_unit(line: str, size: int) -> None:
    told = parse(fdinfo(1, line))

    assert told is not None
    assert told.memory == {"vram": size}


@pytest.mark.parametrize(
    "line",
    [
        "drm-resident-vram",
        "drm-resident-vram:",
        "drm-resident-vram:\t-1 KiB",
        "drm-resident-vram:\t1.5 MiB",
        "drm-resident-vram:\t1 TiB",
        "drm-resident-vram:\t1 ns",
        "drm-resident-vram:\t\u0661\u0662",
        f"drm-resident-vram:\t{2**63}",
        f"drm-resident-vram:\t{2**60} GiB",
        f"drm-resident-vram:\t{'9' * 5000}",
        "drm-resident-:\t1",
        "drm-resident-a b:\t1",
        "amd-resident-vram:\t1",
        " drm-resident-vram:\t1",
        "drm-engine-gfx:\t5",
        "drm-engine-gfx:\t5 KiB",
        "drm-engine-gfx:\t-5 ns",
        "drm-cycles-rcs:\t5",
        "drm-total-cycles-rcs:\t5",
        "drm-engine-capacity-rcs:\t5",
        "drm-client-name:\tdrm-resident-vram: 5",
    ],
)
def test_a_line_that_makes_no_sense_is_left_out(line: str) -> None:
    assert parse(fdinfo(1, line)) == FdInfo(
        client_id=1, address=CARD.address, memory={}, engines_ns={}, cycles={}, capacity={}
    )


def test_what_is_garbled_leaves_the_next_best() -> None:
    told = parse(fdinfo(1, "drm-resident-vram: -4", "drm-memory-vram: 7 KiB", "drm-total-vram: 9"))

    assert told is not None
    assert told.memory == {"vram": 7168}


def test_a_capacity_of_zero_counts_as_one() -> None:
    told = parse(fdinfo(1, "drm-engine-gfx: 5 ns", "drm-engine-capacity-gfx: 0"))

    assert told is not None
    assert told.capacity == {"gfx": 1}


def test_of_two_lines_with_one_key_the_last_counts() -> None:
    told = parse(fdinfo(1, "drm-resident-vram: 5", "drm-resident-vram: 6"))

    assert told is not None
    assert told.memory == {"vram": 6}


@pytest.mark.parametrize("told", ["", "drm-client-id:\t\n", "drm-client-id:\t-1\n", "pos:\t0\n"])
def test_a_text_without_a_client_is_none(told: str) -> None:
    assert parse(told) is None


def test_a_text_without_end_is_not_read_to_its_end() -> None:
    told = parse(fdinfo(1, *(f"drm-resident-r{each}: 1" for each in range(10**6))))

    assert told is not None
    assert 1000 < len(told.memory) < 5000


def is_count(number: int) -> bool:
    return 0 <= number < 2**63


@given(FDINFOS)
def test_whatever_the_text_no_figure_is_absurd(text: str) -> None:
    told = parse(f"drm-client-id: 1\n{text}")

    assert told is not None
    assert is_count(told.client_id)
    assert all(map(is_count, told.memory.values()))
    assert all(map(is_count, told.engines_ns.values()))
    assert all(is_count(part) and is_count(whole) for part, whole in told.cycles.values())
    assert all(number >= 1 and is_count(number) for number in told.capacity.values())
    assert set(told.capacity) == {*told.engines_ns, *told.cycles}
