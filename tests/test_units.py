import pytest

from vramline.units import GIB, KIB, MIB, format_bytes, to_gib


def test_a_gib_is_two_to_the_thirtieth_bytes() -> None:
    assert to_gib(3 * 2**29) == 1.5


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (KIB, "1.0 KiB"),
        (1536 * KIB, "1.5 MiB"),
        (80 * GIB - MIB, "80.0 GiB"),
        (2048 * GIB, "2.0 TiB"),
        (-GIB, "-1.0 GiB"),
    ],
)
def test_bytes_are_told_in_the_largest_unit_that_fits(count: int, text: str) -> None:
    assert format_bytes(count) == text
