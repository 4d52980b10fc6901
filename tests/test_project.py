import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

import vramline

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
PYPROJECT = (ROOT / "pyproject.toml").read_text("utf-8")
WRITTEN_BY_HAND = (
    "*.md",
    "*.toml",
    ".ci/*",
    "docs/**/*.md",
    "scripts/*",
    "tests/**/*.py",
    "vramline/**/*.py",
)
HOME_FOLDERS = re.compile(r"(?:/root|/home/\w+|/Users/\w+|[A-Z]:\\Users\\\w+)[/\\]")


def test_src_is_a_link_to_the_package() -> None:
    link = ROOT / "src"

    assert link.is_symlink(), (
        "src is not a link, so `import src` does not work in this checkout; "
        "mend it with: git clone -c core.symlinks=true"
    )
    assert link.readlink() == Path("vramline")


def test_the_readme_has_one_command_to_run_it_and_one_to_test_it() -> None:
    assert code_under("Run it") == (
        "python3 -m venv .venv && .venv/bin/pip install -q -e '.[cli]' && .venv/bin/vramline"
    )
    assert code_under("Test it") == (
        "python3 -m venv .venv && .venv/bin/pip install -q -e '.[cli,test]'"
        " && .venv/bin/python -m pytest -q"
    )


def test_the_readmes_line_for_a_checkout_works_as_it_stands() -> None:
    _python, option, code = shlex.split(code_under("In an application that runs from a checkout"))

    assert option == "-c"
    assert "'gpu_vram_gb': " in run_python(code)


def test_the_readmes_example_works_as_it_stands() -> None:
    assert run_python(code_under("In Python")).startswith("host: ")


def test_every_requirement_says_what_it_is_for() -> None:
    lines = [line.strip() for line in PYPROJECT.splitlines()]

    silent = [name for name in requirements() if not has_comment(lines, f'"{name}"')]

    assert silent == []


def test_importing_vramline_loads_no_dependency() -> None:
    heavy = {"gpu_tracker", "pandas", "psutil", "pynvml", "rich"}

    loaded = run_python("import sys, vramline; print(*sys.modules)").split()

    assert heavy.intersection(loaded) == set()


def test_the_version_is_the_installed_one() -> None:
    try:
        installed = metadata.version("vramline")
    except metadata.PackageNotFoundError:
        pytest.skip("vramline is on the path, but not installed")

    assert vramline.__version__ == installed


def test_no_file_names_a_folder_of_the_machine_it_was_written_on() -> None:
    files = [path for pattern in WRITTEN_BY_HAND for path in ROOT.glob(pattern) if path.is_file()]

    named = {
        str(path.relative_to(ROOT)): found
        for path in files
        if (found := machine_paths(path.read_text("utf-8")))
    }

    assert len(files) > len(WRITTEN_BY_HAND)
    assert named == {}


def code_under(heading: str) -> str:
    block = re.search(rf"^#+ {heading}\n.*?^```\w*\n(.*?)^```$", README, re.M | re.S)
    assert block is not None, f"README.md has no code under {heading!r}"
    return block[1].strip()


def run_python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def requirements() -> Iterator[str]:
    config = tomllib.loads(PYPROJECT)
    yield from config["build-system"]["requires"]
    yield from config["project"]["dependencies"]
    for extra in config["project"]["optional-dependencies"].values():
        yield from extra


def has_comment(lines: list[str], entry: str) -> bool:
    at = next(at for at, line in enumerate(lines) if line.startswith(entry))
    return "#" in lines[at] or lines[at - 1].startswith("#")


def machine_paths(text: str) -> list[str]:
    return HOME_FOLDERS.findall(text) + re.findall(re.escape(f"{ROOT}/"), text)
