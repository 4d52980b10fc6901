"""What is known of a card's clients, as values."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """One client of one card.

    Attributes:
        pid: The process that holds it. Several may: a child after a fork, or one
            that it was passed to, as from systemd-logind to a compositor. Then it
            is the one with the most descriptors of it, as who works with a client
            duplicates it, and of those the one with the lowest pid, as a
            parent's is.
        client_id: Unique on the card.
        memory: Of each region that the driver tells, the bytes that lie in it
            now: ``vram`` and ``gtt`` (amdgpu), ``vram0``, ``gtt`` and
            ``system`` (xe), ``local0`` and ``system0`` (i915). Empty where it
            tells none, as i915 did not at first.
        engines_ns: How long each engine was busy for it, ever. amdgpu leaves
            out an engine that was not used.
        cycles: The same as xe tells it: for how many cycles an engine was busy,
            and how many have gone by.
        capacity: How many there are of each engine in the two above. Its busy
            time grows by so many seconds in one at the most, and its busy
            cycles by so many in one that goes by.
    """

    pid: int
    client_id: int
    memory: Mapping[str, int]
    engines_ns: Mapping[str, int]
    cycles: Mapping[str, tuple[int, int]]
    capacity: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What is known of one card's clients.

    Attributes:
        clients: By number.
        complete: Whether these are all of them. Not so where this user may not
            look into every process, nor in a container, which sees its own
            processes only.
    """

    clients: tuple[Client, ...] = ()
    complete: bool = False
