"""Run parts of the bench, print their reports, and put them into the documentation."""

import argparse
import importlib
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import tables
from bench.machine import about
from bench.result import Report
from tests.standin import build

PARTS = (
    *("overhead", "beside", "host", "cards", "recorded", "headers", "library", "plan", "fit"),
    *("growth", "startup", "hang"),
)
DOCUMENT = Path(__file__).parent.parent / "docs" / "performance.md"
DOCUMENTS = {"fit": DOCUMENT.with_name("accuracy.md")}
"""Where the parts are that are not about cost."""


def main(arguments: list[str] | None = None) -> int:
    """Measure, and return 1 where a goal was missed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--quick", action="store_true", help="small sizes: the figures say nothing")
    parser.add_argument("--samples", type=int, metavar="N", help="of growth, in place of a million")
    parser.add_argument("--write-docs", action="store_true", help="into the pages of docs")
    options = parser.parse_args(arguments)
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    missed = False
    with TemporaryDirectory() as folder:
        library = build(Path(folder))
        for part in options.parts or PARTS:
            report = run_part(part, library, quick=options.quick, samples=options.samples)
            text = f"{tables.markdown(report)}\n\n{about()}"
            sys.stdout.write(f"\n## {part}\n\n{text}\n")
            sys.stdout.flush()
            missed |= not all(goal.is_met for goal in report.goals)
            if options.write_docs:
                tables.write(DOCUMENTS.get(part, DOCUMENT), part, text)
    return int(missed)


def run_part(part: str, library: Path, *, quick: bool, samples: int | None = None) -> Report:
    """Measure one part over the stand-in *library*; *samples* is for ``growth`` alone."""
    module = importlib.import_module(f"bench.{part}")
    sizes = module.QUICK if quick else module.Sizes()
    if part == "growth" and samples is not None:
        sizes = replace(sizes, samples=samples)
    report: Report = module.run(library, sizes)
    return report


if __name__ == "__main__":
    sys.exit(main())
