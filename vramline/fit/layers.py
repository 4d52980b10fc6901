"""A model's layers: which of them attend, recur, have a window, and how wide each is.

What a key that is not there means is llama.cpp's rule, not GGUF's:
https://github.com/ggml-org/llama.cpp/blob/master/src/llama-model.cpp (``load_hparams``) for
all architectures, src/models/ (``load_arch_hparams``) for each.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from vramline.fit.keys import Keys


class Window(StrEnum):
    """How a sliding window is cut."""

    NONE = "none"
    STANDARD = "standard"
    CHUNKED = "chunked"


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerShape:
    """One layer.

    Attributes:
        attends: It has attention. A layer may attend, recur, do both, or neither.
        cached: It keeps keys and values of its own. One that attends without reads those
            of layer ``cached_by``.
        recurs: It keeps a recurrent state.
        windowed: Its attention sees the sliding window only.
        feed_forward: Of its dense part; the routed experts' is ``expert_feed_forward``.
    """

    heads: int
    kv_heads: int
    head_dim_k: int
    head_dim_v: int
    rope_dim: int
    feed_forward: int
    expert_feed_forward: int
    experts_used: int
    attends: bool
    cached: bool
    cached_by: int
    recurs: bool
    windowed: bool

    @property
    def key_length(self) -> int:
        """One cell's keys, all heads."""
        return self.head_dim_k * self.kv_heads

    @property
    def value_length(self) -> int:
        """One cell's values, all heads."""
        return self.head_dim_v * self.kv_heads


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowRule:
    """Which layers have a sliding window, where the header leaves it open.

    Attributes:
        period: The last of so many layers sees everything.
        cells: The window where the key is absent; ``None`` where it may not be.
        optional: Without the key, or with a window of zero, no layer has one.
        fixed: The window is ``cells``, whatever the key says.
    """

    period: int
    cells: int | None = None
    kind: Window = Window.STANDARD
    optional: bool = False
    fixed: bool = False


EVERY_LAYER = 0
"""As a period: every layer that attends has the window."""

WINDOWS: Mapping[str, WindowRule] = {
    "cohere2": WindowRule(period=4),
    "gemma2": WindowRule(period=2, cells=4096),
    "gemma3": WindowRule(period=6, optional=True),
    "gemma3n": WindowRule(period=5),
    "gemma4": WindowRule(period=6),
    "gpt-oss": WindowRule(period=2),
    "lfm2": WindowRule(period=EVERY_LAYER, optional=True),
    "lfm2moe": WindowRule(period=EVERY_LAYER, optional=True),
    "llama4": WindowRule(period=4, cells=8192, kind=Window.CHUNKED, fixed=True),
}
"""phi3 is not here: its window's key is ignored, as its converter filled it wrongly.
https://github.com/ggml-org/llama.cpp/pull/13676"""


class Recurs(StrEnum):
    """Which layers keep a recurrent state in place of attention."""

    NEVER = "never"
    ALWAYS = "always"
    BESIDE_ATTENTION = "beside attention"
    WITHOUT_KV_HEADS = "where there are no key-value heads"
    WITHOUT_KV_HEADS_OR_FEED_FORWARD = "where there is neither"
    BETWEEN = "all but every nth, or as the key has it"


RECURRENT: Mapping[str, Recurs] = {
    "falcon-h1": Recurs.BESIDE_ATTENTION,
    "granitehybrid": Recurs.WITHOUT_KV_HEADS,
    "jamba": Recurs.WITHOUT_KV_HEADS,
    "lfm2": Recurs.WITHOUT_KV_HEADS,
    "lfm2moe": Recurs.WITHOUT_KV_HEADS,
    "mamba": Recurs.ALWAYS,
    "mamba2": Recurs.ALWAYS,
    "nemotron_h": Recurs.WITHOUT_KV_HEADS_OR_FEED_FORWARD,
    "nemotron_h_moe": Recurs.WITHOUT_KV_HEADS_OR_FEED_FORWARD,
    "qwen35": Recurs.BETWEEN,
    "qwen35moe": Recurs.BETWEEN,
    "qwen3next": Recurs.BETWEEN,
    "rwkv7": Recurs.ALWAYS,
}


def read_window(architecture: str, keys: Keys) -> tuple[Window, int]:
    """How the sliding window is cut, and its cells."""
    rule = WINDOWS.get(architecture)
    if rule is None:
        return Window.NONE, 0
    if rule.optional:
        cells = keys.number("attention.sliding_window", 0)
        return (rule.kind, cells) if cells else (Window.NONE, 0)
    cells = keys.number("attention.sliding_window", rule.cells)
    if not rule.fixed:
        return rule.kind, cells
    return (rule.kind, rule.cells or 0) if cells else (Window.NONE, 0)


def windowed_layers(architecture: str, keys: Keys, count: int) -> list[bool]:
    """Which of the *count* layers have the sliding window, by the key or by the rule."""
    rule = WINDOWS.get(architecture)
    if rule is None or read_window(architecture, keys)[0] is Window.NONE:
        return [False] * count
    if rule.period == EVERY_LAYER:
        return [True] * count
    pattern = keys.array("attention.sliding_window_pattern")
    if pattern is not None:
        return [bool(entry) for entry in (*pattern, *[0] * count)[:count]]
    period = keys.number("attention.sliding_window_pattern", rule.period)
    return [period == 0 or at % period < period - 1 for at in range(count)]


def recurring_layers(
    architecture: str, keys: Keys, kv_heads: tuple[int, ...], feed_forward: tuple[int, ...]
) -> list[tuple[bool, bool]]:
    """Of each layer: it attends, it recurs."""
    rule = RECURRENT.get(architecture, Recurs.NEVER)
    if rule is Recurs.WITHOUT_KV_HEADS:
        return [(heads > 0, heads == 0) for heads in kv_heads]
    if rule is Recurs.WITHOUT_KV_HEADS_OR_FEED_FORWARD:
        pairs = zip(kv_heads, feed_forward, strict=True)
        return [(heads > 0 and not wide, heads == 0 and not wide) for heads, wide in pairs]
    if rule is Recurs.BETWEEN:
        recurs = keys.array("attention.recurrent_layers", len(kv_heads))
        if recurs is None:
            every = keys.number("full_attention_interval", 4) or 1
            recurs = tuple((at + 1) % every for at in range(len(kv_heads)))
        return [(not entry, bool(entry)) for entry in recurs]
    alike = (rule is not Recurs.ALWAYS, rule in (Recurs.ALWAYS, Recurs.BESIDE_ATTENTION))
    return [alike] * len(kv_heads)


def cached_layers(architecture: str, keys: Keys, windowed: list[bool]) -> list[int]:
    """Of each layer: the one whose keys and values it reads.

    The last layers of gemma3n and gemma4 read those of the last two that keep their own: one
    with a window the last but one, any other the last.
    """
    count = len(windowed)
    own = count
    if architecture == "gemma3n":
        own = 20
    if architecture == "gemma4":
        own = count - keys.number("attention.shared_kv_layers", 0)
    return [at if at < own else max(own - (2 if windowed[at] else 1), 0) for at in range(count)]


def read_layers(architecture: str, keys: Keys, count: int, nextn: int) -> tuple[LayerShape, ...]:
    """Read every layer, with those that predict further tokens behind."""
    heads = keys.numbers("attention.head_count", count, 0)
    kv_heads = heads
    if keys.has("attention.head_count_kv"):
        kv_heads = keys.numbers("attention.head_count_kv", count)
    feed_forward = keys.numbers("feed_forward_length", count, 0)
    expert_forward = keys.numbers("expert_feed_forward_length", count, 0)
    used = keys.numbers("expert_used_count", count, 0)
    windowed = windowed_layers(architecture, keys, count - nextn) + [False] * nextn
    roles = recurring_layers(architecture, keys, kv_heads, feed_forward)
    sources = cached_layers(architecture, keys, windowed)
    dims = head_dims(keys, heads[0])
    return tuple(
        LayerShape(
            heads=heads[at],
            kv_heads=kv_heads[at],
            head_dim_k=dims[windowed[at]][0],
            head_dim_v=dims[windowed[at]][1],
            rope_dim=dims[windowed[at]][2],
            feed_forward=feed_forward[at],
            expert_feed_forward=expert_forward[at],
            experts_used=used[at],
            attends=at >= count - nextn or roles[at][0],
            cached=at < count - nextn and roles[at][0] and sources[at] == at,
            cached_by=sources[at],
            recurs=at < count - nextn and roles[at][1],
            windowed=windowed[at] and roles[at][0],
        )
        for at in range(count)
    )


def head_dims(keys: Keys, heads: int) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Return a head's length in keys, in values and in its turned part: full, then windowed."""
    if heads == 0:
        full = (0, 0, 0)
    else:
        plain = keys.number("embedding_length") // heads
        length = keys.number("attention.key_length", plain)
        full = (
            length,
            keys.number("attention.value_length", plain),
            keys.number("rope.dimension_count", length),
        )
    return full, (
        keys.number("attention.key_length_swa", full[0]),
        keys.number("attention.value_length_swa", full[1]),
        keys.number("rope.dimension_count_swa", full[2]),
    )
