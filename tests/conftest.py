"""What several test modules start from."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pynvml
import pytest
from hypothesis import settings

from tests.ci_skips import NEEDS_PACKAGE
from tests.standin import SOURCES, StandIn, build, compiler

# How long one example takes says nothing about what is tested.
settings.register_profile("vramline", deadline=None, derandomize=True)
settings.load_profile("vramline")

TWO_GPUS = (SOURCES / "machines" / "two_gpus.txt").read_text()


@pytest.fixture(scope="session")
def standin_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stand-in NVML, compiled once a session."""
    if not sys.platform.startswith("linux"):
        pytest.skip("the stand-in NVML is loaded as on Linux, which this is not")
    if compiler() is None:
        pytest.skip(f"{NEEDS_PACKAGE} gcc, or another C compiler: neither $CC nor cc was found")
    return build(tmp_path_factory.mktemp("standin"))


@pytest.fixture(scope="session")
def loaded_standin(standin_library: Path) -> StandIn:
    """The stand-in NVML, loaded into this process for good."""
    return StandIn(standin_library, standin_library.with_name("script.txt"))


@pytest.fixture
def nvml(loaded_standin: StandIn) -> Iterator[StandIn]:
    """The stand-in NVML with two GPUs; no session is open before or after the test."""
    loaded_standin.reset(pynvml)
    loaded_standin.load(TWO_GPUS)
    yield loaded_standin
    loaded_standin.reset(pynvml)
