"""A schedule as the allocator takes it: with copies of what a place reads from another.

A row of operations in one place is a split; what it reads from elsewhere is copied there
before it runs. https://github.com/ggml-org/ggml/blob/master/src/ggml-backend.cpp
(``ggml_backend_sched_split_graph``, passes 5 and 6, and the copy of the graph behind them).
What ggml-cuda may add to that copy for operations that it runs as one is left out
(``ggml_backend_cuda_graph_optimize``): it only keeps tensors a little longer.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from vramline.fit.compute.graph import Node
from vramline.fit.compute.operation import Operation
from vramline.fit.compute.schedule import Schedule


@dataclass(slots=True)
class Split:
    """Operations that run in one place, one after the other.

    Attributes:
        begin: Index of the first among the graph's nodes.
        inputs: What is copied there before they run.
    """

    place: int
    begin: int
    end: int
    inputs: list[Node] = field(default_factory=list)


class Entry(NamedTuple):
    """One line of what the allocator is told.

    Attributes:
        node: ``None``: nothing is placed; *reads* is only kept until here.
        kept: Never freed.
    """

    node: Node | None
    place: int
    reads: Node | None = None
    leaf: bool = False
    kept: bool = False


def copy_of(node: Node) -> Node:
    """Return a tensor of its own with the same lengths and strides."""
    return Node("NONE", node.kind, node.lengths, strides=node.strides)


class Splits:
    """The splits of a schedule.

    Attributes:
        every: In order.
    """

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._copies: dict[tuple[int, int], list[Node]] = {}
        self._sources: dict[Node, tuple[Node, ...]] = {}
        self.every: list[Split] = []
        self._divide()
        self._entries: list[Entry] = []
        self._index: dict[Node, int] = {}

    def operations(self) -> list[Operation]:
        """Return everything in the allocator's order: leaves, then each split."""
        schedule = self._schedule
        where, nodes = schedule.where, schedule.graph.nodes
        if schedule.placement.copies > 1:
            self._add_copies()
        for leaf in schedule.graph.leaves:
            self._add(leaf, where[leaf.at], leaf=True)
        for split in self.every:
            for source in split.inputs:
                self._entries.append(Entry(None, split.place, source))
                self._add(self._copies_in(source, split.place)[0], split.place)
            for node in nodes[split.begin : split.end]:
                self._add(node, where[node.at])
        return [self._operation(entry) for entry in self._entries]

    def _divide(self) -> None:
        where, split = self._schedule.where, None
        for node in self._schedule.computed:
            place = where[node.at]
            index = node.at - len(self._schedule.graph.leaves)
            if split is None:
                split = Split(place, 0, 0)
                self.every.append(split)
            elif place != split.place or (split.inputs and self._brings_weight(node, place)):
                split.end = index
                split = Split(place, index, index)
                self.every.append(split)
            self._copy_sources(node, split)
        if split is not None:
            split.end = len(self._schedule.graph.nodes)

    def _brings_weight(self, node: Node, place: int) -> bool:
        """Whether a weight has to be copied: with a new split, those before it make room."""
        schedule = self._schedule
        for source in node.sources:
            if schedule.is_weight(source) and schedule.place_of_weight(source) != place:
                return True
        return False

    def _copy_sources(self, node: Node, split: Split) -> None:
        """Note what *node* reads from elsewhere."""
        schedule, place = self._schedule, split.place
        sources = list(node.sources)
        for index, source in enumerate(sources):
            if schedule.where[source.at] == place or schedule.reads(source, place):
                continue
            key = (schedule.same(source), place)
            if key not in self._copies:
                count = schedule.placement.copies
                self._copies[key] = [copy_of(source) for _ in range(count)]
                split.inputs.append(source)
            sources[index] = self._copies[key][0]
            self._sources[node] = tuple(sources)

    def _copies_in(self, source: Node, place: int) -> list[Node]:
        return self._copies[self._schedule.same(source), place]

    def _add_copies(self) -> None:
        """Add every input as often as batches are worked on at once; none is ever freed."""
        schedule = self._schedule
        for leaf in schedule.graph.leaves:
            if leaf.input:
                place = schedule.where[leaf.at]
                self._add(leaf, place, leaf=True, kept=True)
                for _ in range(schedule.placement.copies - 1):
                    self._add(copy_of(leaf), place, leaf=True, kept=True)
        for split in self.every:
            for source in split.inputs:
                for copy in self._copies_in(source, split.place):
                    self._add(copy, split.place, leaf=True, kept=True)

    def _add(self, node: Node, place: int, *, leaf: bool = False, kept: bool = False) -> None:
        if node not in self._index:
            self._index[node] = len(self._entries)
            self._entries.append(Entry(node, place, None, leaf, kept))

    def _operation(self, entry: Entry) -> Operation:
        node, place, reads, leaf, kept = entry
        index = self._index
        if node is None:
            sources = () if reads is None else (index[reads],)
            return Operation("NONE", 0, None, sources, external=True)
        read = self._sources.get(node, node.sources)
        size, root = 0, node.root
        if root is node and not node.external:
            size = self._schedule.placement.bytes_in(node, place, read)
        return Operation(
            node.op,
            size,
            (node.kind, node.lengths, node.strides),
            tuple([index[source] for source in read]),
            -1 if root is node else index[root],
            leaf,
            node.external,
            node.input or kept,
            node.output or kept,
            place,
        )
