"""What vLLM and transformers need for a safetensors model."""

from vramline.fit.torch.layout import TorchLayout, lay_out_torch
from vramline.fit.torch.need import torch_need, vllm_capacity
from vramline.fit.torch.vllm import Capacity

__all__ = ["Capacity", "TorchLayout", "lay_out_torch", "torch_need", "vllm_capacity"]
