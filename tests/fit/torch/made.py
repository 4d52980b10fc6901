"""Public models, as their ``config.json`` and their tensors' shapes have them."""

from vramline.fit.model import Model, Tensor, Value
from vramline.fit.tensor_types import TensorType

LLAMA_8B: dict[str, Value] = {
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "torch_dtype": "bfloat16",
    "tie_word_embeddings": False,
    "rope_scaling.factor": 8.0,
    "rope_scaling.original_max_position_embeddings": 8192,
}
"""https://huggingface.co/meta-llama/Llama-3.1-8B-Instruct: 8,030,261,248 parameters."""

QWEN3_CODER_30B: dict[str, Value] = {
    "model_type": "qwen3_moe",
    "hidden_size": 2048,
    "head_dim": 128,
    "intermediate_size": 6144,
    "moe_intermediate_size": 768,
    "num_experts": 128,
    "num_experts_per_tok": 8,
    "num_hidden_layers": 48,
    "num_attention_heads": 32,
    "num_key_value_heads": 4,
    "vocab_size": 151936,
    "max_position_embeddings": 262144,
    "use_sliding_window": False,
    "torch_dtype": "bfloat16",
}
"""https://huggingface.co/Qwen/Qwen3-Coder-30B-A3B-Instruct-FP8"""

GEMMA3_27B: dict[str, Value] = {
    "model_type": "gemma3",
    "text_config.model_type": "gemma3_text",
    "text_config.hidden_size": 5376,
    "text_config.head_dim": 128,
    "text_config.intermediate_size": 21504,
    "text_config.num_hidden_layers": 62,
    "text_config.num_attention_heads": 32,
    "text_config.num_key_value_heads": 16,
    "text_config.sliding_window": 1024,
    "text_config.vocab_size": 262208,
    "text_config.max_position_embeddings": 131072,
    "torch_dtype": "bfloat16",
}
"""https://huggingface.co/google/gemma-3-27b-it"""

DEEPSEEK_V3: dict[str, Value] = {
    "model_type": "deepseek_v3",
    "hidden_size": 7168,
    "intermediate_size": 18432,
    "moe_intermediate_size": 2048,
    "n_shared_experts": 1,
    "num_experts_per_tok": 8,
    "num_hidden_layers": 61,
    "num_attention_heads": 128,
    "num_key_value_heads": 128,
    "kv_lora_rank": 512,
    "qk_rope_head_dim": 64,
    "qk_nope_head_dim": 128,
    "v_head_dim": 128,
    "vocab_size": 129280,
    "max_position_embeddings": 163840,
    "torch_dtype": "bfloat16",
}
"""https://huggingface.co/deepseek-ai/DeepSeek-V3"""


def tensor(name: str, *shape: int, kind: TensorType = TensorType.BF16) -> Tensor:
    """Make one."""
    return Tensor(name=name, type=kind, shape=shape)


def llama_tensors() -> tuple[Tensor, ...]:
    """Return Llama 3.1 8B's tensors."""
    found = [
        tensor("model.embed_tokens.weight", 4096, 128256),
        tensor("lm_head.weight", 4096, 128256),
        tensor("model.norm.weight", 4096),
    ]
    shapes = {
        "self_attn.q_proj": (4096, 4096),
        "self_attn.k_proj": (4096, 1024),
        "self_attn.v_proj": (4096, 1024),
        "self_attn.o_proj": (4096, 4096),
        "mlp.gate_proj": (4096, 14336),
        "mlp.up_proj": (4096, 14336),
        "mlp.down_proj": (14336, 4096),
        "input_layernorm": (4096,),
        "post_attention_layernorm": (4096,),
    }
    for layer in range(32):
        for name, shape in shapes.items():
            found.append(tensor(f"model.layers.{layer}.{name}.weight", *shape))
    return tuple(found)


def torch_model(config: dict[str, Value], tensors: tuple[Tensor, ...] = ()) -> Model:
    """Make a model of that ``config.json``."""
    name = config.get("model_type", "")
    return Model(
        architecture=name if isinstance(name, str) else "",
        metadata=config,
        tensors=tensors,
        file_bytes=0,
    )
