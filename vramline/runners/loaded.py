"""What came of asking runners for their loaded models."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from vramline.fit.plan.loaded import LoadedModel
from vramline.readings import FrozenDict
from vramline.runners.asking import NoAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModels:
    """What runners hold in memory now.

    Attributes:
        models: What is known to be loaded.
        failures: Of each runner of which not all is known, why. One that does not run
            has nothing loaded, and is not among them.
    """

    models: tuple[LoadedModel, ...] = ()
    failures: Mapping[str, str] = FrozenDict()

    @classmethod
    def failed(cls, who: str, why: str, *models: LoadedModel) -> Self:
        """Return what is known where not all of it is."""
        return cls(models=models, failures=FrozenDict({who: why}))

    @classmethod
    def without(cls, who: str, answer: NoAnswer) -> Self:
        """Return what comes of a server that told nothing."""
        return cls() if answer.is_silent else cls.failed(who, answer.why)
