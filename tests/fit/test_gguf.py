import csv
import os
import struct
import sys
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fit.files import ARRAY, BOOL, F64, I64, U8, U16, U64, GgufFile, Typed, write
from vramline.errors import ModelFormatError
from vramline.fit.gguf import read_gguf
from vramline.fit.gguf.metadata import KEYS_MOST
from vramline.fit.gguf.strings import RUN, SHORT_BYTES_MOST
from vramline.fit.gguf.tensors import TENSORS_MOST
from vramline.fit.header_file import CHUNK_BYTES, HEADER_BYTES_MOST
from vramline.fit.model import ENTRIES_KEPT, TEXT_BYTES_KEPT, ArraySummary, Model, Tensor, Value
from vramline.fit.tensor_types import GGUF_TYPES, REMOVED_GGUF_TYPES, TensorType

DATA = Path(__file__).parent.parent / "data" / "fit"
HUGE = (2**32, 2**62, 2**63, 2**64 - 1)

EMBEDDING = Tensor(name="token_embd.weight", type=TensorType.Q8_0, shape=(64, 5))
NORM = Tensor(name="output_norm.weight", type=TensorType.F32, shape=(64,))
OUTPUT = Tensor(name="output.weight", type=TensorType.Q4_0, shape=(64, 5))
NAMED: dict[str, Any] = {"general.architecture": "llama"}
SMALL = GgufFile(
    metadata={**NAMED, "llama.block_count": 1, "tokenizer.ggml.tokens": ["a", "bc", ""]},
    tensors=(EMBEDDING, NORM),
)
SMALL_METADATA: dict[str, Value] = {
    "general.architecture": "llama",
    "llama.block_count": 1,
    "tokenizer.ggml.tokens": ArraySummary(type="string", count=3),
}


def read(folder: Path, file: GgufFile | bytes, *, weights: bool = True) -> Model:
    content = file if isinstance(file, bytes) else file.to_bytes()
    return read_gguf(write(folder / "model.gguf", content), weights=weights)


def refusal(folder: Path, file: GgufFile | bytes, *, weights: bool = True) -> str:
    with pytest.raises(ModelFormatError) as caught:
        read(folder, file, weights=weights)
    text = str(caught.value)
    assert text.startswith(f"{folder / 'model.gguf'}")
    assert "\n" not in text
    return text


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_header_is_read_in_either_version_and_byte_order(
    tmp_path: Path, version: int, order: str
) -> None:
    file = replace(SMALL, version=version, order=order)

    assert read(tmp_path, file) == Model(
        architecture="llama",
        metadata=SMALL_METADATA,
        tensors=(EMBEDDING, NORM),
        file_bytes=len(file.to_bytes()),
    )


@pytest.mark.parametrize("order", ["<", ">"])
def test_every_type_of_metadata_is_read(tmp_path: Path, order: str) -> None:
    numbers = {
        f"type {kind}": Typed(kind=kind, value=value)
        for kind, value in {0: 255, 1: -128, 2: 65535, 3: -32768, 4: 2**32 - 1, 5: -(2**31)}.items()
    }
    large = {
        "uint64": Typed(kind=U64, value=2**64 - 1),
        "int64": Typed(kind=I64, value=-(2**63)),
        "float64": Typed(kind=F64, value=0.1),
        "float32": 0.5,
        "bool": True,
        "string": "§",
        "of bool": [True, False],
        "of float32": [0.5, 1.5],
        "of uint16": [Typed(kind=U16, value=7)],
        "of nothing": [],
    }

    model = read(tmp_path, GgufFile(metadata={**NAMED, **numbers, **large}, order=order))

    assert model.metadata == {
        "general.architecture": "llama",
        "type 0": 255,
        "type 1": -128,
        "type 2": 65535,
        "type 3": -32768,
        "type 4": 2**32 - 1,
        "type 5": -(2**31),
        "uint64": 2**64 - 1,
        "int64": -(2**63),
        "float64": 0.1,
        "float32": 0.5,
        "bool": True,
        "string": "§",
        "of bool": (True, False),
        "of float32": (0.5, 1.5),
        "of uint16": (7,),
        "of nothing": (),
    }
    assert model.metadata["bool"] is True


def test_what_is_long_is_summarised(tmp_path: Path) -> None:
    byte = Typed(kind=U8, value=1)
    metadata = {
        **NAMED,
        "kept": [byte] * ENTRIES_KEPT,
        "long": [byte] * (ENTRIES_KEPT + 1),
        "kept text": "x" * TEXT_BYTES_KEPT,
        "long text": "x" * (TEXT_BYTES_KEPT + 1),
        "longest text": "x" * (3 * CHUNK_BYTES),
        "after it": 1,
    }

    assert read(tmp_path, GgufFile(metadata=metadata)).metadata == {
        "general.architecture": "llama",
        "kept": (1,) * ENTRIES_KEPT,
        "long": ArraySummary(type="uint8", count=ENTRIES_KEPT + 1),
        "kept text": "x" * TEXT_BYTES_KEPT,
        "long text": ArraySummary(type="character", count=TEXT_BYTES_KEPT + 1),
        "longest text": ArraySummary(type="character", count=3 * CHUNK_BYTES),
        "after it": 1,
    }


@pytest.mark.parametrize("kind", GGUF_TYPES.values())
def test_every_type_of_tensor_is_read(tmp_path: Path, kind: TensorType) -> None:
    tensor = Tensor(name="x", type=kind, shape=(512, 3))

    assert read(tmp_path, GgufFile(metadata=NAMED, tensors=(tensor,))).tensors == (tensor,)


def test_tensors_have_up_to_four_dimensions(tmp_path: Path) -> None:
    shapes = ((), (7,), (7, 6), (7, 6, 5), (7, 6, 5, 4), (0, 3))
    tensors = tuple(
        Tensor(name=str(number), type=TensorType.F32, shape=shape)
        for number, shape in enumerate(shapes)
    )

    assert read(tmp_path, GgufFile(metadata=NAMED, tensors=tensors)).tensors == tensors


def test_a_projector_and_a_vocabulary_alone_are_models_too(tmp_path: Path) -> None:
    projector = GgufFile(metadata={"general.architecture": "clip"}, tensors=(NORM,))
    vocabulary = GgufFile(metadata={**NAMED, "tokens": ["a"]}, weights=False)

    assert read(tmp_path, projector).architecture == "clip"
    assert read(tmp_path, vocabulary).tensors == ()


@pytest.mark.parametrize("order", ["<", ">"])
@given(
    strings=st.lists(
        st.one_of(
            st.binary(max_size=8),
            st.integers(0, 3 * SHORT_BYTES_MOST).map(bytes),
            st.just(b"\0\0\0\0\0\0\0\1" * 3),
            st.just(b"x" * 300),
        ),
        max_size=30,
    ),
    times=st.integers(1, 2 * RUN),
)
@settings(
    deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_strings_are_skipped_over(
    tmp_path: Path, order: str, strings: list[bytes], times: int
) -> None:
    metadata = {**NAMED, "strings": strings * times, "after": 7}

    model = read(tmp_path, GgufFile(metadata=metadata, order=order))

    kind = "string" if strings else None
    expected = ArraySummary(type="string", count=len(strings) * times) if kind else ()
    assert model.metadata == {**NAMED, "strings": expected, "after": 7}


@pytest.mark.parametrize("length", [0, 1, 9, 40, 41, 255, 256, 70_000])
def test_a_vocabulary_of_several_chunks_is_skipped_over(tmp_path: Path, length: int) -> None:
    count = 3 * CHUNK_BYTES // (length + 8)
    file = GgufFile(metadata={**NAMED, "tokens": ["x" * length] * count}, tensors=(NORM,))

    model = read(tmp_path, file)

    assert model.metadata["tokens"] == ArraySummary(type="string", count=count)
    assert model.tensors == (NORM,)


def test_alignment_is_that_of_the_file(tmp_path: Path) -> None:
    short = replace(NORM, shape=(8,))
    file = GgufFile(
        metadata={**NAMED, "general.alignment": 128}, tensors=(short, OUTPUT), alignment=128
    )

    assert read(tmp_path, file).missing_bytes == 0
    assert "not begin on a multiple of 128" in refusal(tmp_path, replace(file, alignment=32))


@pytest.mark.parametrize(
    "alignment", [0, 3, "32", Typed(kind=BOOL, value=True), Typed(kind=ARRAY, value=[32])]
)
def test_an_alignment_that_is_none_is_refused(tmp_path: Path, alignment: object) -> None:
    file = GgufFile(metadata={**NAMED, "general.alignment": alignment})

    assert "general.alignment is " in refusal(tmp_path, file)


# What is not whole


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    whole = SMALL.to_bytes()

    for length in range(len(whole) - 32):  # behind the last tensor's data there is padding
        refusal(tmp_path, whole[:length])


def test_a_header_alone_is_enough_where_the_weights_are_not_asked_for(tmp_path: Path) -> None:
    whole, header = SMALL.to_bytes(), replace(SMALL, weights=False).to_bytes()

    for length in range(len(header)):
        refusal(tmp_path, header[:length], weights=False)
    for length in range(len(header), len(whole) + 1):
        model = read(tmp_path, whole[:length], weights=False)
        assert model.tensors == (EMBEDDING, NORM)
        assert (model.file_bytes, model.missing_bytes) == (length, len(whole) - length)


def test_a_file_that_ends_early_says_how_much_is_missing(tmp_path: Path) -> None:
    whole = SMALL.to_bytes()

    text = refusal(tmp_path, whole[:-100])

    assert text.endswith(
        f"the tensors go on to byte {len(whole)}, and the file ends at {len(whole) - 100}:"
        " 100 bytes are missing. Get the file again from where it came from."
    )


# What is not true


@pytest.mark.parametrize("count", [TENSORS_MOST + 1, *HUGE])
@pytest.mark.parametrize("field", ["tensor_count", "key_count"])
def test_a_count_beyond_any_model_is_refused(tmp_path: Path, field: str, count: int) -> None:
    assert KEYS_MOST == TENSORS_MOST
    file = GgufFile(
        metadata=NAMED,
        tensor_count=count if field == "tensor_count" else None,
        key_count=count if field == "key_count" else None,
    )

    assert f"{count:,} " in refusal(tmp_path, file)


@pytest.mark.parametrize("count", [3, 1000, TENSORS_MOST])
def test_a_count_beyond_the_file_is_refused(tmp_path: Path, count: int) -> None:
    file = replace(SMALL, weights=False)

    assert "and the file ends at" in refusal(tmp_path, replace(file, tensor_count=count))
    refusal(tmp_path, replace(file, key_count=count + 1))


def with_length(order: str, before: bytes, length: int) -> bytes:
    """Return a file with one key, which goes on with a length that nothing follows."""
    head = GgufFile(key_count=1, order=order, weights=False).to_bytes()
    return head + before + struct.pack(f"{order}Q", length)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("length", [10**10, *HUGE])
def test_a_length_beyond_the_file_is_refused(tmp_path: Path, order: str, length: int) -> None:
    key = GgufFile(order=order).string("k")
    string = key + struct.pack(f"{order}I", 8)
    strings = key + struct.pack(f"{order}IIQ", 9, 8, 2)
    numbers, bytes_, texts = (key + struct.pack(f"{order}II", 9, kind) for kind in (10, 0, 8))

    for before in (b"", string, strings, numbers, bytes_, texts):
        for after in (b"", bytes(1000)):
            text = refusal(tmp_path, with_length(order, before, length) + after)
            assert "and the file ends at" in text or f"{length:,} bytes of text" in text


def test_a_length_is_not_read_in_the_other_byte_order(tmp_path: Path) -> None:
    five_in_the_other = struct.pack("<Q", 5) + b"token"
    content = with_length(">", GgufFile(order=">").string("k") + struct.pack(">II", 9, 8), 2 * RUN)

    assert "and the file ends at" in refusal(tmp_path, content + five_in_the_other * 2 * RUN)


def test_ten_gigabytes_of_text_are_not_read(tmp_path: Path) -> None:
    content = with_length("<", GgufFile().string("k") + struct.pack("<I", 8), 10**10)
    path = write(tmp_path / "model.gguf", content)
    os.truncate(path, 10**10 + 1000)  # sparse: they are there, and take no room

    with pytest.raises(ModelFormatError, match=f"{HEADER_BYTES_MOST:,} is the most that is read"):
        read_gguf(path)


def test_two_keys_or_tensors_of_one_name_are_refused(tmp_path: Path) -> None:
    once = GgufFile(metadata=NAMED, weights=False).to_bytes()
    twice = once[:16] + struct.pack("<Q", 2) + once[24:] + once[24:]

    assert "general.architecture is there twice" in refusal(tmp_path, twice)
    tensors = GgufFile(metadata=NAMED, tensors=(NORM, NORM))
    assert f"tensor {NORM.name} is there twice" in refusal(tmp_path, tensors)


@pytest.mark.parametrize("offset", [1, 31, 33, 2**63, 2**64 - 32, 2**64 - 1, 10**6 * 32])
def test_data_that_begins_where_it_cannot_is_refused(tmp_path: Path, offset: int) -> None:
    file = replace(SMALL, offsets={NORM.name: offset})

    refusal(tmp_path, file)


@pytest.mark.parametrize("offset", [0, 32, 320])
def test_tensors_that_share_bytes_are_refused(tmp_path: Path, offset: int) -> None:
    file = replace(SMALL, offsets={NORM.name: offset})

    assert "overlaps" in refusal(tmp_path, file, weights=False)


def test_data_may_lie_in_any_order(tmp_path: Path) -> None:
    file = replace(SMALL, offsets={EMBEDDING.name: 256, NORM.name: 0})

    assert read(tmp_path, file, weights=False).tensors == (EMBEDDING, NORM)


@pytest.mark.parametrize("number", [*REMOVED_GGUF_TYPES, 43, 2**31, 2**32 - 1])
def test_a_type_that_is_not_known_is_refused(tmp_path: Path, number: int) -> None:
    file = replace(SMALL, type_numbers={NORM.name: number})

    name = REMOVED_GGUF_TYPES.get(number, f"{number:,}")
    assert f"tensor {NORM.name} is of type {name}," in refusal(tmp_path, file)


@pytest.mark.parametrize("kind", [13, 255, 2**32 - 1])
def test_a_value_of_an_unknown_type_is_refused(tmp_path: Path, kind: int) -> None:
    head, key = GgufFile(key_count=1, weights=False).to_bytes(), GgufFile().string("k")

    alone = head + key + struct.pack("<I", kind) + bytes(64)
    inside = head + key + struct.pack("<IIQ", ARRAY, kind, 1) + bytes(64)

    assert f"type {kind}," in refusal(tmp_path, alone)
    assert f"type {kind}," in refusal(tmp_path, inside)


def test_arrays_of_arrays_are_refused_however_deep(tmp_path: Path) -> None:
    head, key = GgufFile(key_count=1, weights=False).to_bytes(), GgufFile().string("k")
    deep = struct.pack("<IQ", ARRAY, 1) * 100_000

    text = refusal(tmp_path, head + key + struct.pack("<I", ARRAY) + deep)

    assert "in the value of k: an array of arrays" in text


@pytest.mark.parametrize(
    "shape", [(2**63,), (2**64 - 1,), (2**32, 2**32), (2**62, 2**62, 2**62, 2**62)]
)
def test_more_elements_than_can_be_counted_are_refused(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    file = GgufFile(metadata=NAMED, tensors=(replace(NORM, shape=shape),), weights=False)

    assert "more elements than can be counted" in refusal(tmp_path, file, weights=False)


@pytest.mark.parametrize("shape", [(2**40,), (2**20, 2**20), (2**62,)])
def test_more_elements_than_the_file_has_are_refused(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    file = GgufFile(metadata=NAMED, tensors=(replace(NORM, shape=shape),), weights=False)

    assert "are missing" in refusal(tmp_path, file)


@pytest.mark.parametrize("count", [5, 2**32 - 1])
def test_more_than_four_dimensions_are_refused(tmp_path: Path, count: int) -> None:
    content = replace(SMALL, tensors=(NORM,)).to_bytes()
    name = NORM.name.encode()
    at = content.index(name) + len(name)

    text = refusal(tmp_path, content[:at] + struct.pack("<I", count) + content[at + 4 :])

    assert f"{count:,} dimensions" in text


def test_a_row_that_is_no_whole_number_of_blocks_is_refused(tmp_path: Path) -> None:
    tensor = Tensor(name="x", type=TensorType.Q4_K, shape=(128, 2))

    assert "blocks of 256" in refusal(tmp_path, GgufFile(metadata=NAMED, tensors=(tensor,)))


def test_an_endless_name_is_cut_short_in_the_message(tmp_path: Path) -> None:
    tensor = Tensor(name="x\n" * 500, type=TensorType.Q4_K, shape=(128, 2))

    text = refusal(tmp_path, GgufFile(metadata=NAMED, tensors=(tensor,)))

    assert len(text) < len(str(tmp_path)) + 500


@pytest.mark.parametrize("length", [1025, 10**6])
def test_a_tensors_name_beyond_any_is_refused(tmp_path: Path, length: int) -> None:
    tensor = replace(NORM, name="x" * length)

    assert "bytes of text" in refusal(tmp_path, GgufFile(metadata=NAMED, tensors=(tensor,)))


def test_more_short_values_than_any_model_has_are_refused(tmp_path: Path) -> None:
    metadata = {f"{number}": [1] * ENTRIES_KEPT for number in range(200)}

    assert "bytes of short values" in refusal(tmp_path, GgufFile(metadata=metadata))


@pytest.mark.parametrize("name", [None, "", 7, ["llama"], "\x1b[2J", "llama\n"])
def test_a_model_without_an_architecture_is_refused(tmp_path: Path, name: object) -> None:
    metadata = {} if name is None else {"general.architecture": name}

    assert "names no architecture" in refusal(tmp_path, GgufFile(metadata=metadata))


@pytest.mark.parametrize("key", ["", "k" * 65_536])
def test_a_key_without_a_name_or_of_endless_length_is_refused(tmp_path: Path, key: str) -> None:
    refusal(tmp_path, GgufFile(metadata={**NAMED, key: 1}))


@pytest.mark.parametrize("version", [0, 1, 4, 2**31])
def test_another_version_is_refused(tmp_path: Path, version: int) -> None:
    assert "where 2 and 3 are read" in refusal(tmp_path, replace(SMALL, version=version))


def test_a_path_that_is_no_file_is_refused(tmp_path: Path) -> None:
    for name in ("absent", ".", "nul\0", "line\nbreak"):
        with pytest.raises(ModelFormatError) as caught:
            read_gguf(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("there are no such files on this system")
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(ModelFormatError, match="pipe: cannot be read: this is not a file"):
        read_gguf(tmp_path / "pipe")


# In parts


def part(number: int, count: int, tensors: tuple[Tensor, ...], **more: object) -> GgufFile:
    metadata = {
        "split.no": Typed(kind=U16, value=number),
        "split.count": Typed(kind=U16, value=count),
        "split.tensors.count": 3,
    }
    first = SMALL.metadata if number == 0 else {}
    return GgufFile(metadata={**first, **metadata, **more}, tensors=tensors)


PARTS = (part(0, 3, (EMBEDDING,)), part(1, 3, (NORM,)), part(2, 3, (OUTPUT,)))


def part_path(folder: Path, number: int, count: int = 3) -> Path:
    return folder / f"m-{number + 1:05}-of-{count:05}.gguf"


def write_parts(folder: Path, parts: tuple[GgufFile, ...] = PARTS) -> list[Path]:
    return [
        write(part_path(folder, number, len(parts)), each.to_bytes())
        for number, each in enumerate(parts)
    ]


def parts_refusal(path: Path) -> str:
    with pytest.raises(ModelFormatError) as caught:
        read_gguf(path)
    return str(caught.value)


@pytest.mark.parametrize("number", range(3))
def test_any_part_leads_to_the_whole_model(tmp_path: Path, number: int) -> None:
    paths = write_parts(tmp_path)

    assert read_gguf(paths[number]) == Model(
        architecture="llama",
        metadata={
            **SMALL_METADATA,
            "split.no": 0,
            "split.count": 3,
            "split.tensors.count": 3,
        },
        tensors=(EMBEDDING, NORM, OUTPUT),
        file_bytes=sum(each.stat().st_size for each in paths),
    )


def test_the_headers_of_parts_are_enough_where_weights_are_not_asked_for(
    tmp_path: Path,
) -> None:
    whole = sum(len(each.to_bytes()) for each in PARTS)
    paths = write_parts(tmp_path, tuple(replace(each, weights=False) for each in PARTS))

    model = read_gguf(paths[1], weights=False)

    assert 0 <= whole - (model.file_bytes + model.missing_bytes) < 32  # the last one's padding
    assert model.tensors == (EMBEDDING, NORM, OUTPUT)


def test_a_model_in_one_part_may_have_any_name(tmp_path: Path) -> None:
    file = part(0, 1, (EMBEDDING, NORM, OUTPUT))

    assert read(tmp_path, file).tensors == (EMBEDDING, NORM, OUTPUT)


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    paths = write_parts(tmp_path)
    paths[1].unlink()

    for path in (paths[0], paths[2]):
        text = parts_refusal(path)
        assert "1 of 3 parts are not beside it, the first m-00002-of-00003.gguf." in text


def test_a_part_of_which_the_name_says_nothing_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "sha256-abc", PARTS[0].to_bytes())

    with pytest.raises(ModelFormatError, match="one of 3 parts, and by its name the others"):
        read_gguf(path)


@pytest.mark.parametrize("target", [0, 2])
def test_parts_that_lead_to_one_another_are_refused(tmp_path: Path, target: int) -> None:
    paths = write_parts(tmp_path)
    paths[1].unlink()
    paths[1].symlink_to(paths[target])

    assert f"part 2 of 3, and inside it says part {target + 1} of 3" in parts_refusal(
        part_path(tmp_path, 0)
    )


@pytest.mark.parametrize(
    ("stranger", "problem"),
    [
        (part(1, 4, (NORM,)), "inside it says part 2 of 4"),
        (GgufFile(tensors=(NORM,)), "inside it says part 0 of -1"),
        (part(1, 3, (NORM,), **{"general.architecture": "qwen2"}), "architecture is not that"),
        (part(1, 3, (NORM, replace(NORM, name="x"))), "4 tensors together, not 3"),
        (part(1, 3, (EMBEDDING,)), "a tensor of the same name"),
        (part(1, 3, (NORM,), **{"split.no": "1"}), "split.no is '1', not a number"),
    ],
)
def test_parts_of_different_models_are_refused(
    tmp_path: Path, stranger: GgufFile, problem: str
) -> None:
    write_parts(tmp_path, (PARTS[0], stranger, PARTS[2]))

    assert problem in parts_refusal(part_path(tmp_path, 0))


@pytest.mark.parametrize("count", [2, 4, 65_535, Typed(kind=U64, value=2**64 - 1)])
def test_a_count_of_parts_that_is_not_the_names_is_refused(tmp_path: Path, count: object) -> None:
    write_parts(tmp_path, (part(0, 3, (EMBEDDING,), **{"split.count": count}), *PARTS[1:]))

    assert "by its name the others are not to be found" in parts_refusal(part_path(tmp_path, 0))


def test_all_parts_together_have_no_more_header_than_one_file_may(tmp_path: Path) -> None:
    count = HEADER_BYTES_MOST * 2 // 3
    array = GgufFile().string("padding") + struct.pack("<IIQ", ARRAY, U8, count)
    write_parts(tmp_path, tuple(replace(part(n, 3, ()), weights=False) for n in range(3)))
    for number in (1, 2):
        head = replace(part(number, 3, ()), key_count=4, weights=False).to_bytes()
        path = write(part_path(tmp_path, number), head + array)
        os.truncate(path, len(head + array) + count)  # sparse: it takes no room

    assert "is the most that is read" in parts_refusal(part_path(tmp_path, 0))


def test_all_parts_together_have_no_more_tensors_than_one_file_may(tmp_path: Path) -> None:
    many = tuple(replace(NORM, name=str(number), shape=(0,)) for number in range(TENSORS_MOST))
    paths = write_parts(tmp_path, (part(0, 2, (NORM,)), part(1, 2, many)))

    assert f"more than {TENSORS_MOST:,} tensors" in parts_refusal(paths[0])


# Anything at all


def outcome(folder: Path, content: bytes, *, weights: bool) -> Model | str:
    try:
        return read(folder, content, weights=weights)
    except ModelFormatError as error:
        return str(error)


@given(
    changes=st.lists(
        st.tuples(st.integers(0, 10**6), st.sampled_from([0, 1, 8, 9, 127, 128, 254, 255])),
        min_size=1,
        max_size=12,
    ),
    weights=st.booleans(),
    order=st.sampled_from(["<", ">"]),
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_file_is_read_or_refused_and_nothing_else(
    tmp_path: Path, changes: list[tuple[int, int]], weights: bool, order: str
) -> None:
    content = bytearray(replace(SMALL, order=order).to_bytes())
    for place, value in changes:
        content[place % len(content)] = value

    found = outcome(tmp_path, bytes(content), weights=weights)

    if isinstance(found, Model):
        assert all(each.byte_count >= 0 for each in found.tensors)
    else:
        assert "\n" not in found


@given(rest=st.binary(max_size=300), version=st.sampled_from([b"\3\0\0\0", b"\0\0\0\2"]))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_behind_the_magic_number_are_refused(
    tmp_path: Path, rest: bytes, version: bytes
) -> None:
    refusal(tmp_path, b"GGUF" + version + rest)


# What was measured


@pytest.fixture(scope="module")
def headers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("headers")
    with tarfile.open(DATA / "headers.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder


def test_every_measured_models_header_says_what_was_measured(headers: Path) -> None:
    with (DATA / "llamacpp_memory.csv").open() as table:
        expected = {
            row["header"]: (row["arch"], int(row["n_tensors"]), int(row["file_bytes"]))
            for row in csv.DictReader(table)
        }

    models = {name: read_gguf(headers / name, weights=False) for name in expected}

    assert len(models) == 32
    assert {
        name: (
            model.architecture,
            len(model.tensors),
            model.file_bytes + model.missing_bytes,
        )
        for name, model in models.items()
    } == expected


def test_a_measured_header_is_read_as_a_whole(headers: Path) -> None:
    model = read_gguf(headers / "s-qwen35.gguf", weights=False)

    assert replace(model, tensors=model.tensors[:4]) == Model(
        architecture="qwen35",
        metadata={
            "general.architecture": "qwen35",
            "general.name": "s-qwen35",
            "general.quantization_version": 2,
            "general.file_type": 7,
            "qwen35.block_count": 8,
            "qwen35.context_length": 262_144,
            "qwen35.embedding_length": 1024,
            "qwen35.feed_forward_length": 2560,
            "qwen35.attention.head_count": 8,
            "qwen35.attention.head_count_kv": 2,
            "qwen35.attention.key_length": 256,
            "qwen35.attention.value_length": 256,
            "qwen35.attention.layer_norm_rms_epsilon": 9.999999747378752e-06,
            "qwen35.rope.dimension_sections": (11, 11, 10, 0),
            "qwen35.ssm.conv_kernel": 4,
            "qwen35.ssm.inner_size": 2048,
            "qwen35.ssm.state_size": 128,
            "qwen35.ssm.time_step_rank": 16,
            "qwen35.ssm.group_count": 8,
            "qwen35.full_attention_interval": 4,
            "qwen35.rope.dimension_count": 64,
            "tokenizer.ggml.model": "no_vocab",
            "qwen35.vocab_size": 65_536,
        },
        tensors=(
            Tensor(name="token_embd.weight", type=TensorType.Q8_0, shape=(1024, 65_536)),
            Tensor(name="blk.0.attn_norm.weight", type=TensorType.F32, shape=(1024,)),
            Tensor(name="blk.0.post_attention_norm.weight", type=TensorType.F32, shape=(1024,)),
            Tensor(name="blk.0.attn_qkv.weight", type=TensorType.Q8_0, shape=(1024, 4096)),
        ),
        file_bytes=7291,
        missing_bytes=208_193_285,
    )
