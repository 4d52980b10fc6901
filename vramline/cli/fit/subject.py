"""The models that are asked about, each with what a page says of it."""

import os
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from vramline.errors import ModelFormatError
from vramline.fit.estimate import lay_out_any
from vramline.fit.files import read_model
from vramline.fit.items import Layout
from vramline.fit.library import (
    NAME,
    VERSION,
    FileFormat,
    FoundModel,
    Library,
    Place,
    Progress,
    Source,
    find_model,
    header_of,
    layout_of,
    look,
    places_of,
)
from vramline.fit.library.labels import (
    IN_A_NAME,
    context_length_of,
    parameters_of,
    quantisation_of,
)
from vramline.fit.model import Model
from vramline.fit.plan.candidates import Candidate, candidate_of, facts
from vramline.fit.torch import TorchLayout
from vramline.store import open_store


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A model that is asked about.

    Attributes:
        projector_bytes: Of what turns images or sound into tokens, where that is loaded too.
        missing_bytes: By how much its files are shorter than their header says.
    """

    name: str
    path: str
    source: Source
    format: FileFormat
    layout: Layout | TorchLayout
    architecture: str
    quantisation: str | None = None
    parameters: int | None = None
    trained_tokens: int | None = None
    file_bytes: int = 0
    missing_bytes: int = 0
    projector_path: str | None = None
    projector_bytes: int = 0

    def candidate(self) -> Candidate:
        """Return it as one that a plan can choose."""
        if not self.parameters or not isinstance(self.layout, Layout):
            return candidate_of(self.name, self.layout, path=self.path, family=self.family)
        # What candidate_of would add up of all tensors is known: of a thousand models that is
        # most of the time.
        return Candidate(
            name=self.name,
            layout=self.layout,
            path=self.path,
            family=self.family,
            parameters=self.parameters,
            bits=8 * (self.file_bytes + self.missing_bytes) / self.parameters,
            **facts(self.layout),
        )

    @property
    def makes_text(self) -> bool:
        """Tell a model that writes from one that only reads, as those for embeddings."""
        return not isinstance(self.layout, Layout) or self.layout.shape.causal

    @property
    def family(self) -> str:
        """Return what it shares with the same model at other quantisations: its name without."""
        bare = re.sub(r"[^a-z0-9]+", "-", IN_A_NAME.sub("", self.name.casefold())).strip("-")
        return f"{self.source}/{bare}/{self.architecture}"


def subject_of_path(path: str) -> Subject:
    """Return the model in a file or a folder. Raises ``ModelFormatError``."""
    model = read_model(path, weights=False)
    form = FileFormat.GGUF if is_gguf(model) else FileFormat.SAFETENSORS
    name = os.path.basename(os.path.abspath(path))
    stem = re.sub(r"(?:-[0-9]{5}-of-[0-9]{5})?\.(?:gguf|safetensors)$", "", name)
    return Subject(
        name=stem or name,
        path=os.path.abspath(path),
        source=Source.FOLDER,
        format=form,
        layout=lay_out_any(model),
        architecture=model.architecture,
        quantisation=quantisation_of(model, stem, form),
        parameters=parameters_of(model, form),
        trained_tokens=context_length_of(model, form),
        file_bytes=model.file_bytes,
        missing_bytes=model.missing_bytes,
    )


def is_gguf(model: Model) -> bool:
    """Tell GGUF's keys from those of ``config.json``."""
    return f"{model.architecture}.block_count" in model.metadata


def subject_of(found: FoundModel) -> Subject:
    """Return a model of the library. Raises ``ModelFormatError``."""
    if found.format is FileFormat.GGUF:
        layout: Layout | TorchLayout = layout_of(found)
    else:
        layout = lay_out_any(header_of(found))
    return Subject(
        name=found.name,
        path=found.path,
        source=found.source,
        format=found.format,
        layout=layout,
        architecture=found.architecture,
        quantisation=found.quantisation,
        parameters=found.parameters,
        trained_tokens=found.context_length,
        file_bytes=found.file_bytes,
        projector_path=found.projector_path,
        projector_bytes=found.projector_bytes,
    )


def subjects_of(models: Iterable[FoundModel]) -> tuple[list[Subject], list[tuple[FoundModel, str]]]:
    """Return the models that can be asked about, and why the others cannot."""
    subjects, broken = [], []
    for found in models:
        try:
            if found.problem:
                raise ModelFormatError(found.problem)
            subjects.append(subject_of(found))
        except ModelFormatError as error:
            broken.append((found, str(error)))
    return subjects, broken


def places(folders: Iterable[str] = ()) -> tuple[Place, ...]:
    """Return where models may lie on this disk."""
    return places_of(os.environ, sys.platform, folders)


def library(where: Iterable[Place]) -> Library:
    """Return the models on this disk; tell on a terminal how far it is."""
    store = open_store(NAME, version=VERSION, environ=os.environ, platform=sys.platform)
    if sys.stderr is None or not sys.stderr.isatty():
        return look(where, store)
    lines: list[int] = [0]
    try:
        return look(where, store, progress=_teller(sys.stderr.write, lines))
    finally:
        sys.stderr.write(f"\r{' ' * lines[0]}\r" if lines[0] else "")
        sys.stderr.flush()


def _teller(write: Callable[[str], object], longest: list[int]) -> Progress:
    def tell(done: int, count: int, name: str) -> None:
        del name
        line = f"reading headers: {done} of {count}"
        longest[0] = max(longest[0], len(line))
        write(f"\r{line}")

    return tell


def named(name: str) -> tuple[Subject, list[Subject]]:
    """Return the model that *name* means, and those of its family.

    Raises ``ModelFormatError`` and ``ModelNameError``.
    """
    if os.path.exists(name):
        return subject_of_path(name), []
    found = library(places())
    subject = subject_of(find_model(found.models, name))
    others, _ = subjects_of(
        each for each in found.models if each.architecture == subject.architecture
    )
    return subject, [
        each for each in others if each.family == subject.family and each.path != subject.path
    ]
