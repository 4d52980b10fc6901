"""What it was measured on."""

import os
import platform
import re
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import vramline

PEERS = ("nvidia-ml-py", "psutil", "nvitop", "gpustat", "glances", "gguf", "llmfit")


def about() -> str:
    """Return one sentence about the machine, Python and the versions of who was compared."""
    versions = [f"{name} {found}" for name in PEERS if (found := _version(name))]
    return (
        f"Measured {datetime.now(UTC).date()}: {_processor()}, {os.cpu_count()} processors, "
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}, "
        f"vramline {vramline.__version__}, {', '.join(versions)}."
    )


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        text = ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1] if found else platform.machine()
