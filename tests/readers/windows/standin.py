"""Stands in for ``vramline.native.windows``, and for psutil."""

from collections.abc import Callable, Mapping, Sequence
from types import ModuleType, SimpleNamespace
from typing import Any

from vramline.machine import RecordedMachine
from vramline.units import GIB

ARRAYS = ("adapter_dedicated", "adapter_shared", "process_local", "process_non_local", "engine")


def adapter(luid: int, ids: tuple[int, int], name: str, **more: Any) -> dict[str, Any]:
    """Return an adapter as DXGI lists it."""
    listed = {
        "description": name,
        "vendor_id": ids[0],
        "device_id": ids[1],
        "subsystem_id": 0,
        "revision": 0,
        "dedicated_video_memory": 0,
        "dedicated_system_memory": 0,
        "shared_system_memory": 0,
        "luid": luid,
        "flags": 0,
    }
    return {**listed, **more}


def array(*items: tuple[str, float], status: int = 0, zeros: int = 0) -> dict[str, Any]:
    """Return an array as the counters give it."""
    return {
        "status": status,
        "instances": len(items) + zeros,
        "zeros": zeros,
        "items": [list(each) for each in items],
    }


def collection(**arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Return what one collection gives, empty arrays where none is given."""
    return {**{name: array() for name in ARRAYS}, **arrays}


class FakeWindows:
    """A Windows whose answers can be changed between two looks.

    Attributes:
        asked: Every question, with its argument.
        now: What the clock tells. Each collection takes 0.01 s.
    """

    def __init__(
        self,
        adapters: Sequence[Any],
        *,
        lasting: Mapping[int, Mapping[str, Any]] | None = None,
        present: Mapping[int, Mapping[str, Any]] | None = None,
        integrated: Mapping[int, bool] | None = None,
        registered: Sequence[Mapping[str, Any]] = (),
        collections: Sequence[Any] = (),
    ) -> None:
        self.answers: dict[str, Any] = {"status": 0, "adapters": list(adapters)}
        self.kernel = {"lasting": dict(lasting or {}), "present": dict(present or {})}
        self.integrated = dict(integrated or {})
        self.registry = list(registered)
        self.collections = list(collections) or [collection()]
        self.asked: list[tuple[Any, ...]] = []
        self.now = 100.0

    def native(self) -> ModuleType:
        module = ModuleType("vramline.native.windows")
        vars(module).update(
            adapters=self._noted("adapters", lambda: self.answers),
            is_integrated=self._noted("is_integrated", self.integrated.get),
            lasting=self._noted("lasting", lambda luid: self._kernel("lasting", luid)),
            present=self._noted("present", lambda luid: self._kernel("present", luid)),
            registered=self._noted("registered", lambda: self.registry),
            open_counters=self._noted("open_counters", self._counters),
            seconds=lambda: self.now,
        )
        return module

    def machine(self, **psutil: Any) -> RecordedMachine:
        libraries = {"vramline.native.windows": self.native(), "psutil": fake_psutil(**psutil)}
        return RecordedMachine({}, platform="win32", libraries=libraries)

    def _noted(self, name: str, answer: Any) -> Any:
        def ask(*arguments: Any) -> Any:
            self.asked.append((name, *arguments))
            given = answer(*arguments)
            if isinstance(given, Exception):
                raise given
            return given

        return ask

    def _kernel(self, what: str, luid: int) -> Any:
        known = self.kernel[what].get(luid, {})
        return known if isinstance(known, Exception) else {"status": 0, **known}

    def _counters(self) -> "FakeCounters":
        return FakeCounters(
            self._noted("collect", self._collect), self._noted("close", lambda: None)
        )

    def _collect(self) -> Any:
        self.now += 0.01
        return self.collections.pop(0) if len(self.collections) > 1 else self.collections[0]


class FakeCounters:
    """What ``open_counters`` gives."""

    def __init__(self, collect: Callable[[], Any], close: Callable[[], None]) -> None:
        self._collect = collect
        self._close = close

    def collect(self) -> Any:
        return self._collect()

    def close(self) -> None:
        self._close()


class PsutilError(Exception):
    pass


class FakeProcess:
    def __init__(self, pid: int, name: str) -> None:
        self._pid = pid
        self._name = name

    def create_time(self) -> float:
        return 1700000000.0 + self._pid

    def name(self) -> str:
        return self._name

    def username(self) -> str:
        return "PC\\user"


def fake_psutil(
    *, total: int = 64 * GIB, available: int = 40 * GIB, names: Mapping[int, str] | None = None
) -> ModuleType:
    """Return a psutil that knows the host's memory and these processes, by pid."""

    def process(pid: int) -> FakeProcess:
        if pid not in (names or {}):
            raise PsutilError(f"no process {pid}")
        return FakeProcess(pid, (names or {})[pid])

    module = ModuleType("psutil")
    vars(module).update(
        Error=PsutilError,
        AccessDenied=PsutilError,
        Process=process,
        virtual_memory=lambda: SimpleNamespace(total=total, available=available),
        swap_memory=lambda: SimpleNamespace(total=0, used=0),
    )
    return module
