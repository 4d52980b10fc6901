"""Make models, load them with the real llama-cpp-python, and compare: 1 where anything differs."""

import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.real.comparison import LOADS, PARTS, Comparison, compare
from tests.real.models import EVERY, write
from vramline.units import MIB

HEADINGS = ("model", *(f"{name} MiB" for name in PARTS), "process: said", "taken", "", "loaded as")


def main() -> int:
    """Compare every load."""
    with TemporaryDirectory() as folder:
        paths = {made.name: write(made, Path(folder) / f"{made.name}.gguf") for made in EVERY}
        compared = [compare(load, paths[load.made.name]) for load in LOADS]
    show([HEADINGS, *map(row, compared)])
    wrong = sum(not each.is_right for each in compared)
    sys.stdout.write(
        f"\n{len(compared)} loads of {len(paths)} models with llama-cpp-python, {wrong} of them"
        " not as was said before\n"
    )
    return int(wrong > 0)


def row(compared: Comparison) -> tuple[str, ...]:
    """Return the words for one load: a buffer that differs has both figures."""
    buffers = {each.name: each for each in compared.buffers}
    cells = []
    for name in PARTS:
        buffer = buffers.get(name)
        if buffer is None:
            cells.append("-")
        elif buffer.is_equal:
            cells.append(f"{buffer.logged:.2f}")
        else:
            cells.append(f"{buffer.logged:.2f}, said {buffer.said:.2f}")
    said = compared.said
    return (
        compared.load.made.name,
        *cells,
        f"{said.low_bytes / MIB:.0f}-{said.high_bytes / MIB:.0f}",
        f"{compared.taken_bytes / MIB:.0f}",
        "" if compared.is_right else "WRONG",
        " ".join(f"{key}={value}" for key, value in compared.load.arguments.items()) or "default",
    )


def show(rows: Sequence[Sequence[str]]) -> None:
    """Print a table whose columns are as wide as they must be."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for cells in rows:
        line = "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        sys.stdout.write(f"{line.rstrip()}\n")


if __name__ == "__main__":
    sys.exit(main())
