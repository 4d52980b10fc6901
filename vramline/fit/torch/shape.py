"""A model's dimensions, layer by layer, as ``config.json`` has them.

What a setting that is not there means is transformers' rule for each architecture:
https://github.com/huggingface/transformers/tree/main/src/transformers/models
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType

from vramline.errors import ModelFormatError
from vramline.fit.model import Model
from vramline.fit.shape import MOST_LAYERS
from vramline.fit.tensor_types import TensorType
from vramline.fit.torch.config import Config


class Keeps(StrEnum):
    """What a layer keeps of the tokens it has seen."""

    EVERYTHING = "everything"
    WINDOW = "window"
    CHUNK = "chunk"
    STATE = "state"
    NOTHING = "nothing"
    """It reads what another layer keeps, or is no attention."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchLayer:
    """One layer.

    Attributes:
        kv_heads: 1 where keys and values are kept as one latent row, which every device has
            whole.
        value_dim: 0 where there is no row for values beside the keys'.
        window: In tokens, where it has one.
        state_elements: Of a recurrent state, one sequence.
    """

    keeps: Keeps
    kv_heads: int
    key_dim: int
    value_dim: int
    window: int = 0
    state_elements: int = 0

    @property
    def row_elements(self) -> int:
        """One token's keys and values, all heads."""
        return self.kv_heads * (self.key_dim + self.value_dim)


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchShape:
    """A whole model.

    Attributes:
        known: This architecture's rules are known.
        dtype: What it is computed in.
        feed_forward: What a token takes in between, of all experts that it uses.
        rotary_elements: Of the table of rotations, one position.
        latent: Keys and values are kept as one latent row.
    """

    architecture: str
    known: bool
    dtype: TensorType
    layers: tuple[TorchLayer, ...]
    hidden: int
    heads: int
    feed_forward: int
    vocabulary: int
    most_tokens: int
    rotary_elements: int
    tied: bool
    latent: bool


class Windowed(StrEnum):
    """Which layers have the sliding window, where ``layer_types`` does not say it."""

    ALL = "all"
    NEVER = "never"
    FROM = "those from max_window_layers on, if use_sliding_window"
    PERIOD = "all but every nth"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How one architecture's layers differ."""

    windowed: Windowed = Windowed.ALL
    period: int = 0
    window: int = 0


_PLAIN = Rule()
_NEVER = Rule(windowed=Windowed.NEVER)

RULES: Mapping[str, Rule] = MappingProxyType(
    {
        **dict.fromkeys(
            (
                "mistral",
                "mistral3",
                "mixtral",
                "phi3",
                "starcoder2",
            ),
            _PLAIN,
        ),
        **dict.fromkeys(
            (
                "cohere",
                "deepseek_v2",
                "deepseek_v3",
                "gemma",
                "glm",
                "glm4",
                "glm4_moe",
                "granite",
                "granitemoe",
                "kimi_k2",
                "llama",
                "olmo",
                "olmo2",
                "olmoe",
                "phi",
                "qwen2_5_vl_text",
                "qwen3_vl_text",
                "qwen3_vl_moe_text",
                "seed_oss",
                "smollm3",
                "stablelm",
            ),
            _NEVER,
        ),
        **dict.fromkeys(
            ("qwen2", "qwen2_moe", "qwen2_vl", "qwen2_5_vl", "qwen3", "qwen3_moe"),
            Rule(windowed=Windowed.FROM),
        ),
        **dict.fromkeys(
            ("qwen3_next", "qwen3_5_text", "qwen3_5_moe_text"), Rule(windowed=Windowed.NEVER)
        ),
        "cohere2": Rule(windowed=Windowed.PERIOD, period=4, window=4096),
        "exaone4": Rule(windowed=Windowed.PERIOD, period=4, window=4096),
        "gemma2": Rule(windowed=Windowed.PERIOD, period=2, window=4096),
        "gemma3": Rule(windowed=Windowed.PERIOD, period=6, window=4096),
        "gemma3_text": Rule(windowed=Windowed.PERIOD, period=6, window=4096),
        "gemma3n_text": Rule(windowed=Windowed.PERIOD, period=5, window=512),
        "gemma4_text": Rule(windowed=Windowed.PERIOD, period=6, window=512),
        "gpt_oss": Rule(windowed=Windowed.PERIOD, period=2, window=128),
        "llama4_text": Rule(windowed=Windowed.PERIOD, period=4, window=8192),
    }
)
"""By ``model_type`` of the language part. Where ``layer_types`` is there, it says which."""

LINEAR = frozenset(("qwen3_next", "qwen3_5_text", "qwen3_5_moe_text"))
"""All but every fourth layer keep a state, of a gated delta rule."""

CHUNKED = frozenset(("llama4_text",))

KINDS: Mapping[str, Keeps] = MappingProxyType(
    {
        "full_attention": Keeps.EVERYTHING,
        "sliding_attention": Keeps.WINDOW,
        "chunked_attention": Keeps.CHUNK,
        "linear_attention": Keeps.STATE,
        "mamba": Keeps.STATE,
        "conv": Keeps.STATE,
        "moe": Keeps.NOTHING,
        "mlp": Keeps.NOTHING,
    }
)
"""By the word in ``layer_types``."""

DTYPES: Mapping[str, TensorType] = MappingProxyType(
    {
        "float16": TensorType.F16,
        "half": TensorType.F16,
        "bfloat16": TensorType.BF16,
        "float32": TensorType.F32,
        "float": TensorType.F32,
    }
)


ROTATIONS = ("rope_parameters", "rope_scaling")
"""The newer name first."""

STRETCHED = frozenset(("dynamic", "linear", "yarn"))
"""Kinds of rotations whose factor is not in ``max_position_embeddings`` already."""


def torch_shape_of(model: Model) -> TorchShape:
    """Read the model's dimensions.

    Raises ``ModelFormatError`` where one is missing, or has a value that no model has.
    """
    config = Config(model)
    count = config.number("num_hidden_layers", "n_layer", "num_layers")
    hidden = config.number("hidden_size", "n_embd", "d_model")
    heads = config.number("num_attention_heads", "n_head")
    if not 0 < count <= MOST_LAYERS or not hidden or not heads:
        raise ModelFormatError(
            f"config.json: {count} layers of {hidden} with {heads} heads, which no model has;"
            " download the model again"
        )
    architecture = config.architecture
    head = config.number("head_dim", absent=hidden // heads) or hidden // heads
    latent = config.number("kv_lora_rank", absent=0) > 0
    rotary = config.number("qk_rope_head_dim", absent=0) if latent else 0
    return TorchShape(
        architecture=architecture,
        known=architecture in RULES,
        dtype=DTYPES.get(config.text("dtype", "torch_dtype"), TensorType.BF16),
        layers=read_layers(architecture, config, count, heads, head),
        hidden=hidden,
        heads=heads,
        feed_forward=read_feed_forward(config, hidden),
        vocabulary=config.number("vocab_size", absent=0),
        most_tokens=read_most_tokens(config),
        rotary_elements=rotary or int(head * min(config.real("partial_rotary_factor", 1.0), 1.0)),
        tied=config.truth("tie_word_embeddings", absent=False),
        latent=latent,
    )


def read_most_tokens(config: Config) -> int:
    """Return how long a sequence the model takes: stretched, where its rotations are.

    https://github.com/vllm-project/vllm/blob/main/vllm/config/model.py
    (``_get_and_verify_max_len``)
    """
    tokens = config.number("max_position_embeddings", "n_positions", "seq_length", absent=0)
    part = next((name for name in ROTATIONS if config.text(*rotation_type(name))), ROTATIONS[0])
    kind = config.text(*rotation_type(part))
    if kind not in STRETCHED or "gemma3" in config.architecture:
        return tokens
    first = config.number(f"{part}.original_max_position_embeddings", absent=tokens)
    stretched = (first if kind == "yarn" else tokens) * config.real(f"{part}.factor", 1.0)
    return max(tokens, int(stretched) if 0 < stretched < 2**31 else 0)


def rotation_type(part: str) -> tuple[str, str]:
    """Return the names under which the rotations' kind is told."""
    return f"{part}.rope_type", f"{part}.type"


def read_feed_forward(config: Config, hidden: int) -> int:
    """Return the width of the widest layer in between, for one token."""
    dense = config.number("intermediate_size", "n_inner", "ffn_dim", absent=4 * hidden)
    expert = config.number("moe_intermediate_size", "expert_intermediate_size", absent=0)
    used = config.number("num_experts_per_tok", "num_experts_per_token", "top_k", absent=0)
    shared = config.number("n_shared_experts", "num_shared_experts", absent=0)
    return max(dense, (used + shared) * (expert or dense)) if used else dense


def read_layers(
    architecture: str, config: Config, count: int, heads: int, head: int
) -> tuple[TorchLayer, ...]:
    """Read every layer."""
    full = whole_layer(config, heads, head)
    window = config.number("sliding_window", "attention_chunk_size", absent=0)
    rule = rule_of(architecture)
    if rule.window and not window:
        window = rule.window
    if architecture in CHUNKED:
        window = config.number("attention_chunk_size", absent=rule.window)
    state = replace(
        full, keeps=Keeps.STATE, kv_heads=0, state_elements=delta_state_elements(config)
    )
    layers = {
        Keeps.EVERYTHING: wide_layer(architecture, config, full),
        Keeps.WINDOW: replace(full, keeps=Keeps.WINDOW, window=window),
        Keeps.CHUNK: replace(full, keeps=Keeps.CHUNK, window=window),
        Keeps.STATE: state,
        Keeps.NOTHING: replace(full, keeps=Keeps.NOTHING, kv_heads=0),
    }
    kinds = read_kinds(architecture, config, count, window)
    own = count - min(config.number("num_kv_shared_layers", absent=0), count)
    return tuple(layers[kind if at < own else Keeps.NOTHING] for at, kind in enumerate(kinds))


def rule_of(architecture: str) -> Rule:
    """Return an architecture's rule. Of one that is not known, no layer is taken to forget."""
    return RULES.get(architecture, _NEVER)


def whole_layer(config: Config, heads: int, head: int) -> TorchLayer:
    """Return a layer that keeps everything."""
    rank = config.number("kv_lora_rank", absent=0)
    if rank:
        row = rank + config.number("qk_rope_head_dim", absent=0)
        return TorchLayer(keeps=Keeps.EVERYTHING, kv_heads=1, key_dim=row, value_dim=0)
    kv_heads = config.number("num_key_value_heads", absent=heads) or heads
    return TorchLayer(keeps=Keeps.EVERYTHING, kv_heads=kv_heads, key_dim=head, value_dim=head)


def wide_layer(architecture: str, config: Config, full: TorchLayer) -> TorchLayer:
    """Return a layer without window where those are of other sizes than the ones with it."""
    if architecture != "gemma4_text":
        return full
    head = config.number("global_head_dim", absent=full.key_dim) or full.key_dim
    heads = config.number("num_global_key_value_heads", absent=0) or full.kv_heads
    return replace(full, kv_heads=heads, key_dim=head, value_dim=head)


def delta_state_elements(config: Config) -> int:
    """Return the elements of a gated delta rule's state, and of its convolution's."""
    keys = config.number("linear_num_key_heads", absent=0)
    key = config.number("linear_key_head_dim", absent=0)
    values = config.number("linear_num_value_heads", absent=0)
    value = config.number("linear_value_head_dim", absent=0)
    taps = max(config.number("linear_conv_kernel_dim", absent=1), 1)
    return values * key * value + (2 * keys * key + values * value) * (taps - 1)


def read_kinds(architecture: str, config: Config, count: int, window: int) -> list[Keeps]:
    """Return what each layer keeps, by ``layer_types`` or by the rule."""
    words = config.words("layer_types", count)
    if words is not None:
        kinds = [KINDS.get(word, Keeps.EVERYTHING) for word in words]
        return [Keeps.EVERYTHING if kind is Keeps.WINDOW and not window else kind for kind in kinds]
    if architecture in LINEAR:
        every = config.number("full_attention_interval", absent=4) or 1
        return [Keeps.STATE if (at + 1) % every else Keeps.EVERYTHING for at in range(count)]
    kind = Keeps.CHUNK if architecture in CHUNKED else Keeps.WINDOW
    chosen = windowed_layers(architecture, config, count)
    return [kind if has and window else Keeps.EVERYTHING for has in chosen]


def windowed_layers(architecture: str, config: Config, count: int) -> list[bool]:
    """Return which layers have the window, by the architecture's rule."""
    rule = rule_of(architecture)
    if rule.windowed is Windowed.PERIOD:
        period = config.number("sliding_window_pattern", absent=rule.period) or 1
        return [bool((at + 1) % period) for at in range(count)]
    if rule.windowed is Windowed.FROM:
        uses = config.truth("use_sliding_window", absent=False)
        first = config.number("max_window_layers", absent=28)
        return [uses and at >= first for at in range(count)]
    return [rule.windowed is Windowed.ALL] * count
