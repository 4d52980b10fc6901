"""The first look at a candidate: its exact parts alone, added up without a need being made.

Weights, caches and states are exact, and all that is left out only comes on top. So what is too
much here does not fit, and for most of a thousand candidates nothing more has to be worked out.
"""

from dataclasses import dataclass, field

from vramline.fit.buffers import HOST_BUFFER
from vramline.fit.cache import cache_bytes, state_bytes
from vramline.fit.items import Layout, span_bytes
from vramline.fit.places import spread
from vramline.fit.plan.candidates import Candidate
from vramline.fit.plan.search import Drafts, Point, context_range
from vramline.fit.plan.ways import SPLIT, Way
from vramline.fit.settings import Effect, Settings, take_effect

Loading = tuple[Settings, Effect]


@dataclass(slots=True)
class Glance:
    """Looks at candidates under one wish."""

    drafts: Drafts
    _effects: dict[tuple[int, bool], Loading] = field(default_factory=dict)

    def exceeds(self, candidate: Candidate, way: Way, *, shortest: bool = False) -> bool:
        """Whether the wanted, or the *shortest* context, surely does not fit on one device.

        Of any other way nothing is said.
        """
        layout = candidate.layout
        if len(way.devices) != 1 or way.placement in SPLIT or not isinstance(layout, Layout):
            return False
        context = context_range(candidate, way, self.drafts.wish)[0 if shortest else 1]
        settings, effect = self._loading(candidate, layout, way, context)
        if not settings.cache_on_devices:
            return False
        span = spread(settings, layout.weights.block_count)[-1]
        layers, buffer = range(span.begin, span.end), span.buffers.plain
        # Added up already for the host's buffers; on no device do the weights take less.
        size = span_bytes(layout, span, layout.weights.stack(HOST_BUFFER), 0)
        size += cache_bytes(layout.cache, effect, settings, layers, buffer)
        size += state_bytes(layout.cache, effect, settings, layers, buffer)
        return layout.shape.known and size > way.budget_bytes

    def _loading(self, candidate: Candidate, layout: Layout, way: Way, context: int) -> Loading:
        """Return the settings, and what comes of them: the same for most candidates."""
        causal = layout.shape.causal
        settings = self.drafts.settings_of(candidate, way, Point(context_tokens=context))
        key = (id(settings), causal)
        found = self._effects.get(key)
        if found is None:
            effect = take_effect(settings, trained_tokens=context, causal=causal)
            found = self._effects[key] = (settings, effect)
        return found
