"""Leaves out of a recording what no reader looks at: other people's lines, and long files' rest."""

import re
from collections.abc import Callable, Iterable
from typing import Any

LONGEST = 256 * 2**10
"""Of a file or a program's output, in characters."""

LISTS_OF_IDS = ("pci.ids", "amdgpu.ids")

_NOT_A_DEVICE = "(not a device)"
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
        kind: What was asked: ``read``, ``readlink``, ``run`` or ``call``.
        name: The path, command or function.
        ids: Tells which PCI ids the machine's devices have.
    """
    if kind == "readlink" and isinstance(answer, str):
        return _kept_of_link(name, answer), ""
    if kind == "call":
        return _KEPT_OF_PROCESS.get(name.rpartition(".")[2], _as_it_is)(answer), ""
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
