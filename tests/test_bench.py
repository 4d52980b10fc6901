"""The bench, in sizes that say nothing about speed: each part runs, and measures what it says."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench import (
    beside,
    cards,
    fit,
    growth,
    hang,
    headers,
    host,
    library,
    llmfit,
    overhead,
    plan,
    programs,
    recorded,
    startup,
    subjects,
    tables,
)
from bench.__main__ import DOCUMENT, DOCUMENTS, PARTS, run_part
from bench.child import Child, Setting, repeat
from bench.drivers import script
from bench.programs import Life, Program
from bench.result import Goal, Report, Result, Table, beyond, per_round
from tests.fit.truth import runs
from vramline.fit.amounts import Amount, about

SAMPLE = Report(
    tables=(
        Table(
            title="Cost",
            results=(
                Result(case="1 GPU", subject="one", unit="ms", values=(1.0, 3.0, 2.0)),
                Result(case="8 GPUs", subject="one", unit="ms", values=(1234.5,)),
                Result(case="1 GPU", subject="two", unit="", values=(4.0,)),
                Result(case="1 GPU", subject="slow", unit="s", values=(1.0, 20.0), limit=20.0),
            ),
            not_installed=("three",),
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
| two | 4 | - |
| slow | > 20 s | - |
| three | not installed |  |

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


def test_a_difference_is_of_two_figures_of_one_round() -> None:
    over = Result(case="c", subject="over", unit="ms", values=(2.0, 9.0))
    under = Result(case="c", subject="under", unit="ms", values=(1.0, 3.0))

    assert beyond(over, under) == Result(case="c", subject="over", unit="ms", values=(1.0, 6.0))


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
    text = DOCUMENTS.get(part, DOCUMENT).read_text()

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


def test_many_cards_are_measured_by_their_files(standin_library: Path) -> None:
    report = cards.run(standin_library, cards.QUICK)

    files = next(table for table in report.tables if table.title.startswith("Files"))
    counts = {(each.subject, each.case): each.values[0] for each in files.results}
    for case in ("3 cards", "6 cards"):
        assert counts[subjects.SNAPSHOT, case] == counts[subjects.BARE, case] > 20
    assert counts[subjects.SNAPSHOT, "6 cards"] > counts[subjects.SNAPSHOT, "3 cards"]


def test_recorded_machines_are_counted_as_they_are_read(standin_library: Path) -> None:
    report = recorded.run(standin_library, recorded.QUICK)

    ours = {
        (each.subject, each.case): each.values[0]
        for each in report.tables[0].results
        if each.case.endswith("vramline")
    }
    assert ours == {
        ("Radeon R7 240 on amdgpu", "GPUs, vramline"): 1,
        ("Radeon R7 240 on amdgpu", "figures, vramline"): 7,
        ("Radeon HD 7870 on radeon", "GPUs, vramline"): 1,
        ("Radeon HD 7870 on radeon", "figures, vramline"): 1,
    }


def test_headers_are_read_by_every_program_that_is_installed(standin_library: Path) -> None:
    report = headers.run(standin_library, headers.QUICK)

    measured = {each.subject for table in report.tables for each in table.results}
    assert measured >= headers.subjects().keys()


def test_needs_are_compared_with_both_tables_and_the_peers(standin_library: Path) -> None:
    report = fit.run(standin_library, fit.QUICK)

    own, further, parts, _, beside = report.tables
    assert {each.subject for each in own.results} == {fit.VRAMLINE, *fit.PUBLISHED}
    assert {each.subject for each in further.results} == {fit.VRAMLINE}
    assert {each.subject.split(":")[0] for each in parts.results} == {*fit.PARTS, fit.ALL}
    assert {each.subject.split(",")[0] for each in beside.results} | {*beside.not_installed} == {
        fit.VRAMLINE,
        llmfit.PROGRAM,
    }


@pytest.mark.parametrize(
    ("told", "percent", "enclosed"),
    [
        (Amount(bytes=100, low_bytes=100, high_bytes=100), 0.0, True),
        (Amount(bytes=98, low_bytes=90, high_bytes=100), -2.0, True),
        (Amount(bytes=110, low_bytes=101, high_bytes=120), 10.0, False),
    ],
)
def test_a_figure_is_off_by_its_share_and_within_its_range_or_not(
    told: Amount, percent: float, enclosed: bool
) -> None:
    figure = fit.Figure(
        run=runs()[0], part="weights", place="host", true=100, told=told, bounds=about(100)
    )

    assert (figure.percent, figure.is_enclosed) == (percent, enclosed)


def test_snapshots_beside_a_busy_thread_are_measured(standin_library: Path) -> None:
    report = beside.run(standin_library, beside.QUICK)

    rows = {result.subject for result in report.tables[0].results}
    assert rows == {f"{name}, beside 1 busy thread" for name in (subjects.BARE, subjects.SNAPSHOT)}


def test_a_subject_that_cannot_be_opened_is_an_error(standin_library: Path) -> None:
    setting = Setting(library=str(standin_library), script="gpus 1\n")

    with Child("nobody", setting) as child, pytest.raises(RuntimeError, match="nobody ended"):
        child.ask("count")


def test_the_bare_loop_over_the_host_reads_the_files_of_the_host_reader(
    standin_library: Path,
) -> None:
    report = host.run(standin_library, host.QUICK)

    files = {
        result.subject: result.median
        for result in report.tables[0].results
        if result.case == "files opened"
    }
    assert set(files) == set(host.SUBJECTS)
    assert files[subjects.HOST_FILES] == files[subjects.HOST_READER] > 0


def test_growth_looks_ten_times_over_as_many_samples_as_it_is_told(standin_library: Path) -> None:
    report = run_part("growth", standin_library, quick=True, samples=25)

    rows = list(dict.fromkeys(result.subject for result in report.tables[0].results))
    assert (rows[0], rows[1], rows[-1]) == ("at the start", "after 2 samples", "after 25 samples")
    assert len(rows) == 11


def test_what_is_repeated_is_asked_that_often() -> None:
    asked: list[None] = []

    repeat(lambda: asked.append(None), times=3)

    assert len(asked) == 3


def test_a_process_that_has_grown_misses_its_goals() -> None:
    held = {
        "at the start": {"memory": 20_000.0, "files": 4.0, "threads": 3.0},
        "after": {"memory": 22_000.0, "files": 5.0, "threads": 3.0},
    }

    goals = growth.goals(held, growth.QUICK)

    assert [(goal.value, goal.is_met) for goal in goals] == [(2000, False), (1, False), (0, True)]


def test_the_start_of_every_program_that_is_installed_is_measured(standin_library: Path) -> None:
    table = startup.run(standin_library, startup.QUICK).tables[0]

    measured = {result.subject for result in table.results}
    assert measured == {each.name for each in startup.PROGRAMS if each.is_installed}
    assert set(table.not_installed) == {each.name for each in startup.PROGRAMS} - measured


def test_a_programs_life_has_its_status_and_the_time_that_it_computed() -> None:
    if sys.platform == "win32":
        pytest.skip("this system does not tell what a process has used that is gone")
    life = programs.live(Program(name="fails", arguments=("-c", "raise SystemExit(3)")), {})

    assert life.status == 3
    assert life.cpu_ms > 0


def test_a_program_that_failed_is_not_measured() -> None:
    worked, failed = (Life(wall_ms=1.0, cpu_ms=1.0, status=status) for status in (0, 1))

    with pytest.raises(RuntimeError, match="two ended with status 1"):
        startup.refuse_failures({"one": [worked], "two": [worked, failed]})


def test_every_program_that_is_installed_is_ended_while_its_driver_hangs(
    standin_library: Path,
) -> None:
    endings = (hang.Ending.INTERRUPT, hang.Ending.MAIN_ENDS)
    report = hang.run(standin_library, replace(hang.QUICK, limit_seconds=0.5, endings=endings))

    measured = {(result.subject, result.case) for result in report.tables[0].results}
    both, one = hang.LIBRARIES, hang.COMMANDS
    assert measured == {
        *((each.name, ending) for each in both if each.is_installed for ending in endings),
        *((each.name, endings[0]) for each in one if each.is_installed),
    }


def test_a_program_that_never_calls_the_driver_is_an_error(standin_library: Path) -> None:
    silent = Program(name="silent", arguments=("-c", "pass"))

    with (
        pytest.raises(RuntimeError, match="made no call"),
        hang.hung(silent, hang.Ending.INTERRUPT, standin_library),
    ):
        pass


def test_a_process_that_outlasts_the_limit_took_the_limit(standin_library: Path) -> None:
    code = """
import pynvml
pynvml.nvmlInit()
pynvml.nvmlDeviceGetUtilizationRates(pynvml.nvmlDeviceGetHandleByIndex(0))
"""
    stuck = Program(name="stuck", arguments=("-c", code))

    with hang.hung(stuck, hang.Ending.BY_ITSELF, standin_library) as process:
        seconds = hang.time_to_end(process, hang.Ending.BY_ITSELF, 0.01)

    assert seconds == 0.01


def test_a_disk_of_models_is_looked_at_anew_and_unchanged(standin_library: Path) -> None:
    report = library.run(standin_library, library.QUICK)

    assert all(result.median > 0 for table in report.tables for result in table.results)


def test_a_plan_is_made_for_every_machine(standin_library: Path) -> None:
    report = plan.run(standin_library, plan.QUICK)

    assert all(result.median > 0 for table in report.tables for result in table.results)
