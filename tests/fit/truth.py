"""What llama.cpp allocates: 419 runs of 32 models, 630 of 51 others, and the models' headers.

``tests/data/fit/SOURCES.md`` says how it was measured.
"""

import atexit
import csv
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from vramline.fit.files import read_model
from vramline.fit.items import Layout
from vramline.fit.model import Model
from vramline.fit.need import lay_out
from vramline.fit.settings import ALL_LAYERS, Device, FlashAttention, Settings
from vramline.fit.tensor_types import TensorType

DATA = Path(__file__).parents[1] / "data" / "fit"

DEVICES = (Device(uid="dev0"), Device(uid="dev1"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One row of the table: a model, how it was loaded, and what that took."""

    row: int
    tier: str
    model: str
    header: str
    architecture: str
    settings: Settings
    columns: Mapping[str, str]

    def bytes(self, *columns: str) -> int:
        """Return the sum of some columns."""
        return sum(int(self.columns[column]) for column in columns)


@cache
def runs() -> tuple[Run, ...]:
    """Every row of the table."""
    return read_runs("llamacpp_memory.csv")


@cache
def further_runs() -> tuple[Run, ...]:
    """Every row of the table of further architectures, which has fewer columns."""
    return read_runs("architectures.csv")


def read_runs(name: str) -> tuple[Run, ...]:
    """Read one table."""
    with (DATA / name).open(newline="", encoding="utf-8") as file:
        return tuple(run_of(columns) for columns in csv.DictReader(file))


def run_of(columns: Mapping[str, str]) -> Run:
    """Read one row."""
    return Run(
        row=int(columns["row"]),
        tier=columns["tier"],
        model=columns["model"],
        header=columns["header"],
        architecture=columns["arch"],
        settings=settings_of(columns),
        columns=columns,
    )


def settings_of(columns: Mapping[str, str]) -> Settings:
    """Read how the model of one row was loaded. The columns are the library's parameters."""
    number = {key: int(value) for key, value in columns.items() if value.isdecimal()}
    return Settings(
        context_tokens=number["set_n_ctx"],
        batch_tokens=number["set_n_batch"],
        micro_batch_tokens=number["set_n_ubatch"],
        outputs=number["set_n_outputs_max"] or None,
        sequences=number["set_n_seq"],
        unified_cache=bool(number["set_kv_unified"]),
        full_window_cache=bool(number["set_swa_full"]),
        embeddings=bool(number["set_embeddings"]),
        flash_attention=FlashAttention(columns["set_fa"]),
        cache_type_k=TensorType(columns["set_ctk"].upper()),
        cache_type_v=TensorType(columns["set_ctv"].upper()),
        map_file=columns["set_load"] == "mmap",
        repack=bool(number["set_repack"]),
        devices=DEVICES[: number["set_devices"]],
        device_layers=number["set_ngl"],
        host_expert_layers=ALL_LAYERS if number["set_cpu_moe"] else 0,
        cache_on_devices=bool(number["set_offload_kqv"]),
    )


@cache
def headers() -> Path:
    """Return the folder that the headers were unpacked into, until the tests end."""
    folder = tempfile.TemporaryDirectory(prefix="vramline-headers-")
    atexit.register(folder.cleanup)
    for name in ("headers.tar.xz", "architectures.tar.xz"):
        with tarfile.open(DATA / name) as archive:
            archive.extractall(folder.name, filter="data")
    return Path(folder.name)


def header_path(header: str) -> Path:
    """Return where the header of that name lies."""
    return next(headers().rglob(header))


@cache
def model_of(header: str) -> Model:
    """Read the header of that name."""
    return read_model(header_path(header), weights=False)


@cache
def layout_of(header: str) -> Layout:
    """Lay out the model of that header."""
    return lay_out(model_of(header))


def architectures() -> tuple[str, ...]:
    """Name every architecture in the table."""
    return tuple(sorted({run.architecture for run in runs()}))


def runs_of(architecture: str) -> tuple[Run, ...]:
    """Return the runs of one architecture's models."""
    return tuple(run for run in runs() if run.architecture == architecture)
