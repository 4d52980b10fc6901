from typing import Any

import pytest

from tests.runners.machines import ELF, NOTHING, machine, nothing_installed
from vramline.fit.settings import Backend, Runner
from vramline.machine import MAX_FILE_BYTES, RecordedMachine
from vramline.runners import InstalledRunner, find_runners
from vramline.runners.distributions import Distribution, installed_distribution
from vramline.runners.ggml import backends_in

SITE = "/opt/python/site-packages"


def found(on: RecordedMachine, **versions: str) -> tuple[InstalledRunner, ...]:
    def distribution_of(name: str) -> Distribution | None:
        return Distribution(version=versions[name], folder=SITE) if name in versions else None

    return find_runners(on, distribution_of)


def server(files: dict[str, Any], at: str = "/opt/llama/llama-server") -> InstalledRunner:
    (runner,) = found(machine(which={"llama-server": at}, files=files))
    return runner


def test_where_nothing_is_installed_nothing_is_found() -> None:
    assert find_runners(machine(), nothing_installed) == ()
    assert find_runners(machine(platform="win32"), nothing_installed) == ()
    assert find_runners(machine(platform="darwin"), nothing_installed) == ()


# llama.cpp's own programs.


def test_a_release_has_its_backends_beside_the_program() -> None:
    files = dict.fromkeys(
        [
            "/opt/llama/llama-server",
            "/opt/llama/libllama.so.0.0.9371",
            "/opt/llama/libggml-base.so.0",
            "/opt/llama/libggml-cpu-haswell.so",
            "/opt/llama/libggml-vulkan.so",
            "/opt/llama/libggml-cuda.so",
            "/opt/llama/libggml-rpc.so",
        ],
        "",
    )

    assert server(files) == InstalledRunner(
        runner=Runner.LLAMA_SERVER,
        path="/opt/llama/llama-server",
        version="b9371",
        backends=(Backend.CUDA, Backend.VULKAN),
    )


def test_each_of_llama_cpps_programs_is_a_runner() -> None:
    programs = {name: f"/opt/{name}" for name in ("llama-server", "llama-cli", "llama-bench")}
    here = found(machine(which=programs, files={"/opt/libggml-cpu.so": ""}))

    assert [(each.runner, each.backends) for each in here] == [
        (Runner.LLAMA_SERVER, ()),
        (Runner.LLAMA_LIBRARY, ()),
        (Runner.LLAMA_BENCH, ()),
    ]


@pytest.mark.parametrize(
    "folder",
    ["/usr/lib", "/usr/lib64", "/usr/lib/x86_64-linux-gnu/ggml/backends0", "/usr/libexec"],
)
def test_a_distributions_libraries_are_found_where_it_puts_them(folder: str) -> None:
    files = {"/usr/bin/llama-server": "", f"{folder}/libggml-hip.so.0.9.5": ""}

    assert server(files, "/usr/bin/llama-server").backends == (Backend.ROCM,)


def test_a_link_is_followed_to_the_program() -> None:
    runner = server(
        {
            "/opt/homebrew/bin/llama-server": {
                "symlink": "../Cellar/llama.cpp/9371/bin/llama-server"
            },
            "/opt/homebrew/Cellar/llama.cpp/9371/bin/llama-server": "",
            "/opt/homebrew/Cellar/llama.cpp/9371/lib/libggml-metal.0.9.5.dylib": "",
        },
        "/opt/homebrew/bin/llama-server",
    )

    assert runner == InstalledRunner(
        runner=Runner.LLAMA_SERVER,
        path="/opt/homebrew/bin/llama-server",
        version="9371",
        backends=(Backend.METAL,),
    )


def test_links_that_lead_in_a_circle_end() -> None:
    runner = server({"/opt/llama/llama-server": {"symlink": "llama-server"}})

    assert (runner.backends, runner.note) == (None, "its program cannot be read")


@pytest.mark.parametrize(
    ("content", "backends"),
    [
        ("libstdc++.so.6\0libcudart.so.12\0libcublas.so.12\0", (Backend.CUDA,)),
        ("libamdhip64.so.6\0", (Backend.ROCM,)),
        ("libsycl.so.8\0", (Backend.SYCL,)),
        ("libvulkan.so.1\0", (Backend.VULKAN,)),
        ("/System/Library/Frameworks/Metal.framework/Versions/A/Metal\0", (Backend.METAL,)),
        ("libstdc++.so.6\0ggml-\0libggml-\0", ()),
    ],
)
def test_a_program_in_one_file_names_what_it_is_loaded_with(
    content: str, backends: tuple[Backend, ...]
) -> None:
    assert server({"/opt/llama/llama-server": ELF + content}).backends == backends


@pytest.mark.parametrize(
    ("content", "note"),
    [
        (f"{ELF}libllama.so.0\0", "the libraries that its program wants were not found"),
        ("#!/bin/sh\nexec nix-shell\n", "it is a script, and the libraries are not beside it"),
        ({"errno": "EACCES"}, "its program cannot be read"),
    ],
)
def test_what_cannot_be_told_says_why(content: Any, note: str) -> None:
    assert server({"/opt/llama/llama-server": content}) == InstalledRunner(
        runner=Runner.LLAMA_SERVER, path="/opt/llama/llama-server", backends=None, note=note
    )


@pytest.mark.parametrize(
    ("names", "backends"),
    [("", None), ("nvcuda.dll\0", (Backend.CUDA,))],
)
def test_of_a_windows_program_that_is_cut_off_nothing_is_not_known(
    names: str, backends: tuple[Backend, ...] | None
) -> None:
    content = f"MZ{names}".ljust(MAX_FILE_BYTES, ".")

    assert server({"/opt/llama/llama-server": content}).backends == backends


def test_libraries_are_told_by_their_names_on_every_system() -> None:
    assert backends_in(["ggml-cuda.dll", "ggml-base.dll", "GGML-Vulkan.DLL"]) == (
        Backend.CUDA,
        Backend.VULKAN,
    )
    assert backends_in(["libggml-metal.dylib"]) == (Backend.METAL,)
    assert backends_in(["libggml-cpu.so", "libggml.so.0"]) == ()
    assert backends_in(["libggml-cuda.so.txt", "libc.so.6", "ggml-cuda", ""]) is None


# Python's.


def test_llama_cpp_python_is_known_by_its_libraries() -> None:
    folder = f"{SITE}/llama_cpp/lib"
    here = found(machine(files={f"{folder}/libggml-cuda.so": ""}), llama_cpp_python="0.3.36")

    assert here == (
        InstalledRunner(
            runner=Runner.LLAMA_CPP_PYTHON,
            path=folder,
            version="0.3.36",
            backends=(Backend.CUDA,),
        ),
    )


TORCH = """from typing import Optional
__all__ = ['__version__', 'debug', 'cuda', 'git_version', 'hip', 'xpu']
__version__ = '2.9.0'
debug = False
cuda: Optional[str] = {cuda}
git_version = '0fabc3ba44823f257e70ce397d989c8de5e362c1'
hip: Optional[str] = {hip}
xpu: Optional[str] = {xpu}
"""


@pytest.mark.parametrize(
    ("built_for", "platform", "backends"),
    [
        ({"cuda": "'12.8'"}, "linux", (Backend.CUDA,)),
        ({"hip": "'6.4.43484'"}, "linux", (Backend.ROCM,)),
        ({"xpu": "'20250101'"}, "linux", (Backend.SYCL,)),
        ({}, "linux", ()),
        ({}, "darwin", (Backend.METAL,)),
    ],
)
def test_what_torch_was_built_for_is_told_without_importing_it(
    built_for: dict[str, str], platform: str, backends: tuple[Backend, ...]
) -> None:
    text = TORCH.format(**{"cuda": "None", "hip": "None", "xpu": "None", **built_for})
    here = found(
        machine(platform=platform, files={f"{SITE}/torch/version.py": text}),
        torch="2.9.0",
        vllm="0.11.0",
        transformers="5.0.0",
    )

    assert here == (
        InstalledRunner(
            runner=Runner.VLLM,
            path=f"{SITE}/vllm",
            version="0.11.0",
            backends=backends,
            note="through torch 2.9.0",
        ),
        InstalledRunner(
            runner=Runner.TRANSFORMERS,
            path=f"{SITE}/transformers",
            version="5.0.0",
            backends=backends,
            note="through torch 2.9.0",
        ),
    )


def test_without_torch_transformers_reaches_no_device_that_is_known() -> None:
    (without,) = found(machine(), transformers="5.0.0")
    (unreadable,) = found(machine(), transformers="5.0.0", torch="2.9.0")

    assert (without.backends, without.note) == (
        None,
        "torch, without which it loads no model, is not installed for this Python",
    )
    assert (unreadable.backends, unreadable.note) == (
        None,
        "what torch was built for does not stand in its version.py",
    )


def test_this_python_tells_of_its_own_distributions() -> None:
    here = installed_distribution("pytest")

    assert here is not None
    assert here.version == pytest.__version__
    assert installed_distribution("no-such-distribution-anywhere") is None


# Ollama.


def ollama(files: dict[str, Any], **others: Any) -> InstalledRunner:
    (runner,) = found(machine(files=files, **others))
    return runner


def test_ollamas_backends_are_the_folders_of_its_libraries() -> None:
    libraries = "/usr/local/lib/ollama"
    folders = ["cuda_v12", "cuda_v13", "rocm_v7_2", "vulkan", "mlx_cuda_v13", "cuda.old"]
    runner = ollama(
        {
            "/usr/local/bin/ollama": "",
            f"{libraries}/libggml-cpu-x64.so": "",
            **{f"{libraries}/{name}": NOTHING for name in folders},
        },
        which={"ollama": "/usr/local/bin/ollama"},
        fetched={"http://127.0.0.1:11434/api/version": '{"version": "0.32.14"}'},
    )

    assert runner == InstalledRunner(
        runner=Runner.OLLAMA,
        path="/usr/local/bin/ollama",
        version="0.32.14",
        backends=(Backend.CUDA, Backend.ROCM, Backend.VULKAN),
    )


def test_a_distributions_ollama_has_its_backend_among_its_libraries() -> None:
    files = {"/usr/bin/ollama": "", "/usr/lib/ollama/libggml-hip.so": ""}

    assert ollama(files).backends == (Backend.ROCM,)


def test_ollama_without_its_folder_of_libraries_is_told_so() -> None:
    assert ollama({"/usr/bin/ollama": ""}) == InstalledRunner(
        runner=Runner.OLLAMA,
        path="/usr/bin/ollama",
        note="its folder lib/ollama was not found",
    )


def test_on_a_mac_ollama_has_metal() -> None:
    path = "/Applications/Ollama.app/Contents/Resources/ollama"

    assert ollama({path: ""}, platform="darwin").backends == (Backend.METAL,)


def test_on_windows_ollama_is_where_its_installer_puts_it() -> None:
    local = "C:\\Data\\Local"
    path = f"{local}\\Programs\\Ollama\\ollama.exe"
    here = WindowsFolders(
        {
            f"{local}\\Programs\\Ollama": ["ollama.exe", "lib"],
            f"{local}\\Programs\\Ollama\\lib": ["ollama"],
            f"{local}\\Programs\\Ollama\\lib\\ollama": ["cuda_v13", "ggml-cpu-x64.dll"],
        },
        {"LOCALAPPDATA": local},
    )

    assert found(here) == (
        InstalledRunner(runner=Runner.OLLAMA, path=path, backends=(Backend.CUDA,)),
    )


class WindowsFolders(RecordedMachine):
    """A Windows machine of which only the names in folders are known."""

    def __init__(self, folders: dict[str, list[str]], environ: dict[str, str]) -> None:
        super().__init__({}, platform="win32", environ=environ)
        self._names = folders

    def list(self, path: str) -> list[str]:
        if path not in self._names:
            raise FileNotFoundError(path)
        return self._names[path]


# LM Studio.

HOME = "/people/me"
ENGINES = f"{HOME}/.lmstudio/extensions/backends"
CUDA_12 = f"{ENGINES}/llama.cpp-linux-x86_64-nvidia-cuda12-avx2-2.16.0"
VULKAN = f"{ENGINES}/llama.cpp-linux-x86_64-vulkan-avx2-2.9.0"
CPU = f"{ENGINES}/llama.cpp-linux-x86_64-avx2-2.16.0"
PREFERENCES = f"{HOME}/.lmstudio/.internal/backend-preferences-v1.json"


def lm_studio(files: dict[str, Any]) -> InstalledRunner:
    (runner,) = found(machine(files=files, environ={"HOME": HOME}))
    return runner


def test_lm_studios_backends_are_its_engines() -> None:
    folders = dict.fromkeys([CUDA_12, VULKAN, CPU, f"{ENGINES}/vendor"], NOTHING)

    assert lm_studio(folders) == InstalledRunner(
        runner=Runner.LM_STUDIO,
        path=ENGINES,
        version="2.16.0",
        backends=(Backend.CUDA, Backend.VULKAN),
    )


def test_the_engine_that_was_chosen_in_lm_studio_is_the_one_that_counts() -> None:
    preferences = (
        '[{"model_format": "gguf", "name": "llama.cpp-linux-x86_64-vulkan-avx2",'
        ' "version": "2.9.0"}]'
    )
    folders = dict.fromkeys([CUDA_12, VULKAN, CPU], NOTHING)

    assert lm_studio({**folders, PREFERENCES: preferences}) == InstalledRunner(
        runner=Runner.LM_STUDIO,
        path=VULKAN,
        version="2.9.0",
        backends=(Backend.VULKAN,),
        note="also installed, and not chosen in it: cuda",
    )


@pytest.mark.parametrize("garbage", ["", "{", "[" * 100_000, "7", '[7, {"model_format": "gguf"}]'])
def test_preferences_that_make_no_sense_choose_nothing(garbage: str) -> None:
    assert lm_studio({CPU: NOTHING, PREFERENCES: garbage}).backends == ()


def test_lm_studio_may_be_kept_elsewhere() -> None:
    engines = "/data/lm/extensions/backends"
    runner = lm_studio(
        {
            f"{HOME}/.lmstudio-home-pointer": "/data/lm\n",
            f"{engines}/llama.cpp-mac-arm64-apple-metal-advsimd-2.1.0": NOTHING,
        }
    )

    assert runner.backends == (Backend.METAL,)


def test_lm_studio_without_an_engine_is_told_so() -> None:
    assert lm_studio({f"{HOME}/.lmstudio": NOTHING}) == InstalledRunner(
        runner=Runner.LM_STUDIO,
        path=f"{HOME}/.lmstudio",
        note="no engine of its own was found",
    )
