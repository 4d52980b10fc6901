import json
import math
import os
import struct
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fit.files import entry, safetensors_bytes, write
from vramline.errors import ModelFormatError
from vramline.fit.model import ENTRIES_KEPT, TEXT_BYTES_KEPT, ArraySummary, Model, Tensor
from vramline.fit.safetensors import read_folder, read_safetensors
from vramline.fit.safetensors.bounded_json import VALUES_MOST
from vramline.fit.safetensors.shard import HEADER_BYTES_MOST
from vramline.fit.tensor_types import SAFETENSORS_TYPES, TensorType

HEADER = {
    "__metadata__": {"format": "pt"},
    "model.norm.weight": entry("BF16", [8], 48, 64),
    "model.embed_tokens.weight": entry("BF16", [3, 8], 0, 48),
}
EMBEDDING = Tensor(name="model.embed_tokens.weight", type=TensorType.BF16, shape=(8, 3))
NORM = Tensor(name="model.norm.weight", type=TensorType.BF16, shape=(8,))
HEAD = Tensor(name="lm_head.weight", type=TensorType.BF16, shape=(8, 3))
INDEX = "model.safetensors.index.json"


def read(folder: Path, header: object, *, weights: bool = True) -> Model:
    content = header if isinstance(header, bytes) else safetensors_bytes(header)
    return read_safetensors(write(folder / "model.safetensors", content), weights=weights)


def refusal(folder: Path, header: object, *, weights: bool = True) -> str:
    with pytest.raises(ModelFormatError) as caught:
        read(folder, header, weights=weights)
    text = str(caught.value)
    assert text.startswith(f"{folder / 'model.safetensors'}")
    assert "\n" not in text
    return text


def test_a_header_is_read_with_the_settings_beside_it(tmp_path: Path) -> None:
    config = {"model_type": "qwen3", "hidden_size": 8, "head_dim": None}
    write(tmp_path / "config.json", json.dumps(config))

    assert read(tmp_path, HEADER) == Model(
        architecture="qwen3",
        metadata={"model_type": "qwen3", "hidden_size": 8},
        tensors=(EMBEDDING, NORM),
        file_bytes=len(safetensors_bytes(HEADER)),
    )


def test_without_settings_the_architecture_is_not_named(tmp_path: Path) -> None:
    model = read(tmp_path, HEADER)

    assert (model.architecture, model.metadata) == ("", {})


@pytest.mark.parametrize("kind", SAFETENSORS_TYPES.values())
def test_every_type_of_tensor_is_read(tmp_path: Path, kind: TensorType) -> None:
    size = kind.row_bytes(24)

    model = read(tmp_path, {"x": entry(kind.value, [2, 12], 0, size)})

    assert model.tensors == (Tensor(name="x", type=kind, shape=(12, 2)),)


def test_quantised_checkpoints_are_the_bytes_of_their_tensors(tmp_path: Path) -> None:
    header = {
        "q_proj.qweight": entry("I32", [64, 8], 0, 2048),
        "q_proj.qzeros": entry("I32", [1, 8], 2048, 2080),
        "q_proj.scales": entry("F16", [1, 64], 2080, 2208),
    }

    assert read(tmp_path, header).weight_bytes == 2208


def test_a_number_and_an_empty_tensor_are_read(tmp_path: Path) -> None:
    header = {"scale": entry("F32", [], 0, 4), "none": entry("F32", [0, 7], 4, 4)}

    assert read(tmp_path, header).tensors == (
        Tensor(name="scale", type=TensorType.F32, shape=()),
        Tensor(name="none", type=TensorType.F32, shape=(7, 0)),
    )


# config.json


def test_settings_are_flat_and_what_is_long_is_summarised(tmp_path: Path) -> None:
    config = {
        "model_type": "gemma3",
        "text_config": {"hidden_size": 8, "rope_scaling": {"factor": 8.0, "deep": {"er": 1}}},
        "layer_types": ["sliding_attention", "full_attention"],
        "eos_token_id": [1, 106],
        "time_step_limit": [0, math.inf],
        "flags": [True, False],
        "mixed": [1, "a", None],
        "nothing": [],
        "long": [0] * (ENTRIES_KEPT + 1),
        "text": "x" * (TEXT_BYTES_KEPT + 1),
        "id2label": {str(number): "x" for number in range(257)},
        "open": None,
    }
    write(tmp_path / "config.json", json.dumps(config))

    assert read(tmp_path, HEADER).metadata == {
        "model_type": "gemma3",
        "text_config.hidden_size": 8,
        "text_config.rope_scaling.factor": 8.0,
        "text_config.rope_scaling.deep.er": 1,
        "layer_types": ("sliding_attention", "full_attention"),
        "eos_token_id": (1, 106),
        "time_step_limit": (0.0, math.inf),
        "flags": (True, False),
        "mixed": ArraySummary(type="value", count=3),
        "nothing": (),
        "long": ArraySummary(type="value", count=ENTRIES_KEPT + 1),
        "text": ArraySummary(type="character", count=TEXT_BYTES_KEPT + 1),
        "id2label": ArraySummary(type="object", count=257),
    }


def test_settings_may_be_deep_without_end(tmp_path: Path) -> None:
    write(tmp_path / "config.json", '{"a":' * 100 + "1" + "}" * 100)

    assert read(tmp_path, HEADER).metadata == {}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"a":1}{',
        '{"a":1,"a":2}',
        '{"a":' * 100_000,
        '{"a":' + "9" * 25 + "}",
        '{"a":[-' + "9" * 25 + "]}",
        '{"a":' + "9" * 5000 + "}",
        b'{"a":"\xff"}',
        '{"a":1}'.encode("utf-16-le"),
        '{"a":"\\ud800"}',
        '{"a":[' + "0," * VALUES_MOST + "0]}",
        '{"a":"' + "x" * 2**22 + '"}',
    ],
    ids=lambda text: str(text)[:20],
)
def test_settings_that_are_not_valid_are_refused(tmp_path: Path, text: str | bytes) -> None:
    write(tmp_path / "config.json", text)
    path = write(tmp_path / "model.safetensors", safetensors_bytes(HEADER))

    with pytest.raises(ModelFormatError) as caught:
        read_safetensors(path)

    assert str(caught.value).startswith(str(tmp_path / "config.json"))
    assert len(str(caught.value)) < len(str(tmp_path)) + 300


# What is not whole, or not true


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    whole = safetensors_bytes(HEADER)

    for length in range(len(whole)):
        refusal(tmp_path, whole[:length])


def test_a_header_alone_is_enough_where_the_weights_are_not_asked_for(tmp_path: Path) -> None:
    whole, header = safetensors_bytes(HEADER), safetensors_bytes(HEADER, data_bytes=0)

    for length in range(len(header)):
        refusal(tmp_path, whole[:length], weights=False)
    for length in range(len(header), len(whole) + 1):
        model = read(tmp_path, whole[:length], weights=False)
        assert (model.file_bytes, model.missing_bytes) == (length, len(whole) - length)


def test_bytes_that_belong_to_no_tensor_are_refused(tmp_path: Path) -> None:
    assert "belong to none" in refusal(tmp_path, safetensors_bytes(HEADER) + b"x")


@pytest.mark.parametrize("length", [0, 1, 10**6, 10**10, 2**63, 2**64 - 1])
def test_a_length_that_cannot_be_is_refused(tmp_path: Path, length: int) -> None:
    refusal(tmp_path, struct.pack("<Q", length) + b"{}" + bytes(1000))


def test_a_header_of_ten_gigabytes_is_not_read(tmp_path: Path) -> None:
    path = write(tmp_path / "model.safetensors", struct.pack("<Q", 10**10) + b"{")
    os.truncate(path, 10**10 + 1000)  # sparse: they are there, and take no room

    with pytest.raises(ModelFormatError, match=f"where {HEADER_BYTES_MOST + 8:,} is the most"):
        read_safetensors(path)


@pytest.mark.parametrize(
    "wrong",
    [
        entry("BF16", [8], 49, 65),
        entry("BF16", [8], 47, 63),
        entry("BF16", [8], 0, 16),
        entry("BF16", [8], 48, 63),
        entry("BF16", [9], 48, 64),
        entry("BF16", [8], 64, 48),
        entry("BF16", [2**62], 48, 48 + 2**63),
        entry("BF16", [2**63], 48, 2**64 + 48),
        entry("BF16", [2**62] * 64, 48, 64),
        entry("BF16", [1] * 65, 48, 50),
        entry("BF16", [-8], 48, 64),
        entry("BF16", [-8, -1], 48, 64),
        entry("F4", [3], 48, 50),
        entry("Q4_K", [256], 48, 192),
        entry("x\n" * 500, [8], 48, 64),
        {"dtype": "BF16", "shape": [8.0], "data_offsets": [48, 64]},
        {"dtype": "BF16", "shape": [True], "data_offsets": [48, 50]},
        {"dtype": "BF16", "shape": "8", "data_offsets": [48, 64]},
        {"dtype": "BF16", "shape": [8], "data_offsets": [48]},
        {"dtype": "BF16", "shape": [8], "data_offsets": [48, 64, 80]},
        {"dtype": "BF16", "shape": [8], "data_offsets": None},
        {"dtype": ["BF16"], "shape": [8], "data_offsets": [48, 64]},
        {"shape": [8], "data_offsets": [48, 64]},
        {},
        [],
        None,
        7,
    ],
    ids=lambda wrong: str(wrong)[:60],
)
def test_an_entry_that_cannot_be_is_refused(tmp_path: Path, wrong: object) -> None:
    header = {**HEADER, "model.norm.weight": wrong}

    text = refusal(tmp_path, safetensors_bytes(json.dumps(header).encode(), data_bytes=64))

    assert "data of tensor model." in text or "tensor model.norm.weight " in text
    assert len(text) < len(str(tmp_path)) + 400


@pytest.mark.parametrize("name", ["x" * 10**6, "x\n\x1b[31m"])
def test_a_name_is_no_trap_in_a_message(tmp_path: Path, name: str) -> None:
    text = refusal(tmp_path, safetensors_bytes(json.dumps({name: None}).encode(), data_bytes=0))

    assert text.isprintable()
    assert len(text) < len(str(tmp_path)) + 400


@pytest.mark.parametrize(
    "header",
    [
        b'{"a":' * 100_000,
        b'{"a":{},"a":{}}',
        b'{"\\ud800":{}}',
        b'{"a":[' + b"[]," * VALUES_MOST + b"0]}",
        b'{"a":1' + b"9" * 5000 + b"}",
        b"{} {}",
        b'{"\xff":1}',
    ],
    ids=lambda header: str(header)[:20],
)
def test_a_header_that_is_not_valid_json_is_refused(tmp_path: Path, header: bytes) -> None:
    refusal(tmp_path, safetensors_bytes(header))


# In parts


def entries(*tensors: Tensor) -> dict[str, object]:
    found: dict[str, object] = {}
    begin = 0
    for tensor in tensors:
        end = begin + tensor.byte_count
        found[tensor.name] = entry(tensor.type.value, tensor.shape[::-1], begin, end)
        begin = end
    return found


PARTS = (entries(EMBEDDING), entries(NORM), entries(HEAD))


def part_name(number: int, count: int = 3) -> str:
    return f"model-{number:05}-of-{count:05}.safetensors"


WEIGHT_MAP = {
    EMBEDDING.name: part_name(1),
    NORM.name: part_name(2),
    HEAD.name: part_name(3),
}


def write_parts(folder: Path, weight_map: Mapping[str, object] | None = WEIGHT_MAP) -> int:
    """Write the three parts, the settings and the index; return the size of the parts."""
    for number, part in enumerate(PARTS, start=1):
        write(folder / part_name(number), safetensors_bytes(part))
    write(folder / "config.json", '{"model_type": "llama"}')
    if weight_map is not None:
        write(folder / INDEX, json.dumps({"metadata": {}, "weight_map": weight_map}))
    return sum(len(safetensors_bytes(part)) for part in PARTS)


def parts_refusal(path: Path) -> str:
    with pytest.raises(ModelFormatError) as caught:
        read_safetensors(path)
    assert str(caught.value).isprintable()
    return str(caught.value)


@pytest.mark.parametrize(
    ("given_name", "indexed"),
    [
        (INDEX, True),
        *(
            (name, indexed)
            for name in (part_name(1), part_name(3), "")
            for indexed in (True, False)
        ),
    ],
)
def test_any_part_the_index_or_the_folder_leads_to_the_whole_model(
    tmp_path: Path, given_name: str, indexed: bool
) -> None:
    size = write_parts(tmp_path, WEIGHT_MAP if indexed else None)

    path = tmp_path / given_name
    model = read_safetensors(path) if given_name else read_folder(path)

    assert model == Model(
        architecture="llama",
        metadata={"model_type": "llama"},
        tensors=(EMBEDDING, NORM, HEAD),
        file_bytes=size,
    )


@pytest.mark.parametrize("indexed", [True, False])
def test_a_missing_part_is_named(tmp_path: Path, indexed: bool) -> None:
    write_parts(tmp_path, WEIGHT_MAP if indexed else None)
    (tmp_path / part_name(2)).unlink()

    text = parts_refusal(tmp_path / part_name(1))

    assert f"1 of 3 parts are not beside it, the first {part_name(2)}." in text


def test_parts_that_are_all_missing_are_named(tmp_path: Path) -> None:
    write_parts(tmp_path)
    for number in (1, 2, 3):
        (tmp_path / part_name(number)).unlink()

    assert "3 of 3 parts" in parts_refusal(tmp_path / INDEX)


@pytest.mark.parametrize("name", ["a-00000-of-00002", "a-00003-of-00002", "a-00001-of-99999"])
def test_a_part_that_does_not_tell_the_others_is_no_model(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / f"{name}.safetensors", safetensors_bytes(HEADER))

    text = parts_refusal(path)

    assert text.startswith(f"{path}: it is one of ")
    assert text.endswith("Get a.safetensors.index.json as well.")


def test_a_part_of_which_there_is_one_is_whole(tmp_path: Path) -> None:
    path = write(tmp_path / "a-00000-of-00001.safetensors", safetensors_bytes(HEADER))

    assert read_safetensors(path).tensors == (EMBEDDING, NORM)


@pytest.mark.parametrize("name", ["\x1b[2J", "a\nb"])
def test_an_architecture_is_no_trap_on_a_page(tmp_path: Path, name: str) -> None:
    write(tmp_path / "config.json", json.dumps({"model_type": name}))

    assert read(tmp_path, HEADER).architecture == ""


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert "cannot be read: " in parts_refusal(tmp_path / "model.safetensors")
    assert "cannot be read: " in parts_refusal(tmp_path / INDEX)


def test_parts_of_which_one_lacks_what_the_index_has_are_refused(tmp_path: Path) -> None:
    write_parts(tmp_path, {**WEIGHT_MAP, "model.other.weight": part_name(2)})

    text = parts_refusal(tmp_path / INDEX)

    assert text.startswith(str(tmp_path / part_name(2)))
    assert "tensor model.other.weight is not in it" in text


def test_parts_that_lead_to_one_another_are_refused(tmp_path: Path) -> None:
    write_parts(tmp_path, None)
    (tmp_path / part_name(2)).unlink()
    (tmp_path / part_name(2)).symlink_to(tmp_path / part_name(1))

    assert "is in another part too" in parts_refusal(tmp_path / part_name(3))


@pytest.mark.parametrize(
    "name", ["../x.safetensors", "/etc/passwd", "a\\b", "c:x", "", ".", "..", "a\0b", 7, None, []]
)
def test_an_index_leads_nowhere_but_beside_it(tmp_path: Path, name: object) -> None:
    write_parts(tmp_path, {**WEIGHT_MAP, "x": name})

    assert "is not the name of a file beside it" in parts_refusal(tmp_path / INDEX)


@pytest.mark.parametrize("name", [INDEX, "config.json"])
def test_an_index_that_leads_to_no_weights_is_refused(tmp_path: Path, name: str) -> None:
    write_parts(tmp_path, {"x": name})

    parts_refusal(tmp_path / INDEX)


def test_an_index_of_endless_parts_is_refused(tmp_path: Path) -> None:
    write_parts(tmp_path, {str(number): f"{number}.safetensors" for number in range(1025)})

    assert "1,025 files, where" in parts_refusal(tmp_path / INDEX)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"weight_map":[]}', '{"weight_map":{}}', "{"])
def test_an_index_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    parts_refusal(write(tmp_path / INDEX, text))


def test_all_parts_together_have_no_more_header_than_is_read(tmp_path: Path) -> None:
    header = b"{}" + b" " * (HEADER_BYTES_MOST - 2)
    first = write(tmp_path / part_name(1, 5), safetensors_bytes(header))
    for number in range(2, 6):
        (tmp_path / part_name(number, 5)).hardlink_to(first)

    assert "where 8 is the most that is read" in parts_refusal(first)


# In a folder


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["model.safetensors", "other.safetensors"], "model.safetensors"),
        (["one.safetensors", "one.gguf", "safetensors"], "one.safetensors"),
    ],
)
def test_the_model_of_a_folder_is_found(tmp_path: Path, names: list[str], expected: str) -> None:
    for number, name in enumerate(names):
        tensor = Tensor(name=name, type=TensorType.F32, shape=(number + 1,))
        write(tmp_path / name, safetensors_bytes(entries(tensor)))

    assert [tensor.name for tensor in read_folder(tmp_path).tensors] == [expected]


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ([], "no safetensors model"),
        (["one.gguf"], "no safetensors model"),
        (["one.safetensors", "two.safetensors"], "2 models"),
        (["a-00001-of-00002.safetensors", "a-00001-of-00003.safetensors"], "2 models"),
    ],
)
def test_a_folder_without_a_model_or_with_several_is_refused(
    tmp_path: Path, names: list[str], found: str
) -> None:
    for name in names:
        write(tmp_path / name, safetensors_bytes(HEADER))

    with pytest.raises(ModelFormatError, match=f"{found} in this folder"):
        read_folder(tmp_path)


@pytest.mark.parametrize("name", ["absent", "nul\0"])
def test_a_folder_that_cannot_be_read_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelFormatError, match="cannot be read"):
        read_folder(tmp_path / name)


# Anything at all


def outcome(folder: Path, content: bytes, *, weights: bool) -> Model | str:
    try:
        return read(folder, content, weights=weights)
    except ModelFormatError as error:
        return str(error)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=20,
)
ENTRIES = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from([*SAFETENSORS_TYPES, "Q4_K", ""]),
        "shape": st.lists(st.integers(-1, 2**64), max_size=3),
        "data_offsets": st.lists(st.integers(-1, 2**64), max_size=3),
    }
)


@given(header=st.dictionaries(st.text(max_size=8), JSON | ENTRIES), config=JSON)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_json_is_read_or_refused_and_nothing_else(
    tmp_path: Path, header: object, config: object
) -> None:
    write(tmp_path / "config.json", json.dumps(config))

    content = safetensors_bytes(json.dumps(header).encode())
    found = outcome(tmp_path, content, weights=False)

    if isinstance(found, Model):
        assert isinstance(config, dict)
        assert all(each.byte_count >= 0 for each in found.tensors)
    else:
        assert found.isprintable()


@given(
    changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=8),
    weights=st.booleans(),
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_file_is_read_or_refused_and_nothing_else(
    tmp_path: Path, changes: list[tuple[int, int]], weights: bool
) -> None:
    content = bytearray(safetensors_bytes(HEADER))
    for place, value in changes:
        content[place % len(content)] = value

    found = outcome(tmp_path, bytes(content), weights=weights)

    assert isinstance(found, Model) or found.isprintable()
