"""Small models with random weights, that llama.cpp loads and computes with."""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.fit.files import F32, I32, GgufFile, Typed
from vramline.fit.model import Tensor
from vramline.fit.tensor_types import TensorType

TOKENS_BEFORE = ("<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)))
KINDS_BEFORE = (2, 3, 3, *[6] * 256)
NORMAL = 1
"""What kind of token: 2 is the unknown one, 3 a control, 6 a byte."""

SCALE = b"\x00\x18"
"""Of a quantised block, as float16: about 0.002, so that no sum overflows."""

SMALL = bytes(byte & 0x83 | 0x20 for byte in range(256))
"""For the upper byte of a float16: its sign and two digits stay, and it is about 0.01."""

NEGATIVE = bytes(byte & 0x03 | 0xBC for byte in range(256))
"""For the upper byte of a float32: between -2 and -0.007, as no state may grow without end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """One made-up model.

    Attributes:
        keys: Of its architecture, without the name before them.
        blocks: The tensors of a layer: their shapes, by name.
        others: Those outside the layers; the last of them comes last in the file.
        kind: Of the matrices. What has one dimension is float32.
        merges: The vocabulary is one of merged pairs, as GPT-2's.
        single: Tensors of more dimensions that llama.cpp wants as float32 too.
    """

    name: str
    architecture: str
    layers: int
    words: int
    keys: Mapping[str, object]
    blocks: Mapping[str, tuple[int, ...]]
    others: Mapping[str, tuple[int, ...]]
    kind: TensorType
    merges: bool = False
    single: frozenset[str] = field(default_factory=frozenset)

    def tensors(self) -> tuple[Tensor, ...]:
        """Return every tensor, in the order of the file."""
        *first, last = [(name, shape, name) for name, shape in self.others.items()]
        blocks = [
            (f"blk.{layer}.{name}", shape, name)
            for layer in range(self.layers)
            for name, shape in self.blocks.items()
        ]
        return tuple(
            Tensor(name=name, shape=shape, type=self._type(shape, kind))
            for name, shape, kind in (*first, *blocks, last)
        )

    def _type(self, shape: Sequence[int], name: str) -> TensorType:
        plain = len(shape) == 1 or name in self.single
        return TensorType.F32 if plain else self.kind

    def metadata(self) -> dict[str, object]:
        """Return every key."""
        own = {f"{self.architecture}.{key}": value for key, value in self.keys.items()}
        return {
            "general.architecture": self.architecture,
            f"{self.architecture}.block_count": self.layers,
            **own,
            **self._vocabulary(),
        }

    def _vocabulary(self) -> dict[str, object]:
        count = self.words - len(TOKENS_BEFORE)
        words = [f"{number:06x}" for number in range(count)]
        kinds = [*KINDS_BEFORE, *[NORMAL] * count]
        keys: dict[str, object] = {
            "tokenizer.ggml.model": "gpt2" if self.merges else "llama",
            "tokenizer.ggml.tokens": [*TOKENS_BEFORE, *words],
            "tokenizer.ggml.token_type": Typed(
                kind=9, value=[Typed(kind=I32, value=kind) for kind in kinds]
            ),
            "tokenizer.ggml.bos_token_id": 1,
            "tokenizer.ggml.eos_token_id": 2,
        }
        if self.merges:
            pairs = [f"{word[:3]} {word[3:]}" for word in words]
            return keys | {"tokenizer.ggml.pre": "qwen2", "tokenizer.ggml.merges": pairs}
        scores = [Typed(kind=F32, value=-float(number)) for number in range(self.words)]
        return keys | {"tokenizer.ggml.scores": Typed(kind=9, value=scores)}


def write(made: Made, path: Path) -> Path:
    """Write one with random weights, the same every time."""
    source = random.Random(made.name)
    tensors = made.tensors()
    file = GgufFile(metadata=made.metadata(), tensors=tensors, weights=False)
    with path.open("wb") as out:
        size = out.write(file.to_bytes())
        out.write(bytes(-size % file.alignment))
        for tensor in tensors:
            content = weights(source, tensor)
            out.write(content + bytes(-len(content) % file.alignment))
    return path


def weights(source: random.Random, tensor: Tensor) -> bytes:
    """Make up small numbers."""
    count = tensor.byte_count
    if tensor.type is TensorType.F32:
        content = bytearray(count)
        content[3::4] = source.randbytes(count // 4).translate(NEGATIVE)
        return bytes(content)
    if tensor.type is TensorType.F16:
        content = bytearray(source.randbytes(count))
        content[1::2] = content[1::2].translate(SMALL)
        return bytes(content)
    block = tensor.type.bytes_per_block - len(SCALE)
    blocks = (SCALE + source.randbytes(block) for _ in range(count // tensor.type.bytes_per_block))
    return b"".join(blocks)


def attention(width: int, heads: int, kv_heads: int, head: int) -> dict[str, tuple[int, ...]]:
    """Return the tensors of attention."""
    return {
        "attn_norm.weight": (width,),
        "attn_q.weight": (width, heads * head),
        "attn_k.weight": (width, kv_heads * head),
        "attn_v.weight": (width, kv_heads * head),
        "attn_output.weight": (heads * head, width),
    }


def feed_forward(width: int, inner: int) -> dict[str, tuple[int, ...]]:
    """Return the tensors of a gated feed-forward layer."""
    return {
        "ffn_norm.weight": (width,),
        "ffn_gate.weight": (width, inner),
        "ffn_up.weight": (width, inner),
        "ffn_down.weight": (inner, width),
    }


def keys(width: int, heads: int, kv_heads: int, head: int, inner: int) -> dict[str, object]:
    """Return the keys that most architectures share."""
    return {
        "context_length": 32768,
        "embedding_length": width,
        "feed_forward_length": inner,
        "attention.head_count": heads,
        "attention.head_count_kv": kv_heads,
        "attention.key_length": head,
        "attention.value_length": head,
        "attention.layer_norm_rms_epsilon": 1e-5,
        "rope.dimension_count": head,
    }


LLAMA = Made(
    name="llama",
    architecture="llama",
    layers=4,
    words=32000,
    keys=keys(512, 8, 2, 64, 1536),
    blocks=attention(512, 8, 2, 64) | feed_forward(512, 1536),
    others={
        "token_embd.weight": (512, 32000),
        "output.weight": (512, 32000),
        "output_norm.weight": (512,),
    },
    kind=TensorType.Q4_0,
)
"""With weights that are rearranged for the processor, and an output layer of its own."""

QWEN3 = Made(
    name="qwen3",
    architecture="qwen3",
    layers=3,
    words=151936,
    keys=keys(256, 4, 2, 128, 768),
    blocks=attention(256, 4, 2, 128)
    | feed_forward(256, 768)
    | {"attn_q_norm.weight": (128,), "attn_k_norm.weight": (128,)},
    others={"token_embd.weight": (256, 151936), "output_norm.weight": (256,)},
    kind=TensorType.Q8_0,
    merges=True,
)
"""With a large vocabulary of merged pairs, which the tokeniser takes memory for."""

GEMMA3 = Made(
    name="gemma3",
    architecture="gemma3",
    layers=7,
    words=8192,
    keys=keys(384, 4, 1, 96, 1024) | {"attention.sliding_window": 512},
    blocks=attention(384, 4, 1, 96)
    | feed_forward(384, 1024)
    | {
        "attn_q_norm.weight": (96,),
        "attn_k_norm.weight": (96,),
        "post_attention_norm.weight": (384,),
        "post_ffw_norm.weight": (384,),
    },
    others={"token_embd.weight": (384, 8192), "output_norm.weight": (384,)},
    kind=TensorType.F16,
)
"""With sliding windows in six of its seven layers."""

MAMBA = Made(
    name="mamba",
    architecture="mamba",
    layers=4,
    words=4096,
    keys={
        "context_length": 32768,
        "embedding_length": 256,
        "feed_forward_length": 0,
        "attention.head_count": 0,
        "attention.layer_norm_rms_epsilon": 1e-5,
        "ssm.conv_kernel": 4,
        "ssm.inner_size": 512,
        "ssm.state_size": 16,
        "ssm.time_step_rank": 16,
    },
    blocks={
        "attn_norm.weight": (256,),
        "ssm_in.weight": (256, 1024),
        "ssm_conv1d.weight": (4, 512),
        "ssm_conv1d.bias": (512,),
        "ssm_x.weight": (512, 48),
        "ssm_dt.weight": (16, 512),
        "ssm_dt.bias": (512,),
        "ssm_a": (16, 512),
        "ssm_d": (512,),
        "ssm_out.weight": (512, 256),
    },
    others={"token_embd.weight": (256, 4096), "output_norm.weight": (256,)},
    kind=TensorType.F16,
    single=frozenset(("ssm_conv1d.weight", "ssm_a")),
)
"""With recurrent states in place of keys and values."""

EVERY: Iterable[Made] = (LLAMA, QWEN3, GEMMA3, MAMBA)
