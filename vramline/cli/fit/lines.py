"""Lines of a page: paragraphs as wide as it is, and columns under each other."""

import shutil
import textwrap
from collections.abc import Iterator, Sequence

GAP = "  "
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
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            f"{cell:<{width}}" if at < left else f"{cell:>{width}}"
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield GAP.join(cells).rstrip()
