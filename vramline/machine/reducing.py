"""Leaves out of a recording what no reader looks at: other people's lines, and long files' rest."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from typing import Any

LONGEST = 256 * 2**10
"""Of a file or a program's output, in characters."""

LISTS_OF_IDS = ("pci.ids", "amdgpu.ids")

_NOT_A_DEVICE = "(not a device)"
_NO_JSON = "(not kept)"
_PATH = "model_path"
_ASKED = """
    build_info config context_length data default_generation_settings error expires_at id
    is_sleeping key loaded_context_length loaded_instances meta model model_alias model_format
    model_path models n_ctx name port role size size_vram state status total_slots type value
    version
"""
_ASKED_OF_SERVERS = frozenset(_ASKED.split())
"""What ``vramline.runners`` looks at in the answers and files of runners."""
_SYSTEMS = re.compile(r"/(?:dev|proc|run|sys)(?:/|\Z)")
_LOOKED_FOR = re.compile(
    r"\.?(?:lib)?(?:cuda|d3d12|dxcore|ggml|llama|lm-studio|lmstudio|nv|ollama|rocm|vulkan).*"
    r"|\w+-linux-gnu\w*",
    re.IGNORECASE,
)
"""What is looked for in any other folder: drivers' libraries, and runners' files."""
_PROGRAMS = (b"\x7fELF", b"MZ", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")
_LIBRARY = re.compile(rb"\.(?:so|dll|dylib)\b|\.framework/")
_NO_NAME = re.compile(rb"[^\w+.-]")
_LONGEST_NAME = 64
_PRIVATE = re.compile(r"/proc/(?:cmdline|[^/]+/(?:task/\d+/)?(cmdline|environ|mountinfo|mounts))")
_LINK = re.compile(r"/proc/[^/]+/(?:task/\d+/)?(?:fd/\d+|(exe|cwd|root))")
_DEVICE = re.compile(r"/dev/(?:accel|dri/|dxg|kfd|nv)")
_PORT = re.compile(r"[0-9]{1,5}")
_OPTION = re.compile(r"(?:[^\s\"]|\"[^\"]*\")+")
_OPTION_OF_GPUS = re.compile(
    r"(?:amdgpu|i915|nouveau|nvidia[\w-]*|radeon|xe)\..*|.*(?:blacklist|iommu)|mem|pci\w*|vga|video"
)
_ID = re.compile(r"(?:0x|\b)([0-9a-f]{4})\b", re.IGNORECASE)
_ID_LINE = re.compile(r"(\t*)([0-9A-Fa-f]{4})(?: ([0-9a-f]{4}))?(?=  |,)")


def reduced(kind: str, name: str, answer: Any, ids: Callable[[], set[str]]) -> tuple[Any, str]:
    """Return what is kept of an answer, and what is to be said of that.

    Args:
        kind: What was asked: ``read``, ``list``, ``readlink``, ``run``, ``fetch`` or ``call``.
        name: The path, command, address or function.
        ids: Tells which PCI ids the machine's devices have.
    """
    if kind == "read" and isinstance(answer, str | bytes):
        return _kept_of_read(name, answer, ids)
    if kind == "run" and isinstance(answer, str | bytes):
        return _beginning(answer)
    if kind == "call":
        return _KEPT_OF_PROCESS.get(name.rpartition(".")[2], _as_it_is)(answer), ""
    return _KEPT_OF[kind](name, answer) if kind in _KEPT_OF else answer, ""


def _kept_of_read(name: str, answer: str | bytes, ids: Callable[[], set[str]]) -> tuple[Any, str]:
    if isinstance(answer, bytes) and answer.startswith(_PROGRAMS) and not _SYSTEMS.match(name):
        return _kept_of_program(answer), "the names of libraries in it"
    text = answer if isinstance(answer, str) else answer.decode("utf-8", "replace")
    if found := _PRIVATE.fullmatch(name):
        return _KEPT_OF_FILE[found[1] or "options"](text), ""
    if name.rpartition("/")[2] in LISTS_OF_IDS:
        kept = _lines_of_ids(text, ids())
        return kept, f"the lines of this machine's ids, {len(kept)} of {len(text)} characters"
    if name.endswith(".json") and not _SYSTEMS.match(name):  # an application's: it may have keys
        return _kept_of_text(text), ""
    return _beginning(answer)


def _beginning(answer: str | bytes) -> tuple[str | bytes, str]:
    if len(answer) > LONGEST:
        return answer[:LONGEST], f"the first {LONGEST} of {len(answer)}"
    return answer, ""


def ids_in(texts: Iterable[str]) -> set[str]:
    """Return all that may be a PCI id in *texts*, in lower case."""
    return {found.lower() for text in texts for found in _ID.findall(text)}


def _as_it_is(answer: Any) -> Any:
    return answer


def _base(path: str) -> str:
    """Return a program's name, without its folder or what it wrote behind its name."""
    program = re.split(r"\s-", path.strip(), maxsplit=1)[0]
    words = re.split(r"[/\\]", program)[-1].split()
    return words[0] if words else ""


def _kept_of_program(content: bytes) -> bytes:
    """Return how a program begins, and which libraries it names: what it was built with."""
    found = set()
    for each in _LIBRARY.finditer(content):
        before = content[max(each.start() - _LONGEST_NAME, 0) : each.start()]
        found.add(_NO_NAME.split(before)[-1] + each[0])
    return b"\0".join((content[:4], *sorted(found)))[:LONGEST]


def _kept_of_command(text: str) -> str:
    words = text.removesuffix("\0").split("\0") if text else []
    return "".join(f"{word}\0" for word in _kept_of_words(words))


def _kept_of_mounts(text: str) -> str:
    """Return the lines of cgroups, and those that are none of a list of mounts."""
    lines = text.splitlines(keepends=True)
    kept = [line for line in lines if " - cgroup" in line or (" - " not in line and line.strip())]
    return "".join(kept)


def _kept_of_options(text: str) -> str:
    """Return the kernel's options, each with its value if that is a GPU's."""
    return " ".join(map(_kept_of_option, _OPTION.findall(text))) + "\n"


def _kept_of_option(option: str) -> str:
    name, given, value = option.partition("=")
    kept = value if _OPTION_OF_GPUS.fullmatch(name) else "(masked)"
    return f"{name}={kept}" if given else name


def _kept_of_list(folder: str, names: Any) -> Any:
    """Return the names in a folder. Of those that are people's most are nobody's business."""
    if not isinstance(names, list) or _SYSTEMS.match(folder):
        return names
    return [name for name in names if _LOOKED_FOR.fullmatch(name)]


def _kept_of_link(path: str, target: Any) -> Any:
    """Return where a link points. Of the files that processes have open most are no GPU's.

    A desktop has tens of thousands of these, and a reader goes on from one that is gone.
    """
    found = _LINK.fullmatch(path)
    if found is None or not isinstance(target, str) or _DEVICE.match(target):
        return target
    return _base(target) if found[1] == "exe" else {"errno": "ENOENT"}


def _lines_of_ids(text: str, ids: set[str]) -> str:
    """Return the lines of *ids*, each below the line of the device or vendor that it is of."""
    kept, open_level = [], 0
    for line in text.splitlines(keepends=True):
        if found := _ID_LINE.match(line):
            level = len(found[1])
            open_level = min(open_level, level)
            if open_level == level and {each.lower() for each in found.group(2, 3) if each} <= ids:
                kept.append(line)
                open_level = level + 1
    return "".join(kept)


def _kept_of_http(url: str, answer: Any) -> Any:
    """Return what is asked of a server: the rest may be its whole command, with the keys in it."""
    del url
    if not isinstance(answer, Mapping) or "body" not in answer:
        return answer
    return {**answer, "body": _kept_of_text(answer["body"])}


def _kept_of_text(text: str) -> str:
    try:
        kept = json.dumps(_kept_of_json(json.loads(text)))
    except (ValueError, RecursionError):
        return _NO_JSON
    return kept if len(kept) <= LONGEST else _NO_JSON


def _kept_of_json(value: Any) -> Any:
    if isinstance(value, list):
        return [_kept_of_json(each) for each in value]
    if not isinstance(value, dict):
        return value
    kept = {name: _kept_of_json(each) for name, each in value.items() if name in _ASKED_OF_SERVERS}
    return {name: _file_name(each) if name == _PATH else each for name, each in kept.items()}


def _file_name(path: Any) -> Any:
    return re.split(r"[/\\]", path)[-1] if isinstance(path, str) else path


_KEPT_OF_FILE: dict[str, Callable[[str], str]] = {
    "options": _kept_of_options,
    "cmdline": _kept_of_command,
    "environ": lambda _: "",
    "mountinfo": _kept_of_mounts,
    "mounts": _kept_of_mounts,
}


def _kept_of_words(answer: Any) -> Any:
    """Return a command's program, and the port that a server of its listens at."""
    if not isinstance(answer, list) or not answer:
        return answer
    program, *words = map(str, answer)
    ports = (each for each in pairwise(words) if each[0] == "--port" and _PORT.fullmatch(each[1]))
    kept = [word for port in ports for word in port]
    return [_base(program), *(["(masked)"] if words else []), *kept]


_KEPT_OF_PROCESS: dict[str, Callable[[Any], Any]] = {
    "cmdline": _kept_of_words,
    "exe": lambda answer: _base(answer) if isinstance(answer, str) else answer,
    "cwd": lambda answer: _NOT_A_DEVICE if isinstance(answer, str) else answer,
    "environ": lambda answer: {"dict": {}} if "dict" in answer else answer,
    "open_files": lambda answer: [] if isinstance(answer, list) else answer,
}

_KEPT_OF: dict[str, Callable[[str, Any], Any]] = {
    "fetch": _kept_of_http,
    "list": _kept_of_list,
    "readlink": _kept_of_link,
}
