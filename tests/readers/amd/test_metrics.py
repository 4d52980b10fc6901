import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.readers.amd.machines import (
    CARD,
    METRICS_1_3,
    METRICS_INVALID,
    Clock,
    binary,
    desktop_card,
    looks,
    machine,
    metrics,
    read,
)
from vramline.readers.amd.metrics import LAYOUTS, Metrics, nothing, parse
from vramline.readings import Cause, FrozenDict

UNSUPPORTED = Cause.NOT_SUPPORTED


def test_the_figures_of_a_card_are_those_that_mangohud_expects() -> None:
    assert parse(METRICS_1_3) == Metrics(
        is_apu=False,
        utilization_percent=64.0,
        memory_utilization_percent=6.0,
        temperature_celsius=36.0,
        power_watts=33.0,
        clock_mhz=2165.0,
        memory_clock_mhz=1000.0,
        fan_rpm=0.0,
        memory_bandwidth_gigabytes_per_second=UNSUPPORTED,
        throttle=(),
    )


def test_only_as_much_is_read_as_the_header_says() -> None:
    assert parse(METRICS_1_3.ljust(4096, b"\0")) == parse(METRICS_1_3)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(METRICS_INVALID, id="a header that makes no sense"),
        pytest.param(METRICS_1_3[:-1], id="a file that ends too early"),
        pytest.param(b"\x78\x00\x01", id="half a header"),
        pytest.param(b"", id="nothing"),
        pytest.param(metrics(104, (1, 3), {}), id="the size of another revision"),
        pytest.param(metrics(4, (1, 3), {}), id="a header alone"),
        pytest.param(b"\0\0\x01\x09".ljust(120, b"\0"), id="a size of nothing"),
        pytest.param(metrics(120, (0, 3), {}), id="no format"),
    ],
)
def test_what_cannot_be_taken_apart_is_refused_whole(content: bytes) -> None:
    assert parse(content) == nothing(Cause.GARBLED)


def test_a_revision_that_came_later_is_not_guessed_at() -> None:
    assert parse(metrics(120, (1, 9), {})) == nothing(UNSUPPORTED)
    assert parse(metrics(120, (4, 0), {})) == nothing(UNSUPPORTED)


@pytest.mark.parametrize(("revision", "size"), [(r, x.size) for r in LAYOUTS for x in LAYOUTS[r]])
def test_what_a_chip_does_not_tell_is_all_ones_and_is_not_supported(
    revision: tuple[int, int], size: int
) -> None:
    told = parse(metrics(size, revision, {}))

    assert told == Metrics(
        is_apu=revision[0] > 1,
        utilization_percent=UNSUPPORTED,
        memory_utilization_percent=UNSUPPORTED,
        temperature_celsius=UNSUPPORTED,
        power_watts=UNSUPPORTED,
        clock_mhz=UNSUPPORTED,
        memory_clock_mhz=UNSUPPORTED,
        fan_rpm=UNSUPPORTED,
        memory_bandwidth_gigabytes_per_second=UNSUPPORTED,
        throttle=UNSUPPORTED,
    )


def test_the_oldest_layout_has_its_time_before_the_rest() -> None:
    content = metrics(80, (1, 0), {16: ("H", 41), 28: ("H", 7), 30: ("H", 3), 34: ("H", 120)})

    told = parse(content)

    assert (told.temperature_celsius, told.utilization_percent) == (41.0, 7.0)
    assert (told.memory_utilization_percent, told.power_watts) == (3.0, 120.0)


def test_an_apus_temperature_is_in_hundredths_and_its_average_clock_stands_in() -> None:
    content = metrics(128, (2, 2), {4: ("H", 4512), 64: ("H", 1600), 68: ("H", 933)})

    told = parse(content)

    assert told.is_apu
    assert (told.temperature_celsius, told.clock_mhz, told.memory_clock_mhz) == (45.12, 1600, 933)


def test_percents_and_watts_of_an_apu_are_read_only_where_the_kernel_gives_their_units() -> None:
    values = {28: ("H", 4200), 40: ("H", 15000)}

    older = parse(metrics(152, (2, 3), values))
    newer = parse(metrics(168, (2, 4), values))

    assert (older.utilization_percent, older.power_watts) == (UNSUPPORTED, UNSUPPORTED)
    assert (newer.utilization_percent, newer.power_watts) == (42.0, 15.0)


def test_an_accelerator_tells_its_memorys_bandwidth() -> None:
    content = metrics(3872, (1, 8), {4: ("H", 61), 10: ("H", 750), 16: ("Q", 5300)})

    told = parse(content)

    assert (told.temperature_celsius, told.power_watts) == (61.0, 750.0)
    assert told.memory_bandwidth_gigabytes_per_second == 5300.0


def test_both_layouts_of_1_6_are_told_apart_by_their_size() -> None:
    counters = ((36, 7), (108, 7))

    told = [
        parse(metrics(size, (1, 6), {place: ("I", count)})).residencies
        for size, (place, count) in zip((1664, 384), counters, strict=True)
    ]

    assert told == [FrozenDict({"hardware_thermal": 7})] * 2


@pytest.mark.parametrize(
    ("bits", "reasons"),
    [
        (0, ()),
        (1 << 0, ("power_cap",)),
        (1 << 6, ("power_cap",)),
        (1 << 16, ("current_limit",)),
        (1 << 35, ("software_thermal",)),
        (1 << 44, ("hardware_thermal",)),
        (1 << 57, ("other",)),
        (1 << 1 | 1 << 34 | 1 << 47, ("power_cap", "software_thermal", "hardware_thermal")),
    ],
)
def test_throttle_bits_have_names(bits: int, reasons: tuple[str, ...]) -> None:
    assert parse(metrics(120, (1, 3), {112: ("Q", bits)})).throttle == reasons


def test_a_bit_that_rdna_3_always_sets_and_those_of_the_processor_are_left_out() -> None:
    bits = 1 << 36 | 1 << 33 | 1 << 21

    assert parse(metrics(120, (1, 3), {112: ("Q", bits)})).throttle == ()


def test_the_bits_that_differ_from_chip_to_chip_are_not_read() -> None:
    assert parse(metrics(104, (1, 2), {68: ("I", 5)})).throttle is UNSUPPORTED


def test_a_figure_that_no_card_could_have_is_garbled() -> None:
    told = parse(metrics(120, (1, 3), {16: ("H", 655), 4: ("H", 900), 22: ("H", 65000)}))

    assert told.utilization_percent is Cause.GARBLED
    assert told.temperature_celsius is Cause.GARBLED
    assert told.power_watts is Cause.GARBLED


def test_a_counter_that_has_grown_since_the_last_look_is_a_reason_now() -> None:
    clock = Clock()

    def counters(spl: int, hot: int, cores: int) -> dict[str, str]:
        places = {228: 28, 232: spl, 236: 92382, 240: 257, 244: cores, 248: hot, 252: 0}
        return binary(metrics(264, (3, 0), {place: ("I", n) for place, n in places.items()}))

    card = machine({**desktop_card(), f"{CARD}/gpu_metrics": counters(1868, 0, 5)}, clock=clock)
    look = looks(card, clock)
    throttles = [look().throttle]
    for values in ((1868, 0, 5), (1900, 0, 5), (1950, 3, 9), (1950, 3, 9)):
        card.change({f"{CARD}/gpu_metrics": counters(*values)})
        throttles.append(look().throttle)

    assert throttles == [None, (), ("power_cap",), ("power_cap", "software_thermal"), ()]


def test_gpu_metrics_stands_in_where_the_other_files_do_not_tell() -> None:
    entries = desktop_card()
    for path in list(entries):
        if "/hwmon/" in path or path.endswith(("_percent", "sclk", "mclk")):
            del entries[path]
    (gpu,) = read(machine(entries))

    assert (gpu.utilization_percent, gpu.memory_utilization_percent) == (64.0, 6.0)
    assert (gpu.temperature_celsius, gpu.power_watts) == (36.0, 33.0)
    assert (gpu.clock_mhz, gpu.memory_clock_mhz) == (2165.0, 1000.0)
    assert gpu.unknown["fan_percent"] is UNSUPPORTED  # the speed alone is no percent


def test_the_fans_speed_is_a_percent_of_the_fastest() -> None:
    entries = desktop_card()
    changes = {path: None for path in entries if "/pwm1" in path or path.endswith("fan1_input")}
    told = binary(metrics(120, (1, 3), {72: ("H", 1600)}))
    card = machine(entries)
    card.change({**changes, f"{CARD}/gpu_metrics": told})

    (gpu,) = read(card)

    assert gpu.fan_percent == 50.0


def test_gpu_metrics_is_read_once_a_reading() -> None:
    card = machine(desktop_card())

    read(card)

    assert card.opened.count(f"{CARD}/gpu_metrics") == 1


@given(st.binary(max_size=400))
def test_whatever_the_file_holds_it_can_be_taken_apart(content: bytes) -> None:
    parse(content)


@given(st.sampled_from([(r, x.size) for r in LAYOUTS for x in LAYOUTS[r]]), st.randoms())
def test_no_figure_is_absurd_whatever_the_bits_are(
    layout: tuple[tuple[int, int], int],
    random: "st.Random",  # type: ignore[name-defined]
) -> None:
    revision, size = layout
    content = metrics(size, revision, {})[:4] + random.randbytes(size - 4)

    told = parse(content)

    for value in (told.utilization_percent, told.memory_utilization_percent):
        assert isinstance(value, Cause) or 0 <= value <= 100
    assert isinstance(told.temperature_celsius, Cause) or 0 <= told.temperature_celsius <= 300
