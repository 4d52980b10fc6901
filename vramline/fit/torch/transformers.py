"""transformers: what ``generate`` keeps of a sequence, and what it computes with.

Every layer's keys and values grow by a row a token; a layer with a sliding window keeps one
less than the window. https://github.com/huggingface/transformers/blob/main/src/transformers/cache_utils.py
(``DynamicCache``)
"""

from vramline.fit.amounts import Amount
from vramline.fit.tensor_types import TensorType
from vramline.fit.torch.layout import TorchLayout
from vramline.fit.torch.shape import Keeps, TorchLayer


def kept_bytes(layer: TorchLayer, kind: TensorType, tokens: int) -> int:
    """Return what one layer keeps of one sequence."""
    if layer.keeps is Keeps.NOTHING:
        return 0
    if layer.keeps is Keeps.STATE:
        return kind.row_bytes(layer.state_elements)
    if layer.keeps in (Keeps.WINDOW, Keeps.CHUNK):
        tokens = min(tokens, max(layer.window - 1, 0))
    return kind.row_bytes(layer.row_elements) * tokens


def cache_amount(layout: TorchLayout, kind: TensorType, tokens: int, sequences: int) -> Amount:
    """Return what a cache of so many tokens takes.

    A layer's rows are copied to be one longer, so the allocator holds some twice, and keeps
    what it freed before: up to as much again.
    """
    sizes = [kept_bytes(layer, kind, tokens) * sequences for layer in layout.shape.layers]
    size = sum(sizes)
    return Amount(bytes=size, low_bytes=size, high_bytes=2 * size + max(sizes, default=0))


def compute_amount(layout: TorchLayout, tokens: int, sequences: int) -> Amount:
    """Return what a prompt of so many tokens is computed with, all of it at once.

    The widest layer's, and the last token's logits, which are made 32 bits wide. A short
    prompt takes next to nothing; attention without a kernel of its own (``eager``) takes more
    than is told here.
    """
    shape = layout.shape
    row = shape.dtype.row_bytes(3 * shape.feed_forward + 3 * shape.hidden)
    logits = sequences * shape.vocabulary * (shape.dtype.row_bytes(1) + 4)
    layer = tokens * sequences * row
    return Amount(bytes=max(layer, logits), low_bytes=logits // 2, high_bytes=2 * (layer + logits))
