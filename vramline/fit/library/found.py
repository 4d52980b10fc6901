"""What was found: models, and places that could not be looked into."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Source(StrEnum):
    """Whose folder a model lies in."""

    OLLAMA = "ollama"
    LM_STUDIO = "lm-studio"
    HUGGING_FACE = "hugging-face"
    LLAMA_CPP = "llama.cpp"
    FOLDER = "folder"
    """One that the user named."""


class FileFormat(StrEnum):
    """How the weights are stored."""

    GGUF = "gguf"
    SAFETENSORS = "safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundModel:
    """One model on this disk. ``None`` is what its files do not say.

    Attributes:
        name: As the program that owns the folder calls it, in one line: ``llama3.2:3b``,
            ``publisher/repository/file``.
        other_names: Of the same files, from the same place or another.
        path: What to open: the file, the first of several, or the folder.
        paths: All of its files.
        projector_path: What turns its images or sound into tokens, if it has one.
        adapter_paths: What is laid over its weights when it is run by this name.
        file_bytes: Of the weights.
        quantisation: As people call it: ``Q4_K_M``.
        parameters: All elements of all tensors.
        architecture: As the header has it; empty where it could not be read.
        context_length: What it was trained on, in tokens.
        problem: Why it cannot be run as it lies there.
        packed: Its header; ``header_of`` makes a ``Model`` of it.
    """

    name: str
    source: Source
    format: FileFormat
    path: str
    paths: tuple[str, ...]
    file_bytes: int
    other_names: tuple[str, ...] = ()
    projector_path: str | None = None
    projector_bytes: int = 0
    adapter_paths: tuple[str, ...] = ()
    quantisation: str | None = None
    parameters: int | None = None
    architecture: str = ""
    context_length: int | None = None
    modified_at: datetime | None = None
    problem: str | None = None
    packed: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadablePlace:
    """A folder or a list of models that is there, and was not looked into whole."""

    path: str
    source: Source
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """What is on this disk.

    Attributes:
        models: By name.
        read_count: How many headers were read for it, as they were new or had changed.
    """

    models: tuple[FoundModel, ...]
    unreadable: tuple[UnreadablePlace, ...] = ()
    read_count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What looks like a model by its name. Its header decides.

    Attributes:
        paths: What the header is in, and all else that says whether it has changed.
        hint: A name that may have the quantisation in it.
        problem: Why it need not be opened.
    """

    name: str
    source: Source
    format: FileFormat
    path: str
    paths: tuple[str, ...]
    projector_path: str | None = None
    adapter_paths: tuple[str, ...] = ()
    hint: str = ""
    problem: str | None = None
