"""Windows' performance counters for GPUs, by pdh.dll. Windows 10 1709 and newer.

They are what Task Manager shows: https://devblogs.microsoft.com/directx/gpus-in-the-task-manager/
https://learn.microsoft.com/windows/win32/perfctrs/using-the-pdh-functions-to-consume-counter-data
Statuses: https://learn.microsoft.com/windows/win32/perfctrs/pdh-error-codes
"""

import ctypes
from dataclasses import dataclass
from typing import Any

from vramline.native.com import DWORD, POINTER, place, unsigned

MORE_DATA = 0x800007D2
INVALID_ARGUMENT = 0xC0000BBD
VALID = (0, 1)
"""PDH_CSTATUS_VALID_DATA and PDH_CSTATUS_NEW_DATA."""
AS_DOUBLE = 0x00000200
AS_LARGE = 0x00000400
ATTEMPTS = 5
"""How often an array is asked for that grows between the call for its size and the next."""
MOST_BYTES = 64 * 2**20


class _Either(ctypes.Union):
    _fields_ = (("double", ctypes.c_double), ("large", ctypes.c_int64))


class Item(ctypes.Structure):
    """PDH_FMT_COUNTERVALUE_ITEM_W, with the PDH_FMT_COUNTERVALUE in it.

    https://learn.microsoft.com/windows/win32/api/pdh/ns-pdh-pdh_fmt_countervalue_item_w
    https://learn.microsoft.com/windows/win32/api/pdh/ns-pdh-pdh_fmt_countervalue
    """

    class _Value(ctypes.Structure):
        _fields_ = (("status", DWORD), ("value", _Either))

    _fields_ = (("name", POINTER), ("value", _Value))


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter:
    """One counter, of every instance that there is at the time.

    Attributes:
        path: In English. On a Windows in another language only PdhAddEnglishCounterW knows it.
        form: What its values are told as.
        with_zeros: Whether instances at zero are told. Most processes run nothing.
    """

    path: str
    form: int
    with_zeros: bool = False


# Of a process, "Dedicated Usage" and "Shared Usage" are what it has committed, and after a
# sleep they grow without end; "Local" and "Non Local" are what it holds at the time.
# https://github.com/winsiderss/systeminformer/pull/2971
# https://github.com/winsiderss/systeminformer/issues/2073
COUNTERS = {
    "adapter_dedicated": Counter(
        path=r"\GPU Adapter Memory(*)\Dedicated Usage", form=AS_LARGE, with_zeros=True
    ),
    "adapter_shared": Counter(
        path=r"\GPU Adapter Memory(*)\Shared Usage", form=AS_LARGE, with_zeros=True
    ),
    "process_local": Counter(path=r"\GPU Process Memory(*)\Local Usage", form=AS_LARGE),
    "process_non_local": Counter(path=r"\GPU Process Memory(*)\Non Local Usage", form=AS_LARGE),
    "engine": Counter(path=r"\GPU Engine(*)\Utilization Percentage", form=AS_DOUBLE),
}


class Counters:
    """All of ``COUNTERS`` in one query, so that one moment is read.

    The star in a path stands for the instances at each collection, so a process that
    starts later is there as well (https://github.com/DataDog/integrations-core/pull/13243).

    Args:
        pdh: The library.
    """

    def __init__(self, pdh: Any) -> None:
        self._pdh = pdh
        self._query = ctypes.c_void_p()
        nothing = ctypes.c_void_p()
        self._status = unsigned(pdh.PdhOpenQueryW(nothing, nothing, place(self._query)))
        self._added = (
            {} if self._status else {name: self._add(each) for name, each in COUNTERS.items()}
        )

    def _add(self, counter: Counter) -> tuple[int, ctypes.c_void_p]:
        handle = ctypes.c_void_p()
        path = ctypes.create_string_buffer((counter.path + "\0").encode("utf-16-le"))
        add = self._pdh.PdhAddEnglishCounterW
        return unsigned(add(self._query, place(path), ctypes.c_void_p(), place(handle))), handle

    def collect(self) -> dict[str, dict[str, Any]]:
        """Return what each of ``COUNTERS`` says now, by name.

        That is ``status``, ``instances`` (how many there are), ``zeros`` (how many of
        them are at zero and left out) and ``items``, each ``[instance, value]``. The first
        time there are no rates.
        """
        status = self._status or unsigned(self._pdh.PdhCollectQueryData(self._query))
        return {name: self._array(name, status) for name in COUNTERS}

    def close(self) -> None:
        """Give the query back, and its counters with it."""
        if not self._status:
            self._status = INVALID_ARGUMENT
            self._pdh.PdhCloseQuery(self._query)

    def _array(self, name: str, collected: int) -> dict[str, Any]:
        status, handle = self._added.get(name, (self._status, ctypes.c_void_p()))
        status = status or collected
        if status:
            return _array(status)
        for _ in range(ATTEMPTS):
            array = self._ask(handle, COUNTERS[name])
            # Too small a buffer is PDH_MORE_DATA; "some releases" call it PDH_INVALID_ARGUMENT.
            # The size that comes with it means nothing: it is asked for anew.
            if array["status"] not in (MORE_DATA, INVALID_ARGUMENT):
                break
        return array

    def _ask(self, handle: ctypes.c_void_p, counter: Counter) -> dict[str, Any]:
        """Ask for the size, and then for as much.

        https://learn.microsoft.com/windows/win32/api/pdh/nf-pdh-pdhgetformattedcounterarrayw
        """
        ask, form = self._pdh.PdhGetFormattedCounterArrayW, DWORD(counter.form)
        size, count = DWORD(0), DWORD(0)
        status = unsigned(ask(handle, form, place(size), place(count), ctypes.c_void_p()))
        if status != MORE_DATA or not 0 < size.value <= MOST_BYTES:
            return _array(status)
        buffer = ctypes.create_string_buffer(size.value)
        status = unsigned(ask(handle, form, place(size), place(count), place(buffer)))
        return _array(status) if status else _items(buffer, count.value, counter)


def _array(
    status: int, instances: int = 0, zeros: int = 0, items: list[list[Any]] | None = None
) -> dict[str, Any]:
    return {"status": status, "instances": instances, "zeros": zeros, "items": items or []}


def _items(buffer: ctypes.Array[ctypes.c_char], instances: int, counter: Counter) -> dict[str, Any]:
    """Take the items out of the buffer. Their names lie behind them."""
    start, content = ctypes.addressof(buffer), buffer.raw
    instances = min(instances, len(content) // ctypes.sizeof(Item))
    items, zeros = [], 0
    for item in (Item * instances).from_buffer(buffer):
        value = item.value.value.double if counter.form == AS_DOUBLE else item.value.value.large
        if item.value.status not in VALID:
            continue
        if value or counter.with_zeros:
            items.append([_name(content, (item.name or 0) - start), value])
        else:
            zeros += 1
    return _array(0, instances, zeros, items)


def _name(content: bytes, start: int) -> str:
    if not 0 <= start < len(content):
        return ""
    end = content.find(b"\0\0", start)
    while end >= 0 and (end - start) % 2:  # the upper half of a letter, and half of the end
        end = content.find(b"\0\0", end + 1)
    return content[start : end if end >= 0 else None].decode("utf-16-le", "replace")
