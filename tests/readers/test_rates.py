from hypothesis import given
from hypothesis import strategies as st

from vramline.readers.rates import Rate
from vramline.readings import Cause


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def told(looks: list[tuple[float, float | Cause]]) -> list[float | Cause]:
    """Return what a rate says at each (time, counter)."""
    clock = Clock()
    rate = Rate(clock)
    answers = []
    for clock.now, counter in looks:
        answers.append(rate.of(counter))
    return answers


def test_the_first_look_tells_nothing_and_the_second_how_much_a_second() -> None:
    assert told([(0.0, 500), (0.5, 600), (2.5, 600)]) == [Cause.FIRST_SAMPLE, 200.0, 0.0]


def test_a_look_too_soon_is_given_the_rate_before() -> None:
    looks: list[tuple[float, float | Cause]] = [(0.0, 0), (0.05, 9), (1.0, 10), (1.05, 99)]
    assert told(looks) == [Cause.FIRST_SAMPLE, Cause.FIRST_SAMPLE, 10.0, 10.0]


def test_a_counter_that_goes_back_keeps_the_rate_and_counts_from_there() -> None:
    assert told([(0.0, 100), (1.0, 110), (2.0, 5), (3.0, 7)]) == [
        Cause.FIRST_SAMPLE,
        10.0,
        10.0,
        2.0,
    ]


def test_a_counter_that_is_not_known_passes_its_cause_on_and_changes_nothing() -> None:
    looks: list[tuple[float, float | Cause]] = [(0.0, 100), (1.0, Cause.DRIVER_ERROR), (2.0, 120)]
    assert told(looks) == [Cause.FIRST_SAMPLE, Cause.DRIVER_ERROR, 10.0]


def test_a_rate_may_be_of_another_counter_than_time() -> None:
    clock = Clock()
    rate = Rate(clock)
    first = rate.of(10, 1000)
    clock.now += 1

    assert (first, rate.of(60, 1200)) == (Cause.FIRST_SAMPLE, 0.25)


def test_what_is_forgotten_begins_anew() -> None:
    clock = Clock()
    rate = Rate(clock)
    rate.of(0)
    clock.now += 3600
    rate.forget()

    assert rate.of(3600) is Cause.FIRST_SAMPLE


@given(st.lists(st.tuples(st.floats(0, 1e6), st.integers(-(2**70), 2**70)), max_size=20))
def test_no_rate_is_negative(looks: list[tuple[float, float | Cause]]) -> None:
    assert all(isinstance(each, Cause) or each >= 0 for each in told(looks))
