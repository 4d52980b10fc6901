"""The same models as llmfit knows them, by its own command where it is installed.

It is told the context, the quantisation and the type of keys and values; it has no option for
the batches, nor for the number of sequences. https://github.com/AlexsJones/llmfit
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.fit.truth import Run
from vramline.units import GIB

PROGRAM = "llmfit"
UNITS = {"its GB as 2^30 bytes": GIB, "its GB as 10^9 bytes": 10**9}
"""It adds up both."""

KV_QUANTS = {"f16": "fp16"}
"""What it calls differently."""

NAMES: Mapping[str, str] = {
    "r-deepseek-v2-lite": "deepseek-ai/DeepSeek-V2-Lite",
    "r-gemma2-2b": "google/gemma-2-2b-it",
    "r-gemma3-4b": "google/gemma-3-4b-it",
    "r-gpt-oss-20b": "openai/gpt-oss-20b",
    "r-granite4-h-tiny": "ibm-granite/granite-4.0-h-tiny",
    "r-llama3.1-8b": "meta-llama/Llama-3.1-8B",
    "r-llama3.2-1b": "meta-llama/Llama-3.2-1B",
    "r-mamba-130m": "state-spaces/mamba-130m-hf",
    "r-mixtral-8x7b": "mistralai/Mixtral-8x7B-Instruct-v0.1",
    "r-phi3-mini": "microsoft/Phi-3-mini-4k-instruct",
    "r-phi4-14b": "microsoft/phi-4",
    "r-qwen2.5-7b": "Qwen/Qwen2.5-7B-Instruct",
    "r-qwen3-30b-a3b": "Qwen/Qwen3-30B-A3B",
    "r-qwen3-4b": "Qwen/Qwen3-4B",
    "r-qwen3-8b": "Qwen/Qwen3-8B",
    "r-qwen3.6-27b": "Qwen/Qwen3.6-27B",
    "r-smollm2-135m": "HuggingFaceTB/SmolLM2-135M",
}
"""The models of the first table that have a public one's shape, by its name there."""


def find() -> str | None:
    """Return where the command is, beside this Python or on the path."""
    return shutil.which(PROGRAM, path=str(Path(sys.executable).parent)) or shutil.which(PROGRAM)


def is_asked(run: Run) -> bool:
    """Whether it knows the model, and can be told how the run was: wholly on one device."""
    settings = run.settings
    every = settings.device_layers >= int(run.columns["n_layer"]) + 1
    plain = settings.host_expert_layers == 0 and settings.cache_on_devices
    return run.model in NAMES and len(settings.devices) == 1 and every and plain


def ask(program: str, run: Run) -> float:
    """Return how much VRAM it wants for the model, in what it calls GB.

    Raises ``RuntimeError`` where it does not answer.
    """
    arguments = (
        *("plan", NAMES[run.model], "--json", "--no-dashboard"),
        *("--context", str(run.settings.context_tokens), "--quant", run.columns["quant"]),
        *("--kv-quant", KV_QUANTS.get(run.columns["set_ctk"], run.columns["set_ctk"])),
    )
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{PROGRAM} {' '.join(arguments)}: {done.stderr.strip()}")
    paths = {each["path"]: each for each in json.loads(done.stdout)["run_paths"]}
    return float(paths["gpu"]["minimum"]["vram_gb"])
