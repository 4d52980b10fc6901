from pathlib import Path

import pytest

from tests.fit.files import GgufFile, entry, safetensors_bytes, write
from vramline.errors import ModelFormatError
from vramline.fit.files import read_model
from vramline.fit.model import Model, Tensor
from vramline.fit.tensor_types import TensorType

GGUF = GgufFile(metadata={"general.architecture": "clip"}).to_bytes()
SAFETENSORS = safetensors_bytes({"x": entry("F32", [2], 0, 8)})
X = Tensor(name="x", type=TensorType.F32, shape=(2,))
WITH_WEIGHTS = GgufFile(
    metadata={"general.architecture": "llama"},
    tensors=(Tensor(name="x", type=TensorType.F32, shape=(8,)),),
).to_bytes()


@pytest.mark.parametrize("name", ["model.gguf", "sha256-abc", "model.safetensors"])
def test_a_gguf_file_is_known_by_how_it_begins(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, GGUF)

    assert (
        read_model(path)
        == read_model(str(path))
        == Model(
            architecture="clip",
            metadata={"general.architecture": "clip"},
            tensors=(),
            file_bytes=len(GGUF),
        )
    )


@pytest.mark.parametrize("name", ["model.safetensors", "sha256-abc", ""])
def test_so_is_a_safetensors_file(tmp_path: Path, name: str) -> None:
    write(tmp_path / (name or "one.safetensors"), SAFETENSORS)

    assert read_model(tmp_path / name) == Model(
        architecture="", metadata={}, tensors=(X,), file_bytes=len(SAFETENSORS)
    )


@pytest.mark.parametrize("content", [WITH_WEIGHTS, SAFETENSORS], ids=["GGUF", "safetensors"])
def test_weights_need_not_be_there_where_they_are_not_asked_for(
    tmp_path: Path, content: bytes
) -> None:
    path = write(tmp_path / "x", content[:-8])

    with pytest.raises(ModelFormatError):
        read_model(path)
    assert read_model(path, weights=False).missing_bytes == 8


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "the file is empty"),
        (b"GG", "the file ends at 2"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"PK\x03\x04" + bytes(100), "PyTorch's format or an archive"),
        (b"\x80\x02}q\x00." + bytes(100), "a Python pickle"),
        (b"tjgg\x03\x00\x00\x00" + bytes(100), "the format before GGUF"),
        (bytes(100), "neither a GGUF file nor one of safetensors"),
        (b"any text that is long enough", "neither a GGUF file nor one of safetensors"),
    ],
    ids=lambda value: str(value)[:16],
)
def test_what_is_no_model_is_told_for_what_it_is(
    tmp_path: Path, content: bytes, expected: str
) -> None:
    path = write(tmp_path / "model.gguf", content)

    with pytest.raises(ModelFormatError) as caught:
        read_model(path)

    assert str(caught.value).startswith(f"{path}")
    assert expected in str(caught.value)


@pytest.mark.parametrize("name", ["absent", "nul\0"])
def test_what_cannot_be_read_is_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelFormatError, match="cannot be read: "):
        read_model(tmp_path / name)
