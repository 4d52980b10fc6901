"""The options that say one setting each, with llama.cpp's names."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vramline.cli.fit.words_taken import (
    PROCESSORS,
    attention,
    cache_type,
    count,
    layers,
    mebibytes,
    processor,
    share_of_memory,
    tokens,
)
from vramline.fit.settings import ALL_LAYERS


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An option that says one setting.

    Attributes:
        field: The setting.
        take: What makes its value of the word behind it. ``None``: it has no word, and *value*
            is what it says.
    """

    flags: tuple[str, ...]
    field: str
    help: str
    take: Callable[[str], Any] | None = None
    value: Any = None
    shown: str = "N"


SETTINGS = (
    Row(
        flags=("-c", "--ctx-size"),
        field="context_tokens",
        take=tokens,
        help="the context, of all slots together (0: what the model was trained on)",
    ),
    Row(
        flags=("-np", "--parallel"),
        field="sequences",
        take=count,
        help="slots: how many conversations at once",
    ),
    Row(
        flags=("-b", "--batch-size"),
        field="batch_tokens",
        take=count,
        help="the most tokens of prompts that are taken at once",
    ),
    Row(
        flags=("-ub", "--ubatch-size"),
        field="micro_batch_tokens",
        take=count,
        help="the most tokens that are computed at once",
    ),
    Row(
        flags=("-fa", "--flash-attn"),
        field="flash_attention",
        take=attention,
        shown="WHEN",
        help="flash attention: on, off or auto",
    ),
    Row(
        flags=("-ctk", "--cache-type-k"),
        field="cache_type_k",
        take=cache_type,
        shown="TYPE",
        help="type of the cache's keys: f16, q8_0, q4_0...",
    ),
    Row(
        flags=("-ctv", "--cache-type-v"),
        field="cache_type_v",
        take=cache_type,
        shown="TYPE",
        help="and of its values",
    ),
    Row(
        flags=("-kvu", "--kv-unified"),
        field="unified_cache",
        value=True,
        help="one cache for all slots",
    ),
    Row(
        flags=("-no-kvu", "--no-kv-unified"),
        field="unified_cache",
        value=False,
        help="a cache a slot",
    ),
    Row(
        flags=("--swa-full",),
        field="full_window_cache",
        value=True,
        help="sliding windows keep every cell",
    ),
    Row(
        flags=("--no-swa-full",),
        field="full_window_cache",
        value=False,
        help="sliding windows keep only their own cells",
    ),
    Row(
        flags=("-ngl", "--gpu-layers", "--n-gpu-layers"),
        field="device_layers",
        take=layers,
        help="layers on the devices: a number, all or auto",
    ),
    Row(
        flags=("-ncmoe", "--n-cpu-moe"),
        field="host_expert_layers",
        take=count,
        help="layers whose experts stay on the host",
    ),
    Row(
        flags=("-cmoe", "--cpu-moe"),
        field="host_expert_layers",
        value=ALL_LAYERS,
        help="all experts on the host",
    ),
    Row(
        flags=("-nkvo", "--no-kv-offload"),
        field="cache_on_devices",
        value=False,
        help="the cache stays on the host",
    ),
    Row(
        flags=("--no-mmap",),
        field="map_file",
        value=False,
        help="weights are copied into memory, not mapped from the file",
    ),
    Row(
        flags=("-nr", "--no-repack"),
        field="repack",
        value=False,
        help="weights are not rearranged for the processor",
    ),
    Row(
        flags=("--processor",),
        field="processor",
        take=processor,
        shown="KIND",
        help=f"the host's: {', '.join(PROCESSORS)} (not said: this one's)",
    ),
    Row(
        flags=("--embeddings", "--embedding"),
        field="embeddings",
        value=True,
        help="load it for embeddings",
    ),
    Row(
        flags=("--outputs",),
        field="outputs",
        take=count,
        help="tokens of a batch that may ask for logits (n_outputs_max)",
    ),
    Row(
        flags=("-cram", "--cache-ram"),
        field="prompt_cache_bytes",
        take=mebibytes,
        shown="MIB",
        help="what llama-server keeps of earlier prompts",
    ),
    Row(
        flags=("--gpu-memory-utilization",),
        field="memory_share",
        take=share_of_memory,
        shown="SHARE",
        help="vLLM's share of each device",
    ),
)
"""Every setting that can be said."""
