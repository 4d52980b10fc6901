"""A model's dimensions, as llama.cpp takes them from the header.

What a key that is not there means is llama.cpp's rule, not GGUF's:
https://github.com/ggml-org/llama.cpp/blob/master/src/llama-model.cpp (``load_hparams``) for
all architectures, src/models/ (``load_arch_hparams``) for each.
"""

from dataclasses import dataclass

from vramline.errors import ModelFormatError
from vramline.fit.keys import Keys
from vramline.fit.layers import RECURRENT, WINDOWS, LayerShape, Window, read_layers, read_window
from vramline.fit.model import ArraySummary, Model
from vramline.fit.widest import Widest, widest_of

MOST_LAYERS = 512
"""llama.cpp refuses more (``LLAMA_MAX_LAYERS``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateShape:
    """What a layer with a state space, a delta rule or a short convolution is made of.

    Attributes:
        wkv_head: RWKV's head size; zero for the others.
        shortconv: How many tokens LFM2's convolution sees; zero for the others.
        shift_length: Elements kept of the last tokens, one sequence and layer.
        state_length: Elements of the state itself, likewise.
    """

    conv: int
    inner: int
    state: int
    time_step_rank: int
    groups: int
    wkv_head: int
    shortconv: int
    shift_length: int
    state_length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A whole model.

    Attributes:
        known: This architecture's rules are known. The figures of any other follow the keys
            that most share, and may be wrong where it has rules of its own.
        layers: Those that are loaded by default: without ``nextn_layers``, which only
            predict further tokens.
        window_cells: The sliding window; zero where no layer has one.
        mla: Keys and values are kept as one latent row.
        tied: The output layer uses the token embedding.
        embedding_length_out: Of what the model gives for embeddings.
    """

    architecture: str
    known: bool
    context_length: int
    embedding_length: int
    embedding_length_out: int
    embedding_length_per_layer: int
    vocabulary: int
    layers: tuple[LayerShape, ...]
    nextn_layers: tuple[LayerShape, ...]
    widest: Widest
    experts: int
    dense_layers: int
    window: Window
    window_cells: int
    mla: bool
    mla_head_dim_k: int
    mla_head_dim_v: int
    kv_lora_rank: int
    rope_sections: tuple[int, ...]
    causal: bool
    tied: bool
    states: StateShape


PLAIN = frozenset(
    {
        "bert",
        "command-r",
        "deepseek2",
        "glm4moe",
        "granite",
        "granitemoe",
        "llama",
        "olmoe",
        "phi3",
        "qwen2",
        "qwen3",
        "qwen3moe",
        "smollm3",
        "starcoder2",
    }
)
"""Architectures with neither rule."""

KNOWN = PLAIN | WINDOWS.keys() | RECURRENT.keys()


def shape_of(model: Model) -> Shape:
    """Read the model's dimensions.

    Raises ``ModelFormatError`` where a key is missing without which llama.cpp does not load
    the model, or has a value that no model has.
    """
    keys = Keys(model)
    count = keys.number("block_count")
    nextn = keys.number("nextn_predict_layers", 0)
    if not 0 < count <= MOST_LAYERS or nextn > count:
        raise ModelFormatError(
            f"{model.architecture}.block_count is {count}, {nextn} of them to predict further"
            f" tokens: llama.cpp takes 1 to {MOST_LAYERS}; download or convert the model again"
        )
    layers = read_layers(model.architecture, keys, count, nextn)
    embedding = keys.number("embedding_length")
    mla = (keys.number("attention.key_length_mla", 0), keys.number("attention.value_length_mla", 0))
    window = read_window(model.architecture, keys)
    return Shape(
        architecture=model.architecture,
        known=model.architecture in KNOWN,
        context_length=keys.number("context_length", 0),
        embedding_length=embedding,
        embedding_length_out=keys.number("embedding_length_out", embedding) or embedding,
        embedding_length_per_layer=keys.number("embedding_length_per_layer_input", 0),
        vocabulary=read_vocabulary(model, keys),
        layers=layers[: count - nextn],
        nextn_layers=layers[count - nextn :],
        widest=widest_of(layers[: count - nextn]),
        experts=keys.number("expert_count", 0),
        dense_layers=keys.number("leading_dense_block_count", 0),
        window=window[0],
        window_cells=window[1],
        mla=all(mla),
        mla_head_dim_k=mla[0],
        mla_head_dim_v=mla[1],
        kv_lora_rank=keys.number("attention.kv_lora_rank", 0),
        rope_sections=keys.array("rope.dimension_sections") or (),
        causal=keys.truth("attention.causal", absent=True),
        tied=all(tensor.name != "output.weight" for tensor in model.tensors),
        states=read_states(keys, embedding),
    )


def read_vocabulary(model: Model, keys: Keys) -> int:
    """How many tokens there are: by the tokeniser, the key, or the embedding's rows."""
    tokens = model.metadata.get("tokenizer.ggml.tokens")
    if isinstance(tokens, ArraySummary | tuple):
        return tokens.count if isinstance(tokens, ArraySummary) else len(tokens)
    shapes = {tensor.name: tensor.shape for tensor in model.tensors}
    rows = shapes.get("output.weight") or shapes.get("token_embd.weight") or (0,)
    return keys.number("vocab_size", rows[-1])


def read_states(keys: Keys, embedding: int) -> StateShape:
    """Read what recurrent layers are made of."""
    conv, inner = keys.number("ssm.conv_kernel", 0), keys.number("ssm.inner_size", 0)
    state, groups = keys.number("ssm.state_size", 0), keys.number("ssm.group_count", 0)
    wkv, shortconv = keys.number("wkv.head_size", 0), keys.number("shortconv.l_cache", 0)
    shift, length = max(conv - 1, 0) * (inner + 2 * groups * state), state * inner
    if wkv:
        shift, length = keys.number("token_shift_count", 2) * embedding, embedding * wkv
    elif shortconv:
        shift = embedding * (shortconv - 1)
    return StateShape(
        conv=conv,
        inner=inner,
        state=state,
        time_step_rank=keys.number("ssm.time_step_rank", 0),
        groups=groups,
        wkv_head=wkv,
        shortconv=shortconv,
        shift_length=shift,
        state_length=length,
    )
