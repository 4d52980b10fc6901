"""llama.cpp's own programs, and llama-cpp-python.

https://github.com/ggml-org/llama.cpp/blob/master/docs/install.md
https://github.com/abetlen/llama-cpp-python
"""

import re
from collections.abc import Iterator, Mapping

from vramline.fit.settings import Backend, Runner
from vramline.machine import Machine
from vramline.machine.files import names_in
from vramline.runners.distributions import DistributionOf
from vramline.runners.folders import found_programs, joined, real_path
from vramline.runners.ggml import backends_in, library_folders, linked_backends
from vramline.runners.installed import InstalledRunner, in_order

PROGRAMS: Mapping[str, Runner] = {
    "llama-server": Runner.LLAMA_SERVER,
    "llama-cli": Runner.LLAMA_LIBRARY,
    "llama-bench": Runner.LLAMA_BENCH,
}

_HOMEBREW = re.compile(r".*/Cellar/llama\.cpp/([^/]+)/.*")
# Before 0.1 the third number was the build's, by which llama.cpp's releases are named:
# libllama.so.0.0.9371 is of b9371.
_BUILD = re.compile(r"libllama(?:\.so)?\.0\.0\.(\d{1,9})(?:\.dylib)?")
_VERSION = re.compile(r"libllama(?:\.so)?\.(\d{1,9}\.\d{1,9}\.\d{1,9})(?:\.dylib)?")


def find_programs(machine: Machine) -> Iterator[InstalledRunner]:
    """Return llama.cpp's programs on ``PATH``."""
    for name, runner in PROGRAMS.items():
        for path in found_programs(machine, name):
            yield _look_at(machine, runner, path)


def _look_at(machine: Machine, runner: Runner, path: str) -> InstalledRunner:
    real = real_path(machine, path)
    found: list[Backend] | None = None
    version: str | None = None
    for folder in dict.fromkeys([*library_folders(machine, real), *library_folders(machine, path)]):
        names = names_in(machine, folder)
        backends = backends_in(names)
        version = version or _version_in(names)
        if backends is not None:
            found = [*(found or ()), *backends]
    if brewed := _HOMEBREW.fullmatch(real):
        version = brewed[1]
    if found is not None:
        return InstalledRunner(runner=runner, path=path, version=version, backends=in_order(found))
    linked = linked_backends(machine, real)
    if isinstance(linked, str):
        return InstalledRunner(runner=runner, path=path, version=version, note=linked)
    return InstalledRunner(runner=runner, path=path, version=version, backends=linked)


def _version_in(names: list[str]) -> str | None:
    for name in names:
        if build := _BUILD.fullmatch(name):
            return f"b{build[1]}"
        if version := _VERSION.fullmatch(name):
            return version[1]
    return None


def find_llama_cpp_python(
    machine: Machine, distribution_of: DistributionOf
) -> Iterator[InstalledRunner]:
    """Return llama-cpp-python, where this Python has it."""
    installed = distribution_of("llama_cpp_python")
    if installed is None:
        return
    folder = joined(machine, installed.folder, "llama_cpp", "lib")
    backends = backends_in(names_in(machine, folder))
    yield InstalledRunner(
        runner=Runner.LLAMA_CPP_PYTHON,
        path=folder,
        version=installed.version,
        backends=backends,
        note="" if backends is not None else "its libraries were not found",
    )
