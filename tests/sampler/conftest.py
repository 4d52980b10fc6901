from collections.abc import Callable, Iterator

import pytest

from tests.sampler.driver import Driver
from vramline.sampler.guard import GuardedReader
from vramline.sampler.rounds import Deadlines


@pytest.fixture
def driver() -> Iterator[Driver]:
    driver = Driver()
    yield driver
    for name in driver.gates:
        driver.let_go(name)


@pytest.fixture
def guard_of(
    driver: Driver, request: pytest.FixtureRequest
) -> Iterator[Callable[[Deadlines], GuardedReader]]:
    guards = []

    def make(deadlines: Deadlines) -> GuardedReader:
        name = request.node.name
        guards.append(GuardedReader(driver.open_reader, name=name, deadlines=deadlines))
        return guards[-1]

    yield make
    for name in driver.gates:
        driver.let_go(name)
    for guard in guards:
        guard.close()
