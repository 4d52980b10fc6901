"""Which place computes what, as ggml's scheduler decides it.

Every operation is given a place: by its result's, by its weight's, then by its neighbours'.
https://github.com/ggml-org/ggml/blob/master/src/ggml-backend.cpp
(``ggml_backend_sched_split_graph``, passes 1 to 4). Its third pass also moves what two backends
of one kind of memory could compute, of which there are none here.
"""

from collections.abc import Iterable

from vramline.fit.compute.graph import Graph, Node
from vramline.fit.compute.placement import CACHE, Placement
from vramline.fit.compute.supported import OFFLOADED_BATCH, runs_on_cuda, wanted_by_cuda

VIEWS = frozenset(("PERMUTE", "RESHAPE", "TRANSPOSE", "VIEW"))

FOLLOWERS = frozenset(("FLASH_ATTN_EXT", "ROPE"))
"""Their weights are too small to decide where they run."""

NOWHERE = -1


class Schedule:
    """One graph, with a place for each of its tensors.

    *asked*: the places that llama.cpp itself asks for are heeded. Its dry run forgets them:
    they are wiped between building the graph and measuring it (``ggml_backend_sched_reset``
    in ``ggml_backend_sched_reserve_size``), as it is done for ``--fit``, not where a model is
    loaded.

    Attributes:
        where: By a tensor's index (``Node.at``): its place's number.
        computed: All that is not a view, in order.
    """

    def __init__(self, graph: Graph, placement: Placement, *, tokens: int, asked: bool) -> None:
        self.graph = graph
        self.placement = placement
        self.host = placement.host
        self._asked = asked
        self._asks_for_norms = placement.whole or tokens < OFFLOADED_BATCH
        every = [*graph.leaves, *graph.nodes]
        for at, node in enumerate(every):
            node.at = at
        self.where = [NOWHERE] * len(every)
        self._fixed = [NOWHERE] * len(every)
        self._weights = [False] * len(every)
        self._same = list(range(len(every)))
        self._able: list[bool | None] = [None] * len(every)
        self.computed = [node for node in graph.nodes if node.op not in VIEWS]
        self._assign_leaves()
        self._assign_nodes()
        self._spread()
        self._assign_rest()
        self._follow()

    def is_weight(self, node: Node) -> bool:
        """Whether it is one, and not a view of one."""
        return self._weights[node.at]

    def place_of_weight(self, node: Node) -> int:
        """Return the number of the place that a weight lies in."""
        return self._fixed[node.at]

    def same(self, node: Node) -> int:
        """Return the index that stands for *node*: of what layers share, the first one's."""
        return self._same[node.at]

    def runs(self, node: Node, place: int) -> bool:
        """Whether *node* can be computed there. A device reads no other device's memory."""
        if place == self.host:
            return True
        able = self._able[node.at]
        if able is None:
            able = self._able[node.at] = runs_on_cuda(node)
        if not able:
            return False
        for source in node.sources:
            if source.external and self._fixed[source.at] not in (place, self.host):
                return False
        return True

    def reads(self, node: Node, place: int) -> bool:
        """Whether *node* can be read there without a copy."""
        fixed = self._fixed[node.root.at]
        if fixed != NOWHERE:
            return fixed == place
        found = self.where[node.at]
        if found == NOWHERE:
            found = self.where[node.root.at]
        return found == place

    def _assign_leaves(self) -> None:
        firsts: dict[tuple[str, int], int] = {}
        for leaf in self.graph.leaves:
            if leaf.external:
                place = self._fixed[leaf.at] = self.where[leaf.at] = self.placement.of(leaf)
                self._weights[leaf.at] = not leaf.name.startswith(CACHE)
                self._same[leaf.at] = firsts.setdefault((leaf.name, place), leaf.at)
            elif leaf.input:
                self.where[leaf.at] = self.host

    def _assign_nodes(self) -> None:
        for node in self.graph.nodes:
            place = self._asked_for(node) if node.pinned and self._asked else None
            self.where[node.at] = self._told(node) if place is None else place

    def _asked_for(self, node: Node) -> int | None:
        """Return the place that llama.cpp asks for: a norm's layer's, and the caches' host."""
        if node.layer is None:
            return None if self.placement.caches_on_devices else self.host
        place = self.placement.blocks[node.layer]
        return place if self._asks_for_norms and self.runs(node, place) else None

    def _told(self, node: Node) -> int:
        """Return the place that its result or its weight is in."""
        fixed = self._fixed[node.root.at]
        if fixed != NOWHERE or node.op in FOLLOWERS:
            return fixed
        weights = self._weights
        for source in node.sources:
            if weights[source.at]:
                return self._told_by(node, self._fixed[source.at])
        return NOWHERE

    def _told_by(self, node: Node, place: int) -> int:
        """Return where *node* runs whose weight lies in *place*."""
        if place != self.host:
            return place if self.runs(node, place) else NOWHERE
        if wanted_by_cuda(node):
            return next((each for each in range(self.host) if self.runs(node, each)), place)
        return place

    def _spread(self) -> None:
        """Give each operation a neighbour's place: devices' first, downwards, then upwards."""
        down = self.computed
        up = down[::-1]
        for order, devices in ((down, True), (up, True), (down, False), (up, False)):
            self._spread_along(order, devices_only=devices)

    def _spread_along(self, order: Iterable[Node], *, devices_only: bool) -> None:
        where, current = self.where, NOWHERE
        for node in order:
            place = where[node.at]
            if place != NOWHERE:
                current = NOWHERE if devices_only and place == self.host else place
            elif current != NOWHERE and self.runs(node, current):
                where[node.at] = current

    def _assign_rest(self) -> None:
        """Give what no neighbour's place computes the one that can read most of its sources."""
        for node in self.computed:
            if self.where[node.at] == NOWHERE:
                able = [place for place in range(self.host + 1) if self.runs(node, place)]
                self.where[node.at] = max(able, key=lambda place: self._read_from(node, place))

    def _read_from(self, node: Node, place: int) -> int:
        return sum(self.reads(source, place) for source in node.sources)

    def _follow(self) -> None:
        """Give the rest the place of what they show, or of what reads them."""
        where = self.where
        for node in self.graph.nodes:
            if where[node.at] == NOWHERE:
                where[node.at] = where[node.root.at]
            for source in node.sources:
                if where[source.at] == NOWHERE:
                    where[source.at] = where[(source.root if source.is_view else node).at]
            if where[node.at] == NOWHERE:
                where[node.at] = next(
                    place for place in range(self.host + 1) if self.runs(node, place)
                )
