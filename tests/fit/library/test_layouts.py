"""Layouts of models that were found, whatever their format."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.fit.library.disk import gguf, put, see
from tests.fit.truth import header_path, runs
from tests.fit.truth import layout_of as truth
from vramline.errors import ModelFormatError
from vramline.fit.items import Layout
from vramline.fit.library import Source, header_of, layout_of
from vramline.fit.need import need_of

RUN = runs()[0]


def test_a_layout_comes_without_the_file(tmp_path: Path) -> None:
    path = put(tmp_path / "models" / "a.gguf", header_path(RUN.header).read_bytes())
    (found,) = see(Source.FOLDER, tmp_path / "models").models
    path.unlink()

    layout = layout_of(found)

    assert isinstance(layout, Layout)
    assert need_of(layout, RUN.settings) == need_of(truth(RUN.header), RUN.settings)
    assert "bytes are missing" in (found.problem or "")


@pytest.mark.parametrize("packed", [b"", b"garbage", b"={}"])
def test_what_is_not_kept_is_read_from_the_file(tmp_path: Path, packed: bytes) -> None:
    put(tmp_path / "models" / "a.gguf", header_path(RUN.header).read_bytes())
    (found,) = see(Source.FOLDER, tmp_path / "models").models
    bare = replace(found, packed=packed)

    layout = layout_of(bare)

    assert isinstance(layout, Layout)
    assert need_of(layout, RUN.settings) == need_of(truth(RUN.header), RUN.settings)
    assert header_of(bare) == header_of(found)


def test_a_header_without_what_is_needed_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "models" / "a.gguf", gguf())
    (found,) = see(Source.FOLDER, tmp_path / "models").models

    with pytest.raises(ModelFormatError, match="embedding_length is missing"):
        layout_of(found)
