"""The models that a plan chooses among."""

from dataclasses import dataclass
from typing import TypedDict

from vramline.fit.buffers import HOST_BUFFER
from vramline.fit.items import Layout
from vramline.fit.plan.speed import bytes_read
from vramline.fit.settings import TORCH_RUNNERS, Runner
from vramline.fit.torch import TorchLayout

AnyLayout = Layout | TorchLayout


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One model that could be run. ``candidate_of`` makes it from its layout.

    Attributes:
        rank: The caller's own order of quality: more is better. It counts before size.
        family: What it shares with the same model at other quantisations.
        parameters: Of all weights.
        bits: Of a weight, on average.
        trained_tokens: The longest context that it was trained for. 0: not told.
        blocks: How many layers can be put on devices one by one. 0: all or none.
        weight_bytes: What is loaded of its weights, in the host's buffers: on any device they
            take no less.
        expert_bytes: What of that are experts, which can be kept apart.
        input_bytes: What of that always stays on the host.
        read_bytes: What of it is read for one token. 0: not known.
    """

    name: str
    layout: AnyLayout
    path: str | None = None
    rank: float = 0.0
    family: str | None = None
    parameters: int
    bits: float
    trained_tokens: int
    blocks: int
    weight_bytes: int
    expert_bytes: int
    input_bytes: int
    read_bytes: int

    @property
    def has_experts(self) -> bool:
        """Whether some of its weights can be kept apart, as a token needs few of them."""
        return self.expert_bytes > 0

    def is_for(self, runner: Runner) -> bool:
        """Whether *runner* loads models of this format."""
        return isinstance(self.layout, TorchLayout) == (runner in TORCH_RUNNERS)


def candidate_of(
    name: str,
    layout: AnyLayout,
    *,
    path: str | None = None,
    rank: float = 0.0,
    family: str | None = None,
) -> Candidate:
    """Work out, once, what every plan asks of a model."""
    model = layout.model
    parameters = sum(tensor.element_count for tensor in model.tensors)
    return Candidate(
        name=name,
        layout=layout,
        path=path,
        rank=rank,
        family=family,
        parameters=parameters,
        bits=8 * model.weight_bytes / parameters if parameters else 0.0,
        **(torch_facts(layout) if isinstance(layout, TorchLayout) else facts(layout)),
    )


class Facts(TypedDict):
    """What a layout tells of a candidate."""

    trained_tokens: int
    blocks: int
    weight_bytes: int
    expert_bytes: int
    input_bytes: int
    read_bytes: int


def facts(layout: Layout) -> Facts:
    """Return what llama.cpp's layout tells."""
    stack = layout.weights.stack(HOST_BUFFER)
    experts = stack.experts[-1]
    return Facts(
        trained_tokens=layout.shape.context_length,
        blocks=layout.weights.block_count,
        weight_bytes=stack.blocks[-1] + experts + stack.inputs + stack.first + stack.head,
        expert_bytes=experts,
        input_bytes=stack.inputs,
        read_bytes=bytes_read(layout),
    )


def torch_facts(layout: TorchLayout) -> Facts:
    """Return what PyTorch's layout tells: all of it lies in one place."""
    return Facts(
        trained_tokens=layout.shape.most_tokens,
        blocks=0,
        weight_bytes=layout.weight_bytes,
        expert_bytes=0,
        input_bytes=0,
        read_bytes=0,
    )
