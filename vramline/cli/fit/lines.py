"""Lines of a page: paragraphs as wide as it is, and columns under each other."""

import shutil
import textwrap
import unicodedata
from collections.abc import Iterator, Sequence

GAP = "  "
CUT = "..."
NARROWEST = 40


def page_width() -> int:
    """Return how wide a page is here."""
    return max(NARROWEST, shutil.get_terminal_size().columns)


def paragraph(text: str, width: int, indent: str = "") -> list[str]:
    """Return *text* in lines, with nothing broken that is there to be copied."""
    return textwrap.wrap(
        text,
        width,
        initial_indent=indent,
        subsequent_indent=indent,
        break_on_hyphens=False,
        break_long_words=False,
    )


def aligned(rows: Sequence[Sequence[str]], *, left: int = 1) -> Iterator[str]:
    """Give *rows* in columns: the first *left* of them begin, the others end under each other."""
    widths = [max(map(width_of, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            padded(cell, width, left=at < left)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield GAP.join(cells).rstrip()


def padded(text: str, width: int, *, left: bool) -> str:
    """Return *text* so wide, with what is missing behind it, or before."""
    space = " " * (width - width_of(text))
    return text + space if left else space + text


def width_of(text: str) -> int:
    """Return how many columns a terminal takes for it: of some letters two, or none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(each) else 2 if unicodedata.east_asian_width(each) in "WF" else 1
        for each in text
    )


def end_of(text: str, width: int) -> str:
    """Return *text*, or as much of its end as is so wide: what tells names apart stands there."""
    if width_of(text) <= width:
        return text
    text = text[-width:]
    while width_of(text) > width - len(CUT):
        text = text[1:]
    return CUT + text
