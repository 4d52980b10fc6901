"""Finds the clients of several cards, and asks the drivers about them."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from vramline.machine import Machine
from vramline.readers.causes import cause_of
from vramline.readers.clients.client import Client, Usage
from vramline.readers.clients.descriptors import GONE, Descriptor, Survey, look_through
from vramline.readers.clients.fdinfo import FdInfo, parse
from vramline.readers.drm import Card, is_asleep
from vramline.readings import Cause

PAUSE_PER_SECOND_OF_LOOKING = 400
"""Looking through all of ``/proc`` takes 8 ms where 550 processes have 1600 files
open, and far longer on a large server. So it pauses in proportion, which leaves it
a quarter of a percent of one processor; 3 s in that case, within which a process
that has just opened a card is found. What it holds is asked for at every reading."""
SHORTEST_PAUSE_SECONDS = 0.5
"""The cards of one round share a look, and at one reading a second each has a new one."""
LONGEST_PAUSE_SECONDS = 60.0
"""A machine that was busy, or stopped, while it was looked through says little of the next time."""

_Shared = tuple[Descriptor, ...]
"""The descriptors of one client, the one to ask first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What one card's clients were at its last reading, and the look that they were found in."""

    survey: Survey
    shared: tuple[_Shared, ...]


@dataclass(slots=True, kw_only=True)
class _Answers:
    """What one card's driver told this time."""

    told: dict[int, FdInfo] = field(default_factory=dict)
    holders: dict[int, list[Descriptor]] = field(default_factory=dict)
    silent: list[_Shared] = field(default_factory=list)
    causes: list[Cause] = field(default_factory=list)


class Clients:
    """Finds the clients of *cards*, all of them in one look through ``/proc``.

    Several threads may ask at once, each about a card of its own. There is no lock:
    looking through ``/proc`` touches no card, and its result is one frozen value that
    is replaced whole; what can hang is a driver's answer, and each thread waits for
    those of its own card only. (amdgpu waits for the client's memory to be unlocked:
    https://github.com/torvalds/linux/blob/master/drivers/gpu/drm/amd/amdgpu/amdgpu_fdinfo.c)
    Who comes while another looks has the earlier result, and at the very first both look.

    Args:
        clock: Measures how long a look takes.
    """

    def __init__(
        self, machine: Machine, cards: Sequence[Card], *, clock: Callable[[], float] | None = None
    ) -> None:
        self._machine = machine
        self._files = frozenset(node for card in cards for node in card.nodes)
        self._clock = clock or machine.clock
        self._survey: Survey | None = None
        self._pause = SHORTEST_PAUSE_SECONDS
        self._look_again_at = 0.0
        self._known: dict[str, _Known] = {}

    def of(self, card: Card) -> Usage | Cause:
        """Return the card's clients as of now, or why they are not known. Never raises.

        Nothing of a card that sleeps is asked, as some drivers wake it to answer.
        """
        try:
            survey = self._latest_survey()
        except OSError as error:
            return cause_of(error)
        shared = self._shared(card, survey)
        if shared and is_asleep(self._machine, card):
            return Cause.ASLEEP
        answers = _ask(self._machine, card, shared)
        by_client = {each: _by_holder(answers.holders[each]) for each in sorted(answers.told)}
        next_time = (*by_client.values(), *answers.silent)
        self._known[card.address] = _Known(survey=survey, shared=next_time)
        if answers.causes and not answers.told:
            return answers.causes[0]
        clients = tuple(_client(answers.told[each], held) for each, held in by_client.items())
        return Usage(clients=clients, complete=survey.complete and not answers.causes)

    def _latest_survey(self) -> Survey:
        survey, started = self._survey, self._clock()
        if survey is not None and started < self._look_again_at:
            return survey
        self._look_again_at = started + self._pause  # for who comes meanwhile
        survey = look_through(self._machine, self._files)
        ended = self._clock()
        pause = (ended - started) * PAUSE_PER_SECOND_OF_LOOKING
        self._pause = min(max(pause, SHORTEST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
        self._look_again_at = ended + self._pause
        self._survey = survey
        return survey

    def _shared(self, card: Card, survey: Survey) -> Iterable[_Shared]:
        """Return the clients' descriptors: each alone until it is known whose it is."""
        known = self._known.get(card.address)
        if known is not None and known.survey is survey:
            return known.shared
        return [(each,) for node in card.nodes for each in survey.by_file.get(node, ())]


def _ask(machine: Machine, card: Card, clients: Iterable[_Shared]) -> _Answers:
    """Ask once about each client: by the next of its descriptors where one is closed."""
    answers = _Answers()
    for shared in clients:
        for place, descriptor in enumerate(shared):
            answer = _told(machine, card, descriptor)
            if answer is None:
                continue
            if isinstance(answer, Cause):
                answers.causes.append(answer)
                answers.silent.append(shared[place:])
            else:
                answers.told[answer.client_id] = answer
                answers.holders.setdefault(answer.client_id, []).extend(shared[place:])
            break
    return answers


def _told(machine: Machine, card: Card, descriptor: Descriptor) -> FdInfo | Cause | None:
    """Return what the driver tells; ``None`` where the card is not open there any more."""
    try:
        # The number may be another file's by now, even that of a card that sleeps.
        if machine.readlink(descriptor.link) not in card.nodes:
            return None
        told = parse(machine.read(descriptor.fdinfo))
    except GONE:
        return None
    except OSError as error:
        return cause_of(error)
    if told is None:
        return Cause.DRIVER_TOO_OLD  # before Linux 5.19 there is nothing to be told
    if told.address not in (None, card.address):
        return Cause.GARBLED  # a device file under another card's name, as in some containers
    return told


def _by_holder(descriptors: list[Descriptor]) -> _Shared:
    """Return the descriptors with those first of the process that ``Client.pid`` explains."""
    each_has = Counter(descriptor.pid for descriptor in descriptors)
    return tuple(sorted(descriptors, key=lambda each: (-each_has[each.pid], each)))


def _client(told: FdInfo, held: _Shared) -> Client:
    return Client(
        pid=held[0].pid,
        client_id=told.client_id,
        memory=told.memory,
        engines_ns=told.engines_ns,
        cycles=told.cycles,
        capacity=told.capacity,
    )
