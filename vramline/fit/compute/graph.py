"""A compute graph as it is written down: tensors, their shapes, and the order that they run in.

The operations are ggml's, each with the shape of its result.
https://github.com/ggml-org/ggml/blob/master/src/ggml.c
"""

from collections.abc import Sequence

from vramline.fit.tensor_types import TensorType

Lengths = tuple[int, int, int, int]

F32, F16, I32, I64 = TensorType.F32, TensorType.F16, TensorType.I32, TensorType.I64


def strides_of(kind: TensorType, lengths: Lengths) -> Lengths:
    """Return the strides of a tensor that lies without gaps, in bytes."""
    one, two, three, _ = lengths
    row = kind.row_bytes(one)
    plane = row * two
    return (kind.bytes_per_block, row, plane, plane * three)


class Node:
    """One tensor of a graph.

    Attributes:
        lengths: As ggml has them: four, the row's first.
        root: Whose bytes it shows; itself unless it is a view.
        external: A weight or a cache: it lies elsewhere.
        layer: The layer that a weight, a cache or a pinned norm belongs to; ``None``: none.
        at: Its index among the graph's nodes or leaves; -1 until it is part of it.
    """

    __slots__ = (
        "at", "external", "input", "kind", "layer", "lengths", "name", "op", "output", "pinned",
        "root", "sources", "strides",
    )  # fmt: skip

    def __init__(
        self,
        op: str,
        kind: TensorType,
        lengths: Lengths,
        sources: tuple["Node", ...] = (),
        *,
        strides: Lengths | None = None,
        root: "Node | None" = None,
    ) -> None:
        self.op = op
        self.kind = kind
        self.lengths = lengths
        self.sources = sources
        self.strides = strides_of(kind, lengths) if strides is None else strides
        self.root = self if root is None else root
        self.name = ""
        self.external = self.input = self.output = self.pinned = False
        self.layer: int | None = None
        self.at = -1

    @property
    def is_view(self) -> bool:
        """Whether its bytes are another tensor's."""
        return self.root is not self

    @property
    def count(self) -> int:
        """How many elements it has."""
        one, two, three, four = self.lengths
        return one * two * three * four

    @property
    def contiguous(self) -> bool:
        """Whether it lies without gaps. A stride along a length of one does not matter."""
        step = self.kind.bytes_per_block
        lengths, strides = self.lengths, self.strides
        if lengths[0] != self.kind.elements_per_block and strides[0] != step:
            return False
        step = self.kind.row_bytes(lengths[0])
        for length, stride in zip(lengths[1:], strides[1:], strict=True):
            if length != 1 and stride != step:
                return False
            step *= length
        return True


class Graph:
    """The nodes and leaves of one graph, in ggml's order: what is read comes before its reader."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.leaves: list[Node] = []
        self._seen: set[Node] = set()

    def expand(self, node: Node) -> Node:
        """Add *node*, behind all that it reads and that is not in the graph yet."""
        seen = self._seen
        if node in seen:
            return node
        stack = [(node, iter(node.sources))]
        seen.add(node)
        while stack:
            top, rest = stack[-1]
            for source in rest:
                if source not in seen:
                    seen.add(source)
                    stack.append((source, iter(source.sources)))
                    break
            else:
                stack.pop()
                (self.nodes if top.op != "NONE" else self.leaves).append(top)
        return node


def leaf(kind: TensorType, *lengths: int) -> Node:
    """A tensor that nothing computes."""
    return Node("NONE", kind, fill(lengths))


def fill(lengths: Sequence[int]) -> Lengths:
    """Return four lengths, those that are not told being one."""
    one, two, three, four = (*lengths, 1, 1, 1)[:4]
    return one, two, three, four


def alike(op: str, first: Node, *others: Node | None) -> Node:
    """Return what has the first source's shape: sums, products, norms, rotations and such."""
    sources = (first, *(other for other in others if other is not None))
    return Node(op, first.kind, first.lengths, sources)


def add(first: Node, second: Node) -> Node:
    """Return a sum."""
    return Node("ADD", first.kind, first.lengths, (first, second))


def mul(first: Node, second: Node) -> Node:
    """Return a product, element by element."""
    return Node("MUL", first.kind, first.lengths, (first, second))


def scale(first: Node) -> Node:
    """Return it times a number."""
    return Node("SCALE", first.kind, first.lengths, (first,))


def matmul(weight: Node, value: Node) -> Node:
    """Return a product of matrices, one for each matrix of *value*."""
    lengths = value.lengths
    shape = (weight.lengths[1], lengths[1], lengths[2], lengths[3])
    return Node("MUL_MAT", F32, shape, (weight, value))


def matmul_by_id(weights: Node, value: Node, chosen: Node) -> Node:
    """Return each token's products with its chosen experts' matrices."""
    shape = (weights.lengths[1], chosen.lengths[0], value.lengths[2], 1)
    return Node("MUL_MAT_ID", F32, shape, (weights, value, chosen))


def rows(table: Node, indices: Node) -> Node:
    """Return the rows that the indices name."""
    kind = I32 if table.kind is I32 else F32
    shape = (table.lengths[0], *indices.lengths[:3])
    return Node("GET_ROWS", kind, shape, (table, indices))


def shown(op: str, node: Node, lengths: Lengths, strides: Lengths) -> Node:
    """Return a view."""
    return Node(op, node.kind, lengths, (node,), strides=strides, root=node.root)


def view(node: Node, lengths: Sequence[int], *strides: int) -> Node:
    """Return a view with its own strides from the second on; those not told have no gaps."""
    shape = fill(lengths)
    step = [node.kind.bytes_per_block, *strides]
    while len(step) < 4:
        at = len(step) - 1
        step.append(node.kind.row_bytes(shape[0]) if at == 0 else step[at] * shape[at])
    return shown("VIEW", node, shape, (step[0], step[1], step[2], step[3]))


def reshape(node: Node, *lengths: int) -> Node:
    """Return it in another shape."""
    shape = fill(lengths)
    return shown("RESHAPE", node, shape, strides_of(node.kind, shape))


def permute(node: Node, *axes: int) -> Node:
    """Return it with its first axis as axis ``axes[0]``, and so on."""
    lengths, strides = [0] * 4, [0] * 4
    for at, axis in enumerate(axes):
        lengths[axis], strides[axis] = node.lengths[at], node.strides[at]
    return shown("PERMUTE", node, fill(lengths), fill(strides))


def transpose(node: Node) -> Node:
    """Return it with rows and columns exchanged."""
    (one, two, *rest), (first, second, *more) = node.lengths, node.strides
    return shown("TRANSPOSE", node, fill((two, one, *rest)), fill((second, first, *more)))


def cont(node: Node, *lengths: int) -> Node:
    """Return a copy without gaps, in another shape where one is given."""
    return Node("CONT", node.kind, fill(lengths) if lengths else node.lengths, (node,))


def cast(node: Node, kind: TensorType) -> Node:
    """Return a copy of another type. It counts itself among what it reads, as ggml has it."""
    copy = Node("CPY", kind, node.lengths)
    copy.sources = (node, copy)
    return copy


def copy_to(node: Node, target: Node) -> Node:
    """Write it over *target*."""
    return Node(
        "CPY", target.kind, target.lengths, (node, target), strides=target.strides, root=target.root
    )


def set_rows(target: Node, value: Node, indices: Node) -> Node:
    """Write rows into *target*."""
    sources = (value, indices, target)
    return Node(
        "SET_ROWS", target.kind, target.lengths, sources, strides=target.strides, root=target.root
    )


def concat(first: Node, second: Node, axis: int) -> Node:
    """Return both, one behind the other along *axis*."""
    lengths = list(first.lengths)
    lengths[axis] += second.lengths[axis]
    return Node("CONCAT", first.kind, fill(lengths), (first, second))


def repeat(node: Node, *lengths: int) -> Node:
    """Return it as often as the lengths ask."""
    return Node("REPEAT", node.kind, fill(lengths), (node,))


def pad(node: Node, more: int) -> Node:
    """Return it with longer rows."""
    one, *rest = node.lengths
    return Node("PAD", node.kind, fill((one + more, *rest)), (node,))


def sum_rows(node: Node) -> Node:
    """Return each row's sum."""
    return Node("SUM_ROWS", node.kind, (1, *node.lengths[1:]), (node,))


def mean(node: Node) -> Node:
    """Return each row's mean."""
    return Node("MEAN", F32, (1, *node.lengths[1:]), (node,))


def gated(op: str, gate: Node, up: Node | None = None) -> Node:
    """Return a gated activation: of two tensors, or of one's two halves."""
    if up is not None:
        return Node(op, gate.kind, gate.lengths, (gate, up))
    return Node(op, gate.kind, (gate.lengths[0] // 2, *gate.lengths[1:]), (gate,))


def top(node: Node, count: int) -> Node:
    """Return the places of the largest: a sort, and a view of its head."""
    order = Node("ARGSORT", I32, node.lengths, (node,))
    return view(order, (count, *order.lengths[1:]), *order.strides[1:])


def flash_attention(query: Node, key: Node, value: Node, *others: Node | None) -> Node:
    """Return attention in one operation; the others are the mask and the sinks."""
    lengths = (value.lengths[0], query.lengths[2], query.lengths[1], query.lengths[3])
    sources = (query, key, value, *(other for other in others if other is not None))
    return Node("FLASH_ATTN_EXT", F32, lengths, sources)
