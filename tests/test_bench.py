"""The bench, in sizes that say nothing about speed: each part runs, and measures what it says."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench import beside, overhead, subjects, tables
from bench.__main__ import DOCUMENT, PARTS
from bench.child import Child, Setting
from bench.drivers import script
from bench.result import Goal, Report, Result, Table, per_round

SAMPLE = Report(
    tables=(
        Table(
            title="Cost",
            results=(
                Result(case="1 GPU", subject="one", unit="ms", values=(1.0, 3.0, 2.0)),
                Result(case="8 GPUs", subject="one", unit="ms", values=(1234.5,)),
                Result(case="1 GPU", subject="two", unit="", values=(0.0,)),
            ),
        ),
    ),
    goals=(
        Goal(text="cheap", value=2.0, limit=4.0, unit="x"),
        Goal(text="cheaper", value=5.0, limit=4.0, unit="x"),
    ),
    notes=("Noted.",),
)

SAMPLE_TEXT = """\
**Cost**

|  | 1 GPU | 8 GPUs |
| --- | ---: | ---: |
| one | 2.00 ms (1.00-3.00) | 1,234 ms |
| two | 0 | - |

Goals:

- met: cheap: 2.00 x, at most 4.00 x
- **missed**: cheaper: 5.00 x, at most 4.00 x

Noted."""


def test_a_report_becomes_tables_goals_and_notes() -> None:
    assert tables.markdown(SAMPLE) == SAMPLE_TEXT


def test_a_ratio_is_of_two_figures_of_one_round() -> None:
    over = Result(case="c", subject="over", unit="ms", values=(2.0, 9.0))
    under = Result(case="c", subject="under", unit="ms", values=(1.0, 3.0))

    assert per_round(over, under) == Result(case="c", subject="over", unit="x", values=(2.0, 3.0))


def test_only_what_is_between_the_markers_is_replaced(tmp_path: Path) -> None:
    document = tmp_path / "document.md"
    document.write_text("a\n<!-- bench:x -->\nold\n<!-- /bench:x -->\nz\n")

    tables.write(document, "x", "new \\1")

    assert document.read_text() == "a\n<!-- bench:x -->\n\nnew \\1\n\n<!-- /bench:x -->\nz\n"


def test_a_document_without_the_markers_is_refused(tmp_path: Path) -> None:
    document = tmp_path / "document.md"
    document.write_text("nothing\n")

    with pytest.raises(ValueError, match="markers for x"):
        tables.write(document, "x", "new")


@pytest.mark.parametrize("part", PARTS)
def test_the_documentation_has_a_place_for_every_part(part: str) -> None:
    text = DOCUMENT.read_text()

    assert text.count(f"<!-- bench:{part} -->\n") == text.count(f"<!-- /bench:{part} -->\n") == 1


def test_the_bare_loop_asks_exactly_what_a_snapshot_asks(standin_library: Path) -> None:
    setting = overhead.with_files(Setting(library=str(standin_library), script=script(2)))

    counts = overhead.equal_counts(setting)

    assert counts["calls"]["nvmlDeviceGetMemoryInfo_v2"] == 2
    assert "/proc/meminfo" in counts["files"]


def test_a_bare_loop_that_asks_less_is_noticed(standin_library: Path) -> None:
    setting = Setting(library=str(standin_library), script=script(1), files=("/proc/meminfo",))

    with pytest.raises(ValueError, match="where a snapshot asks"):
        overhead.equal_counts(setting)


def test_the_overhead_of_every_subject_that_is_installed_is_measured(
    standin_library: Path,
) -> None:
    report = overhead.run(standin_library, replace(overhead.QUICK, gpus=(1,)))

    measured = {result.subject for result in report.tables[0].results}
    assert measured == set(filter(subjects.is_installed, overhead.SUBJECTS))


def test_snapshots_beside_a_busy_thread_are_measured(standin_library: Path) -> None:
    report = beside.run(standin_library, beside.QUICK)

    rows = {result.subject for result in report.tables[0].results}
    assert rows == {f"{name}, beside 1 busy thread" for name in (subjects.BARE, subjects.SNAPSHOT)}


def test_a_subject_that_cannot_be_opened_is_an_error(standin_library: Path) -> None:
    setting = Setting(library=str(standin_library), script="gpus 1\n")

    with Child("nobody", setting) as child, pytest.raises(RuntimeError, match="nobody ended"):
        child.ask("count")
