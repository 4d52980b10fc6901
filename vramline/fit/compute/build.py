"""What every architecture's graph is built with: the model, its settings, and its inputs.

https://github.com/ggml-org/llama.cpp/blob/master/src/llama-graph.cpp
"""

from dataclasses import dataclass
from functools import cached_property

from vramline.errors import ModelFormatError
from vramline.fit.compute import graph as ops
from vramline.fit.compute.graph import F16, F32, I32, I64, Graph, Node
from vramline.fit.keys import Keys
from vramline.fit.layers import LayerShape
from vramline.fit.model import Model
from vramline.fit.shape import Shape
from vramline.fit.tensor_types import TensorType

UNROTATED = frozenset((TensorType.F32, TensorType.F16, TensorType.BF16))
"""Cache types that are not quantised, so keys and values are not rotated for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One batch, the largest that is computed at once or a single token of each sequence.

    Attributes:
        outputs: How many tokens ask for logits.
        cells: Of the cache, one stream; ``window_cells`` of the one for sliding windows.
        flash: Attention is one operation.
        by_token: The cache keeps values by token, not by dimension.
        pooling: What becomes of embeddings; ``None``: they are not asked for.
        state_snapshots: States kept beside the newest one.
        all_sequences: That have a state, in the batch or not.
    """

    tokens: int
    sequences: int
    outputs: int
    cells: int
    window_cells: int
    streams: int
    flash: bool
    by_token: bool
    cache_type_k: TensorType
    cache_type_v: TensorType
    pooling: int | None = None
    state_snapshots: int = 0
    all_sequences: int = 1

    @property
    def tokens_each(self) -> int:
        """Tokens of one sequence."""
        return self.tokens // self.sequences


class Build:
    """One graph in the making."""

    def __init__(self, model: Model, shape: Shape, batch: Batch) -> None:
        self.graph = Graph()
        self.shape = shape
        self.batch = batch
        self.keys = Keys(model)
        self._tensors = {tensor.name: tensor for tensor in model.tensors}
        self.embedded: Node | None = None
        self._weights: dict[str, Node] = {}
        self._caches: dict[str, Node] = {}
        self._inputs: dict[str, Node] = {}

    def expand(self, node: Node) -> Node:
        """Add to the graph."""
        return self.graph.expand(node)

    def weight(self, name: str, layer: int | None = None) -> Node | None:
        """Return a weight, ``None`` where the model has none of that name."""
        full = name if layer is None else f"blk.{layer}.{name}"
        return self._weight(full, full, layer)

    def need(self, name: str, layer: int | None = None) -> Node:
        """Return a weight without which the model cannot be loaded."""
        found = self.weight(name, layer)
        if found is None:
            raise ModelFormatError(
                f"the tensor {name if layer is None else f'blk.{layer}.{name}'} is missing: the"
                f" file is not a whole {self.shape.architecture} model; download it again"
            )
        return found

    def shared(self, name: str, layer: int) -> Node | None:
        """Return a weight that every place with a layer that uses it has a copy of."""
        return self._weight(f"{name} of {layer}", name, layer)

    def _weight(self, key: str, name: str, layer: int | None) -> Node | None:
        found = self._weights.get(key)
        if found is None:
            tensor = self._tensors.get(name)
            if tensor is None:
                return None
            found = self._weights[key] = ops.leaf(tensor.type, *tensor.shape)
            found.name, found.layer, found.external = name, layer, True
        return found

    def state(self, name: str, layer: int, kind: TensorType, *lengths: int) -> Node:
        """Return a cache's tensor."""
        full = f"{name}_l{layer}"
        found = self._caches.get(full)
        if found is None:
            found = self._caches[full] = ops.leaf(kind, *lengths)
            found.name, found.layer, found.external = full, layer, True
        return found

    def input(self, name: str, kind: TensorType, *lengths: int) -> Node:
        """Return what is filled in before the graph runs."""
        found = self._inputs.get(name)
        if found is None:
            found = self._inputs[name] = ops.leaf(kind, *lengths)
            found.name, found.input = name, True
        return found

    def embed(self) -> Node:
        """Return the tokens' embeddings. A place for given ones is kept beside them."""
        tokens = self.input("inp_tokens", I32, self.batch.tokens)
        hidden = self.expand(ops.rows(self.need("token_embd.weight"), tokens))
        self.expand(self.input("inp_embd", F32, self.shape.embedding_length, self.batch.tokens))
        return hidden

    def embed_scaled(self) -> Node:
        """Return the tokens' embeddings, times a number where the header has one."""
        hidden = self.embed()
        if self.keys.real("embedding_scale", 0.0):
            hidden = self.expand(ops.scale(hidden))
        return hidden

    @cached_property
    def positions(self) -> Node:
        """The tokens' positions: one each, or four where images have three dimensions."""
        return self.input("inp_pos", I32, self.batch.tokens * (4 if self.sectioned else 1))

    @cached_property
    def sectioned(self) -> bool:
        """Whether positions have sections: time, height, width."""
        if self.shape.architecture in {"qwen35", "qwen35moe"}:
            return True
        sections = (*self.shape.rope_sections, 0, 0)[:2]
        return self.shape.architecture == "glm4moe" and all(sections)

    @cached_property
    def chosen(self) -> Node:
        """Which tokens ask for logits."""
        return self.input("out_ids", I32, self.batch.outputs)

    def mask(self, *, windowed: bool) -> Node:
        """Return which cells each token sees."""
        batch = self.batch
        cells = batch.window_cells if windowed else batch.cells
        return self.input(
            f"attn_inp_kq_mask{'_swa' * windowed}",
            F16 if batch.flash else F32,
            cells,
            batch.tokens // batch.streams,
            1,
            batch.streams,
        )

    def rows_of_keys(self, *, windowed: bool) -> Node:
        """Return which cells the new keys go to."""
        return self.input(f"attn_inp_k_idxs{'_swa' * windowed}", I64, self.batch.tokens)

    def rows_of_values(self, *, windowed: bool) -> Node:
        """Return which cells the new values go to: every element's, where they lie by dimension."""
        count = self.batch.tokens * (1 if self.batch.by_token else self.widest_value)
        return self.input(f"attn_inp_v_idxs{'_swa' * windowed}", I64, count)

    @cached_property
    def widest_value(self) -> int:
        """The values of the widest layer, in one cell."""
        return max(layer.value_length for layer in (*self.shape.layers, *self.shape.nextn_layers))

    def rotation(self, which: str, *, windowed: bool) -> Node | None:
        """Return the matrix that keys (``k``) or values (``v``) are rotated with, if they are.

        It spreads outliers before a quantised cache rounds them.
        https://github.com/ggml-org/llama.cpp/pull/21038
        """
        keys = which == "k"
        if (self.batch.cache_type_k if keys else self.batch.cache_type_v) in UNROTATED:
            return None
        dims = {
            layer.head_dim_k if keys else layer.head_dim_v
            for layer in self.shape.layers
            if layer.cached and layer.windowed is windowed
        }
        first = self.shape.layers[0].head_dim_k if keys else self.shape.layers[0].head_dim_v
        if len(dims) != 1 or first % 64:
            return None
        size = 64
        while keys and min(dims) % (size * 2) == 0:
            size *= 2
        return self.input(f"attn_inp_{which}_rot{'_swa' * windowed}", F32, size, size)

    @cached_property
    def state_rows(self) -> Node:
        """Which recurrent states the batch's sequences use."""
        indices = self.input("rs_s_copy", I32, self.batch.all_sequences)
        return ops.view(indices, (self.batch.sequences,))

    @cached_property
    def other_state_rows(self) -> Node:
        """Which recurrent states belong to others."""
        indices = self.input("rs_s_copy", I32, self.batch.all_sequences)
        return ops.view(indices, (self.batch.all_sequences - self.batch.sequences,))

    def project(self, name: str, value: Node, layer: int | None = None) -> Node:
        """Return *value* times the weight of that name, times its scale where it has one."""
        product = ops.matmul(self.need(f"{name}.weight", layer), value)
        factor = self.weight(f"{name}.scale", layer)
        return product if factor is None else ops.mul(product, factor)

    def biased(self, name: str, value: Node, layer: int | None = None) -> Node:
        """Return *value* with the bias of that name, where the model has one."""
        bias = self.weight(f"{name}.bias", layer)
        return value if bias is None else ops.add(value, bias)

    def norm(self, name: str | None, value: Node, layer: int | None, op: str = "RMS_NORM") -> Node:
        """Return *value* normalised, with weight and bias where the model has them."""
        result = ops.alike(op, value)
        weight = bias = None
        if name is not None:
            weight = self.weight(f"{name}.weight", layer)
            bias = self.weight(f"{name}.bias", layer)
        if weight is not None or bias is not None:
            result.pinned, result.layer = layer is not None, layer
        if weight is not None:
            result = ops.mul(result, weight)
        return result if bias is None else ops.add(result, bias)

    def unpinned_norm(self, name: str, value: Node, layer: int) -> Node:
        """Return the same, which may then run where what is before it does."""
        return ops.mul(ops.alike("RMS_NORM", value), self.need(f"{name}.weight", layer))

    def pinned_norm(self, name: str, value: Node, layer: int) -> Node:
        """Return the norm of what has no layer's name, but runs with one."""
        result = ops.alike("NORM", value)
        result.pinned, result.layer = True, layer
        return self.biased(name, ops.mul(result, self.need(f"{name}.weight")))

    def rope(self, value: Node, factors: Node | None = None) -> Node:
        """Return *value* turned by its position."""
        return ops.alike("ROPE", value, self.positions, factors)

    def finish(self, hidden: Node, norm: str = "output_norm", op: str = "RMS_NORM") -> Node:
        """Return the logits, after the last norm; both are read after the graph ran."""
        return self.logits(self.norm(norm, hidden, None, op))

    def logits(self, hidden: Node) -> Node:
        """Return the logits of what is told as embeddings."""
        hidden.output = True
        self.embedded = hidden
        logits = ops.matmul(self._head(), hidden)
        factor = self.weight("output.scale")
        if factor is not None:
            logits = ops.mul(logits, factor)
        return self.biased("output", logits)

    def _head(self) -> Node:
        """Return the output layer's matrix: a copy of the token embedding where there is none."""
        head = self.weight("output.weight")
        if head is None:
            tied = self.need("token_embd.weight")
            head = ops.leaf(tied.kind, *tied.lengths)
            head.name, head.external = "token_embd.weight (copy)", True
        return head

    def give(self, logits: Node) -> None:
        """Close the graph with what it gives."""
        logits.output = True
        self.expand(logits)

    def give_embedded(self, hidden: Node) -> None:
        """Close the graph of a model that has no logits."""
        hidden.output = True
        self.embedded = self.expand(hidden)

    def give_chosen(self, hidden: Node, *, cap: bool = False) -> None:
        """Close the graph of an architecture that keeps the last norm of every token."""
        normed = self.norm("output_norm", hidden, None)
        normed.output = True
        logits = self.logits(ops.rows(normed, self.chosen))
        if cap:
            logits = ops.scale(ops.alike("TANH", ops.scale(logits)))
        self.give(logits)

    def layer(self, at: int) -> LayerShape:
        """Return one layer's shape."""
        return self.shape.layers[at]
