"""What is installed for this Python, without importing it."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """An installed Python distribution.

    Attributes:
        folder: The ``site-packages`` in which its packages lie.
    """

    version: str
    folder: str


DistributionOf = Callable[[str], Distribution | None]
"""Tells of a distribution by its name, ``None`` where it is not installed."""


def installed_distribution(name: str) -> Distribution | None:
    """Return the distribution as this Python has it."""
    from importlib import metadata

    try:
        found = metadata.distribution(name)
        version = found.version
    except (metadata.PackageNotFoundError, KeyError):  # the second: metadata without a version
        return None
    if not isinstance(version, str):
        return None
    return Distribution(version=version, folder=str(found.locate_file("")))
