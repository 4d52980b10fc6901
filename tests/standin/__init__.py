"""A stand-in for NVIDIA's libnvidia-ml.so.1 that answers what a script tells it to.

The real ``pynvml`` loads it in place of the driver's. README.md beside this
file tells how a script is written.
"""

import ctypes
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

SONAME = "libnvidia-ml.so.1"
SOURCES = Path(__file__).parent
ABSENT = "on nvmlInit error=12\n"
"""A script with which pynvml finds what it finds on a machine without the library."""

_FLAGS = ("-std=gnu11", "-O2", "-shared", "-fPIC", "-pthread", "-Wall", "-Wextra", "-Werror")
_PATIENCE_SECONDS = 30.0


def compiler() -> str | None:
    """Return the path of the C compiler, ``$CC`` or ``cc``, or ``None`` where there is none."""
    return shutil.which(os.environ.get("CC") or "cc")


def build(folder: Path, *, without: Sequence[str] = ()) -> Path:
    """Compile the library into *folder* and return its path.

    The functions named in *without* are not in it, as with a driver that is
    too old to have them. Raises ``ValueError`` for a name that it never had.
    """
    program = compiler()
    if program is None:
        raise FileNotFoundError("the stand-in NVML needs a C compiler: $CC or cc")
    library = folder / SONAME
    exports = folder / "exports.map"
    exports.write_text(_exports(without))
    sources = sorted(str(source) for source in SOURCES.glob("*.c"))
    link = (f"-Wl,-soname,{SONAME}", f"-Wl,--version-script,{exports}")
    subprocess.run([program, *_FLAGS, *link, *sources, "-o", str(library)], check=True)
    return library


def _exports(without: Sequence[str]) -> str:
    text = "".join(source.read_text() for source in SOURCES.glob("*.c"))
    unknown = set(without) - set(re.findall(r"\bnvml[A-Z]\w+", text))
    if unknown:
        raise ValueError(f"the stand-in has no {', '.join(sorted(unknown))}")
    absent = "".join(f" {name};" for name in without)
    return f"{{ global: nvml*; standin_*; local:{absent} *; }};\n"


def write_script(path: Path, text: str) -> Path:
    """Put *text* at *path* in one step, so that no call reads half of it. Returns *path*."""
    draft = path.with_name(path.name + ".new")
    draft.write_text(text)
    return draft.replace(path)


def environment(library: Path, script: Path) -> dict[str, str]:
    """Return the environment of a process that is to find *library* and do as *script* says."""
    paths = [str(library.parent), os.environ.get("LD_LIBRARY_PATH", "")]
    return {
        **os.environ,
        "LD_LIBRARY_PATH": ":".join(filter(None, paths)),
        "STANDIN_NVML": str(script),
    }


def run_python(
    code: str, *, library: Path, script: Path, arguments: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """Run *code* in a new Python with the stand-in. Its status is the caller's to look at."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=environment(library, script),
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


class StandIn:
    """The stand-in, loaded into this process: pynvml finds it by its SONAME.

    Until ``load`` is called, and after ``reset``, it is as if there were no
    library. A process can hold only one build of it, and never the real one
    as well: raises ``RuntimeError`` where another was loaded first.
    """

    def __init__(self, library: Path, script: Path) -> None:
        self._library = ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
        if ctypes.CDLL(SONAME)._handle != self._library._handle:
            raise RuntimeError(f"another {SONAME} was loaded into this process before {library}")
        self._library.standin_load.restype = ctypes.c_char_p
        self._library.standin_calls.restype = ctypes.c_longlong
        self.script = script
        self.load(ABSENT)

    def load(self, text: str) -> None:
        """Do as this script says from now on, all counts at zero.

        Calls that hang are judged anew by it. Raises ``ValueError`` for what
        no script may say.
        """
        write_script(self.script, text)
        problem: bytes | None = self._library.standin_load(os.fsencode(self.script))
        if problem is not None:
            raise ValueError(problem.decode())

    def calls(self, function: str) -> int:
        """Return how often *function* was called since the script was read."""
        count: int = self._library.standin_calls(function.encode())
        if count < 0:
            raise ValueError(f"the stand-in does not count {function}")
        return count

    def release(self) -> None:
        """Let the calls go that hang now. Later ones hang again."""
        self._library.standin_release()

    @property
    def initialised(self) -> int:
        """How many nvmlInit are without their nvmlShutdown."""
        return int(self._library.standin_initialised())

    @property
    def hanging(self) -> int:
        """How many calls hang now."""
        return int(self._library.standin_hanging())

    def await_hanging(self, count: int = 1) -> None:
        """Return once *count* calls hang. Raises ``TimeoutError`` if that never comes."""
        _await(lambda: self.hanging == count, f"{count} calls to hang")

    def await_calls(self, function: str, count: int) -> None:
        """Return once *function* was called *count* times, answered or not."""
        _await(lambda: self.calls(function) >= count, f"{count} calls of {function}")

    def await_closed(self) -> None:
        """Return once every nvmlInit has had its nvmlShutdown."""
        _await(lambda: self.initialised == 0, "NVML to be shut")

    def reset(self, pynvml: ModuleType) -> None:
        """End every session and every hang, and have *pynvml* forget that it saw a library."""
        self.load(ABSENT)
        self._library.standin_end_sessions()
        pynvml.nvmlLib = None  # type: ignore[attr-defined]
        pynvml._nvmlLib_refcount = 0  # type: ignore[attr-defined]
        pynvml._nvmlGetFunctionPointer_cache.clear()


def _await(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited in vain for {what}")
        time.sleep(0.001)
