"""Leaves out of a recording what no reader looks at: other people's lines, and long files' rest."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

LONGEST = 256 * 2**10
"""Of a file or a program's output, in characters."""

LISTS_OF_IDS = ("pci.ids", "amdgpu.ids")

_NOT_A_DEVICE = "(not a device)"
_NO_JSON = "(not kept)"
_PATH = "model_path"
_ASKED = """
    build_info config context_length data default_generation_settings error expires_at id
    is_sleeping key loaded_context_length loaded_instances meta model model_alias model_path models
    n_ctx name role size size_vram state status total_slots type value version
"""
_ASKED_OF_SERVERS = frozenset(_ASKED.split())
"""What ``vramline.runners`` looks at in the answers of Ollama, LM Studio and llama-server."""
_PRIVATE = re.compile(r"/proc/(?:cmdline|[^/]+/(?:task/\d+/)?(cmdline|environ|mountinfo|mounts))")
_LINK = re.compile(r"/proc/[^/]+/(?:task/\d+/)?(?:fd/\d+|(exe|cwd|root))")
_DEVICE = re.compile(r"/dev/(?:accel|dri/|dxg|kfd|nv)")
_OPTION = re.compile(r"(?:[^\s\"]|\"[^\"]*\")+")
_OPTION_OF_GPUS = re.compile(
    r"(?:amdgpu|i915|nouveau|nvidia[\w-]*|radeon|xe)\..*|.*(?:blacklist|iommu)|mem|pci\w*|vga|video"
)
_ID = re.compile(r"(?:0x|\b)([0-9a-f]{4})\b", re.IGNORECASE)
_ID_LINE = re.compile(r"(\t*)([0-9A-Fa-f]{4})(?: ([0-9a-f]{4}))?(?=  |,)")


def reduced(kind: str, name: str, answer: Any, ids: Callable[[], set[str]]) -> tuple[Any, str]:
    """Return what is kept of an answer, and what is to be said of that.

    Args:
        kind: What was asked: ``read``, ``readlink``, ``run``, ``fetch`` or ``call``.
        name: The path, command, address or function.
        ids: Tells which PCI ids the machine's devices have.
    """
    if kind == "readlink" and isinstance(answer, str):
        return _kept_of_link(name, answer), ""
    if kind in ("call", "fetch"):
        called = _KEPT_OF_PROCESS.get(name.rpartition(".")[2], _as_it_is)
        return (called if kind == "call" else _kept_of_http)(answer), ""
    if kind == "read" and isinstance(answer, str | bytes):
        text = answer if isinstance(answer, str) else answer.decode("utf-8", "replace")
        if found := _PRIVATE.fullmatch(name):
            return _KEPT_OF_FILE[found[1] or "options"](text), ""
        if name.rpartition("/")[2] in LISTS_OF_IDS:
            kept = _lines_of_ids(text, ids())
            return kept, f"the lines of this machine's ids, {len(kept)} of {len(text)} characters"
    if kind in ("read", "run") and isinstance(answer, str | bytes) and len(answer) > LONGEST:
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


def _kept_of_command(text: str) -> str:
    program, _, rest = text.partition("\0")
    return f"{_base(program)}\0" + ("(masked)\0" if rest else "") if text else ""


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


def _kept_of_link(path: str, target: str) -> Any:
    """Return where a link points. Of the files that processes have open most are no GPU's.

    A desktop has tens of thousands of these, and a reader goes on from one that is gone.
    """
    found = _LINK.fullmatch(path)
    if found is None or _DEVICE.match(target):
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


def _kept_of_http(answer: Any) -> Any:
    """Return what is asked of a server: the rest may be its whole command, with the keys in it."""
    if not isinstance(answer, Mapping) or "body" not in answer:
        return answer
    try:
        kept = json.dumps(_kept_of_json(json.loads(answer["body"])))
    except (ValueError, RecursionError):
        kept = _NO_JSON
    return {**answer, "body": kept if len(kept) <= LONGEST else _NO_JSON}


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
    if not isinstance(answer, list) or not answer:
        return answer
    return [_base(str(answer[0])), *(["(masked)"] if len(answer) > 1 else [])]


_KEPT_OF_PROCESS: dict[str, Callable[[Any], Any]] = {
    "cmdline": _kept_of_words,
    "exe": lambda answer: _base(answer) if isinstance(answer, str) else answer,
    "cwd": lambda answer: _NOT_A_DEVICE if isinstance(answer, str) else answer,
    "environ": lambda answer: {"dict": {}} if "dict" in answer else answer,
    "open_files": lambda answer: [] if isinstance(answer, list) else answer,
}
