import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vramline.fit.amounts import Amount
from vramline.fit.learned import (
    ENTRIES_KEPT,
    SAMPLES_KEPT,
    Learned,
    Sample,
    forget,
    from_document,
    learned_for,
    of_drivers,
    remember,
    to_document,
)
from vramline.fit.settings import HOST, Backend, Runner
from vramline.units import GIB, MIB

AT = datetime(2026, 1, 1, tzinfo=UTC)


def learned(*mebibytes: int, place: str = "gpu", driver: str | None = "580.1") -> Learned:
    return Learned(
        runner=Runner.OLLAMA,
        backend=Backend.CUDA,
        place=place,
        driver_version=driver,
        samples=tuple(
            Sample(bytes=size * MIB, at=AT + timedelta(hours=at))
            for at, size in enumerate(mebibytes)
        ),
        times=len(mebibytes),
    )


def mebibytes(low: int, middle: int, high: int) -> Amount:
    return Amount(bytes=middle * MIB, low_bytes=low * MIB, high_bytes=high * MIB)


@pytest.mark.parametrize(
    ("seen", "amount"),
    [
        ((200,), mebibytes(150, 200, 250)),
        ((10,), mebibytes(0, 10, 26)),
        ((200, 240), mebibytes(150, 200, 290)),
        ((200, 210, 220), mebibytes(184, 210, 236)),
        ((200, 210, 900), mebibytes(184, 210, 916)),
        ((200, 900, 210, 220, 0), mebibytes(184, 210, 236)),
    ],
)
def test_the_middle_counts_and_the_spread_is_the_range(
    seen: tuple[int, ...], amount: Amount
) -> None:
    assert learned(*seen).amount == amount


def test_the_last_few_are_kept_and_all_are_counted() -> None:
    known: tuple[Learned, ...] = ()
    for size in range(20):
        known = remember(known, (learned(size),))

    (kept,) = known
    assert [sample.bytes // MIB for sample in kept.samples] == list(range(20))[-SAMPLES_KEPT:]
    assert (kept.times, kept.last_at) == (20, AT)


def test_another_driver_starts_anew() -> None:
    newer = learned(300, driver="590.0")

    assert remember((learned(1, 2, 3),), (newer,)) == (newer,)


def test_other_places_are_kept_apart() -> None:
    one, other = learned(1), learned(2, place=HOST)

    assert set(remember((one,), (other,))) == {one, other}


def test_no_more_than_so_many_are_kept() -> None:
    many = tuple(learned(1, place=str(at)) for at in range(ENTRIES_KEPT + 9))

    assert len(remember((), many)) == ENTRIES_KEPT


def test_a_figure_is_found_by_runner_backend_and_place() -> None:
    known = (learned(1), learned(2, place=HOST))

    assert learned_for(known, Runner.OLLAMA, Backend.CUDA, HOST) == known[1]
    assert learned_for(known, Runner.OLLAMA, Backend.VULKAN, HOST) is None
    assert learned_for(known, Runner.LLAMA_SERVER, Backend.CUDA, HOST) is None


def test_what_was_learned_can_be_forgotten() -> None:
    gpu, host = learned(1), learned(2, place=HOST)
    other = replace(gpu, runner=Runner.LM_STUDIO)
    known = (gpu, host, other)

    assert forget(known) == ()
    assert forget(known, runner=Runner.OLLAMA) == (other,)
    assert forget(known, place="gpu") == (host,)
    assert forget(known, runner=Runner.OLLAMA, place="gpu") == (host, other)


def test_what_is_written_down_is_read_again() -> None:
    host = replace(learned(2, place=HOST, driver=None), backend=None, times=7)
    known = (learned(1, 2), host)

    assert from_document(json.loads(json.dumps(to_document(known)))) == known


def entry(**changes: object) -> dict[str, Any]:
    plain: dict[str, Any] = to_document((learned(1),))["learned"][0]
    return {**plain, **changes}


@pytest.mark.parametrize(
    "wrong",
    [
        7,
        {},
        entry(runner="emacs"),
        entry(runner=["ollama"]),
        entry(backend="abacus"),
        entry(backend=3),
        entry(place=""),
        entry(place="g\x1bpu"),
        entry(place="g" * 1000),
        entry(samples=[]),
        entry(samples={"bytes": 1}),
        entry(samples=[{"bytes": -1, "at": "2026-01-01T00:00:00+00:00"}]),
        entry(samples=[{"bytes": True, "at": "2026-01-01T00:00:00+00:00"}]),
        entry(samples=[{"bytes": 2**80, "at": "2026-01-01T00:00:00+00:00"}]),
        entry(samples=[{"bytes": 1, "at": "2026-01-01T00:00:00"}]),
        entry(samples=[{"bytes": 1, "at": "0001-01-01T00:00:00+14:00"}]),
        entry(samples=[{"bytes": 1, "at": "yesterday"}]),
        entry(samples=[{"bytes": 1}]),
    ],
)
def test_an_entry_that_cannot_have_been_written_is_left_out(wrong: object) -> None:
    document = {"format": 1, "learned": [wrong, entry(place="other")]}

    assert from_document(document) == (learned(1, place="other"),)


@pytest.mark.parametrize("document", [None, [], {}, {"format": 2}, {"format": 1, "learned": 3}])
def test_a_document_of_another_kind_teaches_nothing(document: object) -> None:
    assert from_document(document) == ()


def test_a_count_of_loads_that_cannot_be_is_that_of_the_samples() -> None:
    document = {"format": 1, "learned": [entry(times=-4)]}

    assert from_document(document) == (learned(1),)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(tuple(entry())), inner, max_size=7)
    ),
    max_leaves=9,
)


@given(VALUES, VALUES)
def test_no_document_is_too_much(samples: object, other: object) -> None:
    document = {"format": 1, "learned": [entry(samples=[samples]), entry(samples=samples), other]}

    for each in from_document(document):
        assert 0 <= each.amount.low_bytes <= each.amount.bytes <= each.amount.high_bytes < 64 * GIB


def test_what_was_learned_under_another_driver_does_not_count() -> None:
    known = (learned(200), learned(300, driver="570.1"), learned(70, place=HOST, driver=None))

    assert of_drivers(known, {"gpu": "580.1"}) == (known[0], known[2])
    assert of_drivers(known, {"gpu": None}) == (known[2],)
    assert of_drivers(known, {}) == known
