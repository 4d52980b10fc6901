"""What is here: the machine, what it can run models with, and what they have loaded now."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType

from vramline.cli.fit.lessons import learned_store, read_learned
from vramline.cli.fit.processor import processor_of
from vramline.cli.look import Look, as_recorded
from vramline.fit.learned import Learned, of_drivers
from vramline.fit.settings import Processor, Runner
from vramline.machine import Machine
from vramline.readings import HostReading, Snapshot
from vramline.runners import InstalledRunner, LoadedModels, find_runners, loaded_models
from vramline.runners.distributions import DistributionOf, installed_distribution


@dataclass(frozen=True, slots=True, kw_only=True)
class Here:
    """One machine, at one moment."""

    machine: Machine
    snapshot: Snapshot
    runners: Mapping[Runner, InstalledRunner]
    loaded: LoadedModels
    learned: tuple[Learned, ...]
    processor: Processor


def look_around(machine: Machine, look: Look) -> Here:
    """Look at everything. What a recording does not hold is not there."""
    recorded = as_recorded(machine)
    of_python: DistributionOf = (lambda _: None) if recorded else installed_distribution
    snapshot = look(machine)
    versions = {gpu.uid: gpu.driver_version for gpu in snapshot.gpus}
    runners: dict[Runner, InstalledRunner] = {}
    for each in find_runners(machine, of_python):
        runners.setdefault(each.runner, each)
    return Here(
        machine=machine,
        snapshot=snapshot,
        runners=MappingProxyType(runners),
        loaded=loaded_models(machine),
        learned=() if recorded else of_drivers(read_learned(learned_store()), versions),
        processor=processor_of(machine),
    )


def nowhere(machine: Machine) -> Here:
    """Look at nothing: what is asked is about a machine that is not this one."""
    return Here(
        machine=machine,
        snapshot=Snapshot(taken_at=datetime.now(UTC), host=HostReading()),
        runners=MappingProxyType({}),
        loaded=LoadedModels(),
        learned=(),
        processor=processor_of(machine),
    )
