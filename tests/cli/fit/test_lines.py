"""Columns, of letters that are as wide as two or none."""

import pytest

from vramline.cli.fit.lines import aligned, end_of, width_of


@pytest.mark.parametrize(
    ("text", "width"),
    [("", 0), ("model", 5), ("日本語", 6), ("e\u0301", 1), ("😀", 2)],
)
def test_a_text_is_as_wide_as_a_terminal_shows_it(text: str, width: int) -> None:
    assert width_of(text) == width


def test_columns_stand_under_each_other() -> None:
    rows = [["日本", "1"], ["abcde", "22"]]

    assert list(aligned(rows)) == ["日本    1", "abcde  22"]


@pytest.mark.parametrize(
    ("text", "end"),
    [("a-Q4_K_M", "a-Q4_K_M"), ("model-a-Q4_K_M", "...4_K_M"[-8:]), ("日本語日本語", "...本語")],
)
def test_of_a_long_name_the_end_is_shown(text: str, end: str) -> None:
    assert end_of(text, 8) == end
