"""The estimate that plans are made with: with what turns images or sound into tokens."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from vramline.fit.amounts import Amount, Item, Part, about
from vramline.fit.estimate import estimate
from vramline.fit.learned import Learned
from vramline.fit.need import NOTHING_CLAIMED, MemoryNeed
from vramline.fit.plan.candidates import AnyLayout
from vramline.fit.settings import HOST, Runner, Settings
from vramline.units import GIB, MIB

LOADS_PROJECTORS = frozenset((Runner.OLLAMA, Runner.LM_STUDIO))
"""They load a model's projector with it; llama.cpp does where it is named."""

PROJECTOR_RULE = "https://github.com/ggml-org/llama.cpp/blob/master/tools/mtmd/README.md"
PROJECTOR_COMPUTE = Amount(bytes=256 * MIB, low_bytes=0, high_bytes=GIB)
"""It follows the image. Ollama keeps 1 GiB for it, beside the projector's weights:
https://github.com/ollama/ollama/blob/main/llm/llama_server.go (``mmprojOffloadHeadroom``)"""


@dataclass(frozen=True, slots=True)
class Estimator:
    """Estimates.

    Attributes:
        projectors: What turns images or sound into tokens, in bytes, by the layout's id.
    """

    projectors: Mapping[int, int]

    def __call__(
        self,
        layout: AnyLayout,
        settings: Settings,
        *,
        learned: Iterable[Learned] = (),
        device_bytes: Mapping[str, int] = NOTHING_CLAIMED,
        quick: bool = False,
    ) -> MemoryNeed:
        """Return what is needed."""
        need = estimate(layout, settings, learned=learned, device_bytes=device_bytes, quick=quick)
        size = self.projectors.get(id(layout), 0)
        if not size:
            return need
        return replace(need, items=(*need.items, *projector_items(size, settings)))


def projector_items(size: int, settings: Settings) -> tuple[Item, ...]:
    """Return what a projector takes, on the first device if there is one."""
    used = settings.devices and settings.device_layers
    place = settings.devices[0].uid if used else HOST
    parts = ((Part.WEIGHTS, about(size)), (Part.COMPUTE, PROJECTOR_COMPUTE))
    return tuple(
        Item(part=part, place=place, amount=amount, rule=PROJECTOR_RULE) for part, amount in parts
    )
