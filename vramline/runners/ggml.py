"""What a build of llama.cpp reaches devices through, by its files.

Each backend is a library of its own, ``libggml-cuda.so``, beside the program or in a folder of
libraries: https://github.com/ggml-org/llama.cpp/blob/master/ggml/src/ggml-backend-reg.cpp
Where all is in one file, that file names the drivers' libraries that it wants to be loaded with.
"""

import re
from collections.abc import Iterable, Mapping

from vramline.fit.settings import Backend
from vramline.machine import MAX_FILE_BYTES, Machine
from vramline.machine.files import names_in
from vramline.runners.folders import joined, parent
from vramline.runners.installed import in_order

BY_NAME: Mapping[str, Backend] = {
    "cuda": Backend.CUDA,
    "hip": Backend.ROCM,
    "rocm": Backend.ROCM,
    "sycl": Backend.SYCL,
    "vulkan": Backend.VULKAN,
    "metal": Backend.METAL,
}
"""By the word in a library's name."""

_LIBRARY = re.compile(
    r"(?:lib)?ggml(?:-([a-z0-9]+))?[\w.-]*\.(?:so(?:\.\d+)*|dylib|dll)", re.IGNORECASE
)
_TRIPLET = re.compile(r"[a-z0-9_]+-linux-gnu\w*")
# Debian puts each backend into a package of its own, and all into such a folder:
# https://packages.debian.org/sid/libggml0-backend-vulkan
_DEBIANS = ("ggml/backends0",)
_BESIDE = ("../lib", "../lib64", "../libexec", "../lib/llama.cpp", "../lib/ggml", "../lib64/ggml")

_WANTED: Mapping[Backend, re.Pattern[bytes]] = {
    Backend.CUDA: re.compile(rb"lib(?:cuda|cudart|cublas)\.so|nvcuda\.dll|(?:cudart|cublas)64_\d"),
    Backend.ROCM: re.compile(rb"libamdhip64\.so|amdhip64\w*\.dll"),
    Backend.SYCL: re.compile(rb"libsycl\.so|\bsycl\d+d?\.dll"),
    Backend.VULKAN: re.compile(rb"libvulkan\.so|vulkan-1\.dll|libvulkan[.\d]*\.dylib|libMoltenVK"),
    Backend.METAL: re.compile(rb"Metal\.framework/"),
}
_SHARED = re.compile(rb"lib(?:ggml|llama)[\w-]*\.(?:so|\d|dylib)|\b(?:ggml|llama)[\w-]*\.dll")
"""llama.cpp's own libraries, which a build in one file does not name."""

_WINDOWS = b"MZ"
_PROGRAMS = (
    b"\x7fELF",
    _WINDOWS,
    b"\xcf\xfa\xed\xfe",
    b"\xca\xfe\xba\xbe",
)
"""How a program begins on Linux, Windows and macOS. Anything else is a script that starts one."""


def library_folders(machine: Machine, program: str) -> list[str]:
    """Return where the libraries of a program may lie, its own folder first."""
    own = parent(machine, program)
    folders = [own, *(joined(machine, own, *each.split("/")) for each in _BESIDE)]
    libraries = joined(machine, own, "..", "lib")
    if machine.platform == "linux":
        for name in names_in(machine, libraries):
            if _TRIPLET.fullmatch(name):
                folder = joined(machine, libraries, name)
                folders += [folder, *(joined(machine, folder, *d.split("/")) for d in _DEBIANS)]
    return folders


def backends_in(names: Iterable[str]) -> tuple[Backend, ...] | None:
    """Return the backends whose libraries these are, ``None`` where none is of ggml at all."""
    found = [match[1] for name in names if (match := _LIBRARY.fullmatch(name))]
    if not found:
        return None
    return in_order(BY_NAME[word.lower()] for word in found if word and word.lower() in BY_NAME)


def linked_backends(machine: Machine, program: str) -> tuple[Backend, ...] | str:
    """Return what a program that holds all of llama.cpp was built with, or why that is unknown."""
    try:
        content = machine.read_bytes(program)
    except (OSError, ValueError):
        return "its program cannot be read"
    if not content.startswith(_PROGRAMS):
        return "it is a script, and the libraries are not beside it"
    if _SHARED.search(content):
        return "the libraries that its program wants were not found"
    found = in_order(backend for backend, wanted in _WANTED.items() if wanted.search(content))
    # Windows' programs name their libraries behind their code, the others before it.
    if not found and len(content) >= MAX_FILE_BYTES and content.startswith(_WINDOWS):
        return "its program is too long to be read whole"
    return found
