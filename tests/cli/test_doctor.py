import json
from pathlib import Path

import pytest

from tests.snapshots import a_gpu, a_snapshot, lost
from vramline.cli import run
from vramline.cli.doctor import as_json, as_text
from vramline.doctor import Finding, Status

MENDED = Finding(
    check="sleep",
    status=Status.NOTE,
    found="GPU 0 could sleep while idle, and never did since it was started",
    meaning="some program, often a desktop or a monitor, keeps it open",
    mend="sudo fuser -v /dev/nvidia* # which is a command that is longer than the page is wide",
)
GOOD = Finding(check="PCI bus", status=Status.OK, found="0000:01:00.0: bound to nvidia")
BAD = Finding(check="answers", status=Status.PROBLEM, found="GPU 1 is \x1b[2Jlost")


def test_findings_are_told_with_what_mends_them() -> None:
    text = """\
problem  answers: GPU 1 is ?[2Jlost
note     sleep: GPU 0 could sleep while idle, and never
         did since it was started
         some program, often a desktop or a monitor,
         keeps it open
         -> sudo fuser -v /dev/nvidia* # which is a command that is longer than the page is wide
ok       PCI bus: 0000:01:00.0: bound to nvidia

1 problem, 1 note
"""

    assert as_text([BAD, MENDED, GOOD], 56) == text


def test_findings_are_told_to_programs() -> None:
    assert json.loads(as_json([GOOD])) == {
        "format": 1,
        "findings": [
            {
                "check": "PCI bus",
                "status": "ok",
                "found": "0000:01:00.0: bound to nvidia",
                "meaning": None,
                "mend": None,
            }
        ],
    }


@pytest.mark.parametrize("arguments", [["doctor"], ["doctor", "--json"]])
def test_the_status_tells_whether_there_is_a_problem(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments, look=lambda machine: a_snapshot(lost(0))) == 1
    assert "GPU 0 (NVIDIA GeForce RTX 4090) is lost" in capsys.readouterr().out


def test_the_status_is_zero_where_there_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("proc", "sys"):
        (tmp_path / name).mkdir()

    status = run(
        ["doctor", "--host-root", str(tmp_path)], look=lambda machine: a_snapshot(a_gpu(0))
    )

    assert status == 0
    assert "ok       NVIDIA GPUs: 1 found, driver 580.65.06" in capsys.readouterr().out
