"""How busy a card is by what its clients say of their own engine time.

The second way, where the card's idle time is not known: it holds only where
every client can be seen.
"""

from collections.abc import Callable, Mapping

from vramline.readers.clients import Client, Usage
from vramline.readers.rates import Rate
from vramline.readings import Cause

Key = tuple[int, str]


class Engines:
    """The engines of one card, and how much of the time each was busy."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._before: Mapping[Key, int] = {}
        self._busy: dict[str, int] = {}
        self._rates: dict[str, Rate] = {}

    def busy_percent(self, usage: Usage | Cause) -> float | Cause:
        """Return how busy the busiest engine was since the look before."""
        if isinstance(usage, Cause):
            return usage
        if not usage.complete:
            return Cause.NO_PERMISSION
        now = {key: busy for client in usage.clients for key, busy in _busy(client).items()}
        if usage.clients and not now:
            return Cause.NOT_SUPPORTED
        self._add(now)
        shares = [self._share(engine, usage) for engine in sorted({name for _, name in now})]
        known = [share for share in shares if not isinstance(share, Cause)]
        if shares and not known:
            return Cause.FIRST_SAMPLE
        return 100.0 * min(max(known, default=0.0), 1.0)

    def forget(self) -> None:
        """Begin anew, as after a sleep."""
        self._before, self._busy, self._rates = {}, {}, {}

    def _add(self, now: Mapping[Key, int]) -> None:
        # A client's counter says nothing at the first look at it: it has run before that.
        for (client, engine), busy in now.items():
            grown = busy - self._before.get((client, engine), busy)
            self._busy[engine] = self._busy.get(engine, 0) + max(0, grown)
        self._before = now

    def _share(self, engine: str, usage: Usage) -> float | Cause:
        rate = self._rates.setdefault(engine, Rate(self._clock))
        cycles = [client.cycles[engine][1] for client in usage.clients if engine in client.cycles]
        busy = self._busy[engine]
        grown = rate.of(busy, max(cycles)) if cycles else rate.of(busy / 1e9)
        engines = max((client.capacity.get(engine, 1) for client in usage.clients), default=1)
        return grown if isinstance(grown, Cause) else grown / max(engines, 1)


def _busy(client: Client) -> dict[Key, int]:
    times = {engine: busy for engine, (busy, _) in client.cycles.items()} or client.engines_ns
    return {(client.client_id, engine): busy for engine, busy in times.items()}
