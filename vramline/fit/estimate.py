"""All that one model needs, whatever its format and its runner."""

from collections.abc import Iterable, Mapping

from vramline.fit.compute.bounds import compute_bounds
from vramline.fit.compute.items import compute_items
from vramline.fit.items import Layout
from vramline.fit.learned import Learned
from vramline.fit.model import Model
from vramline.fit.need import NOTHING_CLAIMED, MemoryNeed, lay_out, need_of
from vramline.fit.runtime import growth_items, runtime_items
from vramline.fit.settings import Settings
from vramline.fit.torch import TorchLayout, lay_out_torch, torch_need

TORCH_KEYS = frozenset(("model_type", "architectures"))
"""Of ``config.json``, which lies beside safetensors. No GGUF file has them."""


def lay_out_any(model: Model) -> Layout | TorchLayout:
    """Work out, once, what does not depend on settings.

    Raises ``ModelFormatError`` where the header lacks what is needed for that.
    """
    if model.architecture and TORCH_KEYS.isdisjoint(model.metadata):
        return lay_out(model)
    return lay_out_torch(model)


def estimate(
    layout: Layout | TorchLayout,
    settings: Settings,
    *,
    learned: Iterable[Learned] = (),
    device_bytes: Mapping[str, int] = NOTHING_CLAIMED,
    quick: bool = False,
) -> MemoryNeed:
    """Return what the model needs under *settings*, in bytes, by part and by place.

    The runner's allocator is replayed, which takes some milliseconds; *quick* gives bounds in
    its place. *learned* is what was seen on this machine before. *device_bytes* is each
    device's whole memory, by uid, which vLLM takes a share of.
    """
    if isinstance(layout, TorchLayout):
        return torch_need(layout, settings, device_bytes=device_bytes, learned=learned)
    compute = compute_bounds if quick else compute_items
    return need_of(
        layout,
        settings,
        (*compute(layout, settings), *runtime_items(layout, settings, learned)),
        growth_items(layout, settings),
    )
