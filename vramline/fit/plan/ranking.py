"""All candidates in order, of which only the best are looked into.

Every candidate begins with what it could be at best, told from its exact parts. The one with the
least against it is looked into, way by way, until what it really gets is better than what any
other could be. So the first is the best of all, and most are never searched.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from heapq import heapify, heappop, heappush
from math import log

from vramline.fit.items import Layout
from vramline.fit.plan.candidates import Candidate
from vramline.fit.plan.glance import Glance
from vramline.fit.plan.judge import Judge
from vramline.fit.plan.search import Drafts, Search, context_range
from vramline.fit.plan.speed import Reads, reads_of, seconds, speed_of
from vramline.fit.plan.values import Choice, Ranked, Standing
from vramline.fit.plan.ways import SPLIT, Cost, Way, could_fit
from vramline.fit.plan.wish import Criterion, Wish
from vramline.fit.settings import CELLS_PADDING, HOST

NOT_KNOWN = float("inf")
NOTHING_AGAINST = (0.0, -NOT_KNOWN)


@dataclass(frozen=True, slots=True, order=True)
class Prospect:
    """A way that is still to be looked into.

    Attributes:
        cost: The least that may be against what is found there.
        at: Which way.
        less: It is known not to take the wanted context.
    """

    cost: Cost
    at: int
    less: bool = False


@dataclass(slots=True, eq=False)
class Entry:
    """One candidate, with the best that was found, and what is still to be looked into.

    Attributes:
        cost: What is against the best that was found.
        prospects: A heap: the best way of those that were not reached yet, and others that
            were put off.
    """

    candidate: Candidate
    best: Choice | None = None
    cost: Cost | None = None
    prospects: list[Prospect] = field(default_factory=list)
    standing: Standing = Standing.OPEN

    @property
    def least_cost(self) -> Cost | None:
        """The least that may be against it; ``None`` if it fits in no way."""
        if not self.prospects:
            return self.cost
        least = self.prospects[0].cost
        return least if self.cost is None else min(self.cost, least)

    @property
    def is_final(self) -> bool:
        """Whether no way that is left could be better than what it has."""
        if not self.prospects:
            return True
        return self.cost is not None and self.cost <= self.prospects[0].cost

    @property
    def key(self) -> tuple[object, ...]:
        """What puts it in order: the same whatever order the candidates came in."""
        return (self.least_cost, self.candidate.name, self.candidate.path or "")


@dataclass(slots=True)
class Ranking:
    """Ranks candidates."""

    judge: Judge
    ways: tuple[Way, ...]
    bandwidths: dict[str, int | None] = field(init=False)
    drafts: Drafts = field(init=False)
    glance: Glance = field(init=False)

    def __post_init__(self) -> None:
        self.drafts = Drafts(self.judge.wish)
        self.glance = Glance(self.drafts)
        self.bandwidths = {
            device.uid: device.bandwidth_bytes_per_second for device in self.judge.ground.devices
        }

    def rank(
        self, candidates: Sequence[Candidate], count: int
    ) -> tuple[list[Choice], list[Ranked]]:
        """Return the best *count* choices, and every candidate in order."""
        heap, without = [], []
        for number, candidate in enumerate(candidates):
            entry = self.enter(candidate)
            if entry.least_cost is None:
                without.append(entry)
            else:
                heap.append((entry.key, number, entry))
        heapify(heap)
        final: list[Entry] = []
        while heap and len(final) < count:
            _, number, entry = heappop(heap)
            if not entry.is_final:
                self.advance(entry)
            elif self.is_told(entry, exactly=not final):
                final.append(entry)
                continue
            if entry.least_cost is None:
                without.append(entry)
            else:
                heappush(heap, (entry.key, number, entry))
        rest = [entry for _, _, entry in sorted(heap, key=lambda each: each[:2])]
        for entry in (*final, *rest):
            self.settle(entry)
        for entry in without:
            entry.standing = Standing.NOT
        without.sort(key=lambda entry: (quality_cost(entry.candidate), *entry.key[1:]))
        choices = [entry.best for entry in final if entry.best is not None]
        return choices, [self.ranked(entry) for entry in (*final, *rest, *without)]

    def enter(self, candidate: Candidate) -> Entry:
        """Begin with one candidate: find its best way, and see what its exact parts say of it."""
        entry = Entry(candidate)
        if candidate.is_for(self.judge.wish.settings.runner):
            self.find_way(entry, 0)
        if entry.prospects and self.glance.exceeds(candidate, self.ways[entry.prospects[0].at]):
            entry.standing = Standing.LESS
        return entry

    def advance(self, entry: Entry) -> None:
        """Look into the best way that is left, or put it off, if it turns out to be worse."""
        prospect = heappop(entry.prospects)
        way, candidate = self.ways[prospect.at], entry.candidate
        search = Search(judge=self.judge, drafts=self.drafts, candidate=candidate, way=way)
        if not prospect.less:
            self.find_way(entry, prospect.at + 1)
            if self.glance.exceeds(candidate, way) or not search.may_take_wanted():
                self.put_off(entry, prospect)
                return
        if self.glance.exceeds(candidate, way, shortest=True):
            return
        found = search.best()
        if found is None:
            return
        choice, reads = self.with_speed(found)
        cost = self.cost_of(choice, way, reads)
        if entry.cost is None or cost < entry.cost:
            entry.best, entry.cost = choice, cost

    def find_way(self, entry: Entry, begin: int) -> None:
        """Go to the next way that the weights alone would fit in."""
        ground, wish = self.judge.ground, self.judge.wish
        for at in range(begin, len(self.ways)):
            way = self.ways[at]
            if could_fit(way, entry.candidate, ground, wish):
                context = context_range(entry.candidate, way, wish)[1]
                cost = cost_at(
                    entry.candidate, way, wish, context, least_time(entry.candidate, way)
                )
                heappush(entry.prospects, Prospect(cost, at))
                return

    def put_off(self, entry: Entry, prospect: Prospect) -> None:
        """Come back to a way that has not room for the wanted context, if less will do."""
        wish, way = self.judge.wish, self.ways[prospect.at]
        least, longest = context_range(entry.candidate, way, wish)
        if least < longest:
            cost = cost_at(
                entry.candidate, way, wish, longest - 1, least_time(entry.candidate, way)
            )
            heappush(entry.prospects, Prospect(cost, prospect.at, less=True))

    def is_told(self, entry: Entry, *, exactly: bool) -> bool:
        """Tell the best exactly, if asked to and if it is not; not, if it does not hold then.

        It would be the bounds that are wrong; what they promised is not planned.
        """
        if entry.best is None or not exactly or not self.judge.wish.replay:
            return entry.best is not None
        need = self.judge.need(entry.best.candidate.layout, entry.best.settings, quick=False)
        uses = self.judge.uses(need)
        if any(use.missing_bytes for use in uses) or need.refusal is not None:
            entry.best = entry.cost = None
            return False
        entry.best = replace(entry.best, need=need, exact=True, uses=uses)
        return True

    def settle(self, entry: Entry) -> None:
        """Say what a candidate that was looked into has come to."""
        if entry.best is None or not entry.is_final:
            return
        best, wish = entry.best, self.judge.wish
        first = best.placement is wish.placements[0] and best.cache_type is wish.cache_types[0]
        full = best.context_tokens == longest_context(entry.candidate, wish)
        entry.standing = Standing.FITS if first and full else Standing.LESS

    def ranked(self, entry: Entry) -> Ranked:
        """Return an entry as it is told."""
        placement, context = None, 0
        if entry.best is not None and entry.is_final:
            placement, context = entry.best.placement, entry.best.context_tokens
        elif entry.prospects:
            prospect = entry.prospects[0]
            way = self.ways[prospect.at]
            placement = way.placement
            least, context = context_range(entry.candidate, way, self.judge.wish)
            if prospect.less:
                context = least + (context - 1 - least) // CELLS_PADDING * CELLS_PADDING
        return Ranked(
            candidate=entry.candidate,
            standing=entry.standing,
            sure=entry.is_final,
            placement=placement,
            context_tokens=context,
        )

    def with_speed(self, choice: Choice) -> tuple[Choice, Reads | None]:
        """Return *choice* with its speed, and what it reads for a token."""
        layout = choice.candidate.layout
        if not isinstance(layout, Layout):
            return choice, None
        reads = reads_of(layout, choice.settings, choice.need)
        speed = speed_of(
            reads,
            self.bandwidths,
            layers=choice.candidate.blocks,
            routed=choice.candidate.has_experts,
        )
        return replace(choice, speed=speed), reads

    def cost_of(self, choice: Choice, way: Way, reads: Reads | None) -> Cost:
        """Return what is against a choice."""
        against = NOTHING_AGAINST
        if reads is not None:
            on_devices = {place: size for place, size in reads.weights.items() if place != HOST}
            time = seconds(on_devices, self.bandwidths)
            against = (float(reads.on_host), time_cost(time))
        return cost_at(choice.candidate, way, self.judge.wish, choice.context_tokens, against)


def least_time(candidate: Candidate, way: Way) -> tuple[float, float]:
    """Return the least that is read from the host, and the least time that devices take.

    Without a part on the host that is what it will be, so that equals need not all be looked into.
    """
    if way.placement in SPLIT or not candidate.read_bytes:
        return NOTHING_AGAINST
    if not way.devices:
        return float(candidate.read_bytes), time_cost(0.0)
    bandwidths = [device.bandwidth_bytes_per_second for device in way.devices]
    known = [bandwidth for bandwidth in bandwidths if bandwidth]
    if len(known) < len(bandwidths):
        return 0.0, NOT_KNOWN if len(bandwidths) == 1 else time_cost(0.0)
    return 0.0, time_cost(candidate.read_bytes / max(known))


def time_cost(seconds_taken: float | None) -> float:
    """Return what is against taking so long for a token: a step for every percent."""
    if seconds_taken is None:
        return NOT_KNOWN
    return round(100 * log(seconds_taken)) if seconds_taken > 0 else -NOT_KNOWN


def cost_at(
    candidate: Candidate, way: Way, wish: Wish, context: int, against_speed: tuple[float, float]
) -> Cost:
    """Return what is against a way to run a model, in the wish's order."""
    wanted = wish.context_tokens or wish.least_context_tokens
    costs: dict[Criterion, tuple[float, ...]] = {
        Criterion.PLACEMENT: (wish.placements.index(way.placement),),
        Criterion.CONTEXT: (-min(context, wanted),),
        Criterion.QUALITY: quality_cost(candidate),
        Criterion.CACHE_TYPE: (wish.cache_types.index(way.cache_type),),
        Criterion.MORE_CONTEXT: (-context,),
        Criterion.FEWER_DEVICES: (len(way.devices),),
        Criterion.SPEED: against_speed,
    }
    return tuple([costs[criterion] for criterion in wish.preferences])


def quality_cost(candidate: Candidate) -> tuple[float, ...]:
    """Return what is against a candidate whatever way it is run."""
    return (-candidate.rank, -candidate.parameters, -candidate.bits)


def longest_context(candidate: Candidate, wish: Wish) -> int:
    """Return the context that would be wished for *candidate* on devices."""
    trained = candidate.trained_tokens
    if wish.context_tokens is None:
        return max(trained, 1)
    return min(wish.context_tokens, trained) if trained else wish.context_tokens
