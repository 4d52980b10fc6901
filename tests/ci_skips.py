"""On CI, a test that is skipped for want of a system package fails.

``.ci/setup`` installs those packages, so such a skip there means a test that
runs nowhere any more. pytest loads this itself: see ``addopts`` in pyproject.toml.
"""

import os
from collections.abc import Generator

import pytest

NEEDS_PACKAGE = "needs the system package"
"""How the reason of such a skip begins."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Judge the skip of one test."""
    report = yield
    _fail_if_package_is_missing(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Judge the skip of a whole module."""
    report = yield
    _fail_if_package_is_missing(report)
    return report


def _fail_if_package_is_missing(report: pytest.TestReport | pytest.CollectReport) -> None:
    if not (os.environ.get("CI") and report.skipped and isinstance(report.longrepr, tuple)):
        return
    path, line, reason = report.longrepr
    if reason.removeprefix("Skipped: ").startswith(NEEDS_PACKAGE):
        report.outcome = "failed"
        report.longrepr = f"{path}:{line}: on CI nothing may be missing, and this {reason!r}"
