"""Where the programs that run models keep them."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from vramline.fit.header_file import read_small
from vramline.fit.library.found import Source
from vramline.store import home_of

TEXT_BYTES_MOST = 2**20
"""Of a program's settings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One folder that may have models in it, or a file that the user named."""

    source: Source
    path: str


def places_of(
    environ: Mapping[str, str], platform: str, folders: Iterable[str] = ()
) -> tuple[Place, ...]:
    """Return where this user's models may lie, and *folders*; whether they are there or not."""
    home = home_of(environ, platform)
    found = [
        *(Place(source=Source.OLLAMA, path=path) for path in _ollama(environ, platform, home)),
        *(Place(source=Source.LM_STUDIO, path=path) for path in _lm_studio(home)),
        *(Place(source=Source.HUGGING_FACE, path=path) for path in _hugging_face(environ, home)),
        *(Place(source=Source.LLAMA_CPP, path=path) for path in _llama(environ, platform, home)),
        *(Place(source=Source.FOLDER, path=os.path.abspath(path)) for path in folders),
    ]
    return tuple(dict.fromkeys(found))


def _ollama(environ: Mapping[str, str], platform: str, home: str | None) -> list[str]:
    """https://docs.ollama.com/faq (where models are stored), and the packages of Linux."""
    found = [environ.get("OLLAMA_MODELS", "").strip(" \"'")]
    if home:
        found.append(os.path.join(home, ".ollama", "models"))
    if platform.startswith("linux"):
        found += (
            "/usr/share/ollama/.ollama/models",  # of the service that Ollama's script sets up
            "/var/lib/ollama/.ollama/models",
            "/var/lib/ollama/models",
            "/var/lib/ollama",
            "/var/snap/ollama/common/models",
        )
    return [path for path in found if path]


def _lm_studio(home: str | None) -> list[str]:
    """https://lmstudio.ai/docs/app/basics/import-model; the folder can be moved in its settings."""
    if not home:
        return []
    homes = [os.path.join(home, ".lmstudio"), os.path.join(home, ".cache", "lm-studio")]
    pointer = _text(os.path.join(home, ".lmstudio-home-pointer")).strip()
    if os.path.isabs(pointer) and "\n" not in pointer:
        homes.insert(0, pointer)
    found = []
    for each in homes:
        found += [_downloads_folder(os.path.join(each, "settings.json"))]
        found += [os.path.join(each, "models")]
    return [path for path in found if path]


def _downloads_folder(path: str) -> str:
    try:
        settings = json.loads(_text(path) or "{}")
    except (ValueError, RecursionError):
        return ""
    folder = settings.get("downloadsFolder") if isinstance(settings, dict) else None
    return folder if isinstance(folder, str) and os.path.isabs(folder) else ""


def _hugging_face(environ: Mapping[str, str], home: str | None) -> list[str]:
    """https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables."""
    for name, rest in (
        ("HF_HUB_CACHE", ()),
        ("HUGGINGFACE_HUB_CACHE", ()),
        ("HF_HOME", ("hub",)),
        ("XDG_CACHE_HOME", ("huggingface", "hub")),
    ):
        if given := environ.get(name):
            return [os.path.abspath(os.path.join(_expanded(given, home), *rest))]
    return [os.path.join(home, ".cache", "huggingface", "hub")] if home else []


def _llama(environ: Mapping[str, str], platform: str, home: str | None) -> list[str]:
    """https://github.com/ggml-org/llama.cpp/blob/master/common/common.cpp (cache directory)."""
    if given := environ.get("LLAMA_CACHE"):
        return [os.path.abspath(given)]
    if platform == "win32":
        base = environ.get("LOCALAPPDATA", "")
    elif platform == "darwin":
        base = os.path.join(home, "Library", "Caches") if home else ""
    else:
        base = environ.get("XDG_CACHE_HOME") or (os.path.join(home, ".cache") if home else "")
    return [os.path.join(base, "llama.cpp")] if base else []


def _expanded(path: str, home: str | None) -> str:
    return path.replace("~", home, 1) if home and path.startswith(("~/", "~\\")) else path


def _text(path: str) -> str:
    """Return a small file's text; nothing where it cannot be read."""
    try:
        return read_small(path, TEXT_BYTES_MOST).decode("utf-8", "replace")
    except (OSError, ValueError):
        return ""
