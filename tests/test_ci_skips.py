import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
ONE_TEST = """
import pytest

@pytest.mark.skip(reason="{reason}")
def test_something():
    pass
"""
WHOLE_MODULE = """
import pytest

pytest.skip("{reason}", allow_module_level=True)
"""


def test_on_ci_a_missing_system_package_is_no_skip(tmp_path: Path) -> None:
    assert closing_line(tmp_path, "needs the system package gcc", ci="true") == "2 errors"


def test_on_ci_a_missing_gpu_is_a_skip(tmp_path: Path) -> None:
    assert closing_line(tmp_path, "needs a GPU", ci="true") == "2 skipped"


def test_elsewhere_a_missing_system_package_is_a_skip(tmp_path: Path) -> None:
    assert closing_line(tmp_path, "needs the system package gcc", ci="") == "2 skipped"


def closing_line(folder: Path, reason: str, *, ci: str) -> str:
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "test_one.py").write_text(ONE_TEST.format(reason=reason))
    (folder / "test_module.py").write_text(WHOLE_MODULE.format(reason=reason))
    options = ["-q", "-p", "tests.ci_skips", "-p", "no:cacheprovider", "-c", "pytest.ini"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "--continue-on-collection-errors"],
        cwd=folder,
        env={**os.environ, "CI": ci, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.stdout.splitlines()[-1].split(" in ")[0]
