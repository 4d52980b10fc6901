"""The peak of llama.cpp's compute buffers, by replaying its allocator on a graph.

The allocator is ggml's, and its rules are few. Leaves and inputs are placed first, in the
graph's order; then each operation in turn: into a source's place if the operation may write
there and nobody else reads it, else into the smallest free block that takes it, else at the
end. A tensor is freed when its last reader has run. Nothing depends on addresses or time, so
the same graph gives the same bytes.
https://github.com/ggml-org/ggml/blob/master/src/ggml-alloc.c

A backend with a limit on one buffer's length (Vulkan, Metal) splits what lies above it into
several buffers; their sum may differ a little from the one that is replayed here.
"""

from collections.abc import Sequence

from vramline.fit.compute.operation import IN_PLACE, Operation

ENDLESS = 1 << 62


class Buffer:
    """The free blocks of one buffer, and how far it was ever filled."""

    __slots__ = ("_sizes", "_starts", "peak")

    def __init__(self) -> None:
        self._starts = [0]
        self._sizes = [ENDLESS]
        self.peak = 0

    def take(self, size: int) -> int:
        """Return where *size* bytes are placed: best fit, the later of two that fit alike."""
        sizes = self._sizes
        best, least = len(sizes) - 1, ENDLESS
        for at in range(best):
            if size <= sizes[at] <= least:
                best, least = at, sizes[at]
        start = self._starts[best]
        end = start + size
        self.peak = max(self.peak, end)
        if sizes[best] == size:
            del sizes[best], self._starts[best]
        else:
            sizes[best] -= size
            self._starts[best] = end
        return start

    def give_back(self, start: int, size: int) -> None:
        """Free what was placed there, joined with the first free block on one of its sides.

        That block is joined with its neighbour too where they meet. Tensors of no bytes leave
        blocks of none, so this is not the same as joining both sides at once.
        """
        starts, sizes = self._starts, self._sizes
        end = start + size
        for at, begin in enumerate(starts):
            if begin + sizes[at] == start:
                sizes[at] += size
                if at + 1 < len(starts) and starts[at + 1] == end:
                    sizes[at] += sizes.pop(at + 1)
                    del starts[at + 1]
                return
            if begin == end:
                starts[at] = start
                sizes[at] += size
                if at and starts[at - 1] + sizes[at - 1] == start:
                    sizes[at - 1] += sizes.pop(at)
                    del starts[at]
                return
        # Blocks of no bytes may lie out of order: there is nothing to bisect.
        at = next((at for at, begin in enumerate(starts) if begin >= start), len(starts))
        starts.insert(at, start)
        sizes.insert(at, size)


class Replay:
    """One graph's way through the allocator."""

    def __init__(self, operations: Sequence[Operation], buffers: int) -> None:
        count = len(operations)
        self._operations = operations
        self._readers = [0] * count
        self._views = [0] * count
        self._placed = [False] * count
        self._start = [0] * count
        self._place = [0] * count
        self.buffers = [Buffer() for _ in range(buffers)]

    def run(self) -> None:
        """Place and free everything, in the order that ggml does."""
        operations = self._operations
        for at, operation in enumerate(operations):
            if operation.leaf:
                self._allocate(at)
        nodes = [at for at, operation in enumerate(operations) if not operation.leaf]
        self._count(nodes)
        readers, views = self._readers, self._views
        for at in nodes:
            self._allocate(at)
            for source in operations[at].sources:
                readers[source] -= 1
                if not (readers[source] or views[source]):
                    self._free(source)

    def _count(self, nodes: Sequence[int]) -> None:
        """Count who reads what, and place inputs before anything can be written over them."""
        operations, readers, views = self._operations, self._readers, self._views
        for at in nodes:
            operation = operations[at]
            if operation.view >= 0:
                views[operation.view] += 1
            if operation.input:
                self._allocate(at)
            for source in operation.sources:
                readers[source] += 1
                if operations[source].input:
                    self._allocate(source)

    def _allocate(self, at: int) -> None:
        operation = self._operations[at]
        if operation.external or operation.view >= 0 or self._placed[at]:
            return
        self._placed[at] = True
        if operation.op in IN_PLACE and self._reuse(at, operation):
            return
        self._place[at] = operation.buffer
        self._start[at] = self.buffers[operation.buffer].take(operation.size)

    def _reuse(self, at: int, operation: Operation) -> bool:
        """Write over the first source of the same layout that nobody else needs.

        A view is never written over: it owns no place. (The allocator has a branch for it,
        which is not reached.)
        """
        for source in operation.sources:
            if not self._placed[source] or self._readers[source] != 1 or self._views[source]:
                continue
            parent = self._operations[source]
            if parent.layout != operation.layout or parent.output:
                continue
            self._place[at] = self._place[source]
            self._start[at] = self._start[source]
            self._placed[source] = False
            return True
        return False

    def _free(self, source: int) -> None:
        """Free what nobody reads any more; of a view, what it shows, if nobody else shows it."""
        view = self._operations[source].view
        if view >= 0:
            self._views[view] -= 1
            if self._views[view] or self._readers[view]:
                return
            source = view
        if self._placed[source] and not self._operations[source].output:
            self._placed[source] = False
            size = self._operations[source].size
            self.buffers[self._place[source]].give_back(self._start[source], size)


def peaks(operations: Sequence[Operation], buffers: int = 1) -> list[int]:
    """Return the bytes that each buffer takes for the graph, none of its tensors placed yet."""
    replay = Replay(operations, buffers)
    replay.run()
    return [buffer.peak for buffer in replay.buffers]
