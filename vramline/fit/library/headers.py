"""What is kept of one candidate: what people want to know of it, and its header."""

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from types import NoneType

from vramline.errors import ModelFormatError
from vramline.fit.files import read_model
from vramline.fit.header_file import reason_of, shown_path
from vramline.fit.library.found import Candidate, FoundModel
from vramline.fit.library.kept import Kept, file_key, load
from vramline.fit.library.labels import context_length_of, parameters_of, quantisation_of
from vramline.fit.library.packed import pack, unpack
from vramline.fit.model import Model

PACKED_BYTES_MOST = 2**20
"""A longer header is read from its file each time. One of 210,000 tensors packs into less."""

NO_MODELS = frozenset(("adapter", "mmproj", "imatrix", "vocab", "controlvector"))
"""``general.type`` of what is laid over a model, goes before it, or is about it."""

NO_ARCHITECTURES = frozenset(("clip", "controlvector", "imatrix"))

TEXT, COUNT = (str, NoneType), (int, NoneType)
KINDS: tuple[type | tuple[type, ...], ...] = (bool, str, TEXT, COUNT, COUNT, int, TEXT)
"""Of what is written of a summary."""

Files = tuple[os.stat_result, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What is kept of a header, and shown.

    Attributes:
        is_model: Whether it can be run by itself.
        passing: What went wrong may not go wrong again: it is not kept.
    """

    is_model: bool = True
    architecture: str = ""
    quantisation: str | None = None
    parameters: int | None = None
    context_length: int | None = None
    file_bytes: int = 0
    problem: str | None = None
    passing: bool = False
    packed: bytes = b""


def stat_all(candidate: Candidate) -> Files | str:
    """Ask for the candidate's files, or return why one cannot be had."""
    path = candidate.path
    try:
        found = []
        for path in candidate.paths:
            found.append(os.stat(path))
        return tuple(found)
    except FileNotFoundError:
        return f"{shown_path(path)}: there is no such file"
    except (OSError, ValueError) as error:
        return f"{shown_path(path)}: {reason_of(error)}"


def kept_summary(candidate: Candidate, files: Files, kept: Kept) -> Summary | None:
    """Return what is kept of the candidate's header, unless its files have changed."""
    content = kept.get(candidate.path, file_key(files))
    try:
        return None if content is None else parse(content)
    except ValueError:
        return None


def keep_summary(candidate: Candidate, files: Files, summary: Summary, kept: Kept) -> None:
    """Keep what was read, unless it went wrong in passing."""
    if not summary.passing:
        kept.put(candidate.path, file_key(files), write(summary))


def read(candidate: Candidate) -> Summary:
    """Read the candidate's header."""
    try:
        model = read_model(candidate.path, weights=False)
    except ModelFormatError as error:
        passing = isinstance(error.__cause__, OSError | EOFError)
        return Summary(problem=str(error), passing=passing)
    if not is_model(model):
        return Summary(is_model=False)
    problem = None
    if model.missing_bytes:
        problem = f"the file is not whole: {model.missing_bytes:,} bytes are missing; get it again"
    packed = pack(model)
    return Summary(
        architecture=model.architecture,
        quantisation=quantisation_of(model, candidate.hint, candidate.format),
        parameters=parameters_of(model, candidate.format),
        context_length=context_length_of(model, candidate.format),
        file_bytes=model.file_bytes,
        problem=problem,
        packed=packed if len(packed) <= PACKED_BYTES_MOST else b"",
    )


def is_model(model: Model) -> bool:
    """Tell whether this can be run by itself. A vocabulary alone has no tensors."""
    return (
        bool(model.tensors)
        and model.architecture not in NO_ARCHITECTURES
        and model.metadata.get("general.type") not in NO_MODELS
    )


def write(summary: Summary) -> bytes:
    """Write a summary down: a line of JSON, and the header behind it."""
    fields = [
        summary.is_model,
        summary.architecture,
        summary.quantisation,
        summary.parameters,
        summary.context_length,
        summary.file_bytes,
        summary.problem,
    ]
    return json.dumps(fields).encode() + b"\n" + summary.packed


def parse(content: bytes, *, passing: bool = False) -> Summary:
    """Return the summary that was written. Raises ``ValueError``."""
    line, _, packed = content.partition(b"\n")
    fields = load(line)
    if not isinstance(fields, list) or len(fields) != len(KINDS):
        raise ValueError("this is no summary")
    if not all(isinstance(field, kind) for field, kind in zip(fields, KINDS, strict=True)):
        raise ValueError("this is the summary of another version")
    is_one, architecture, quantisation, parameters, context, size, problem = fields
    return Summary(
        is_model=is_one,
        architecture=architecture,
        quantisation=quantisation,
        parameters=parameters,
        context_length=context,
        file_bytes=size,
        problem=problem,
        passing=passing,
        packed=packed,
    )


def model_found(candidate: Candidate, files: Files, summary: Summary) -> FoundModel:
    """Return the candidate as a model."""
    projector_bytes, problem = 0, candidate.problem or summary.problem
    if candidate.projector_path:
        try:
            projector_bytes = os.path.getsize(candidate.projector_path)
        except OSError as error:
            problem = problem or f"{shown_path(candidate.projector_path)}: {error.strerror}"
    return FoundModel(
        name=shown_path(candidate.name),
        source=candidate.source,
        format=candidate.format,
        path=candidate.path,
        paths=candidate.paths,
        projector_path=candidate.projector_path,
        projector_bytes=projector_bytes,
        adapter_paths=candidate.adapter_paths,
        file_bytes=summary.file_bytes or sum(each.st_size for each in files),
        quantisation=summary.quantisation,
        parameters=summary.parameters,
        architecture=summary.architecture,
        context_length=summary.context_length,
        modified_at=_time(max((each.st_mtime for each in files), default=None)),
        problem=problem,
        packed=summary.packed,
    )


def header_of(found: FoundModel) -> Model:
    """Return the model's header, without opening a file where it is kept.

    Raises ``ModelFormatError`` where it has to be read and cannot be.
    """
    if found.packed:
        try:
            return unpack(found.packed)
        except ValueError:
            pass
    return read_model(found.path, weights=False)


def _time(seconds: float | None) -> datetime | None:
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):  # a file's time may be any number
        return None
