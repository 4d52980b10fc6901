"""Windows' libraries, made up: real C functions and COM objects that call back into Python.

What is tested goes through ctypes as it does on Windows: pointers are pointers, and a
method is looked up in the table that its object begins with.
"""

import ctypes
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from vramline.native import d3dkmt, dxcore, dxgi, pdh
from vramline.native.com import RELEASE, Guid, Luid, guid

POINTER, UINT, LONG = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int32
NOT_FOUND = 0x887A0002
"""DXGI_ERROR_NOT_FOUND."""


def signed(status: int) -> int:
    return ctypes.c_int32(status).value


def write(kind: Any, address: int | None, value: Any) -> None:
    """Put a value where a pointer points."""
    assert address
    kind.from_address(address).value = value


class Library:
    """A library of C functions."""

    def __init__(self) -> None:
        self._kept: list[Any] = []

    def function(self, name: str, arguments: Sequence[Any], body: Callable[..., int]) -> None:
        made = ctypes.CFUNCTYPE(LONG, *arguments)(body)
        setattr(self, name, made)
        self._kept.append(made)

    def com_object(
        self,
        methods: Mapping[int, tuple[Any, Sequence[Any], Callable[..., Any]]],
        released: list[str],
        name: str,
    ) -> int:
        """Return the address of an object with these methods, at these places in its table."""

        def release(_this: int) -> int:
            released.append(name)
            return 0

        table = (POINTER * 16)()
        for place, (result, arguments, body) in {RELEASE: (UINT, (), release), **methods}.items():
            made = ctypes.CFUNCTYPE(result, POINTER, *arguments)(body)
            table[place] = ctypes.cast(made, POINTER).value
            self._kept.append(made)
        instance = (POINTER * 1)(ctypes.addressof(table))
        self._kept += [table, instance]
        return ctypes.addressof(instance)


def same_guid(address: int, text: str) -> bool:
    return bytes(Guid.from_address(address)) == bytes(guid(text))


class Dxgi(Library):
    """dxgi.dll with these adapters; ``None`` is one that cannot be described."""

    def __init__(
        self,
        descriptions: Sequence[Mapping[str, Any] | None],
        *,
        status: int = 0,
        endless: bool = False,
    ) -> None:
        super().__init__()
        self.released: list[str] = []
        self._descriptions = descriptions
        self._status = status
        self._endless = endless
        self.function("CreateDXGIFactory1", (POINTER, POINTER), self._create)

    def _create(self, identifier: int, out: int) -> int:
        if self._status:
            return signed(self._status)
        assert same_guid(identifier, dxgi.FACTORY)
        methods = {dxgi.ENUM_ADAPTERS_1: (LONG, (UINT, POINTER), self._enumerate)}
        write(POINTER, out, self.com_object(methods, self.released, "factory"))
        return 0

    def _enumerate(self, _this: int, index: int, out: int) -> int:
        if index >= len(self._descriptions) and not self._endless:
            return signed(NOT_FOUND)
        told = self._descriptions[index % len(self._descriptions)]

        def describe(_this: int, address: int) -> int:
            if told is None:
                return signed(0x80004005)
            target = dxgi.AdapterDescription.from_address(address)
            for name, value in told.items():
                if name == "description":
                    units = value.encode("utf-16-le")[:256]
                    ctypes.memmove(target.description, units, len(units))
                else:
                    setattr(target, name, Luid(*value) if name == "luid" else value)
            return 0

        methods = {dxgi.GET_DESC_1: (LONG, (POINTER,), describe)}
        write(POINTER, out, self.com_object(methods, self.released, f"adapter {index}"))
        return 0


class Dxcore(Library):
    """dxcore.dll, which knows of these adapters whether they are integrated."""

    def __init__(
        self, integrated: Mapping[tuple[int, int], bool], *, supported: bool = True
    ) -> None:
        super().__init__()
        self.released: list[str] = []
        self._integrated = integrated
        self._supported = supported
        self.function("DXCoreCreateAdapterFactory", (POINTER, POINTER), self._create)

    def _create(self, identifier: int, out: int) -> int:
        assert same_guid(identifier, dxcore.FACTORY)
        arguments = (POINTER, POINTER, POINTER)
        methods = {dxcore.GET_ADAPTER_BY_LUID: (LONG, arguments, self._by_luid)}
        write(POINTER, out, self.com_object(methods, self.released, "factory"))
        return 0

    def _by_luid(self, _this: int, luid: int, identifier: int, out: int) -> int:
        assert same_guid(identifier, dxcore.ADAPTER)
        which = Luid.from_address(luid)
        if (which.low, which.high) not in self._integrated:
            return signed(0x80070057)
        answer = self._integrated[which.low, which.high]

        def supports(_this: int, number: int) -> bool:
            return self._supported and number == dxcore.IS_INTEGRATED

        def get(_this: int, number: int, size: int, address: int) -> int:
            assert (number, size) == (dxcore.IS_INTEGRATED, 1)
            write(ctypes.c_bool, address, answer)
            return 0

        methods: dict[int, tuple[Any, Sequence[Any], Callable[..., Any]]] = {
            dxcore.IS_PROPERTY_SUPPORTED: (ctypes.c_bool, (UINT,), supports),
            dxcore.GET_PROPERTY: (LONG, (UINT, ctypes.c_size_t, POINTER), get),
        }
        write(POINTER, out, self.com_object(methods, self.released, "adapter"))
        return 0


class Gdi32(Library):
    """gdi32.dll with these answers of each adapter, by the number of the query."""

    def __init__(self, adapters: Mapping[tuple[int, int], Mapping[int, Mapping[str, int]]]) -> None:
        super().__init__()
        self.open: list[int] = []
        self.queries: list[tuple[int, int]] = []
        self._adapters = list(adapters.items())
        self.function("D3DKMTOpenAdapterFromLuid", (POINTER,), self._open)
        self.function("D3DKMTQueryAdapterInfo", (POINTER,), self._query)
        self.function("D3DKMTCloseAdapter", (POINTER,), self._close)

    def _open(self, address: int) -> int:
        opening = d3dkmt.OpenAdapter.from_address(address)
        for handle, (luid, _) in enumerate(self._adapters, 0x40000001):
            if luid == (opening.luid.low, opening.luid.high):
                opening.adapter = handle
                self.open.append(handle)
                return 0
        return signed(0xC000000D)

    def _query(self, address: int) -> int:
        query = d3dkmt.Query.from_address(address)
        assert query.adapter in self.open
        self.queries.append((query.type, query.size))
        answers = self._adapters[query.adapter - 0x40000001][1]
        kinds = dict((*d3dkmt.LASTING.values(), *d3dkmt.PRESENT.values()))
        if query.type not in answers:
            return signed(0xC00000BB)
        target = kinds[query.type].from_address(query.data)
        for name, value in answers[query.type].items():
            setattr(target, name, value)
        return 0

    def _close(self, address: int) -> int:
        self.open.remove(d3dkmt.CloseAdapter.from_address(address).adapter)
        return 0


Items = Sequence[tuple[str, int, int | float]]
"""Instance, status and value."""


class Pdh(Library):
    """pdh.dll with these items of each counter, by path.

    Args:
        grows: How many calls for items find that there are more now than the call for the
            size had it.
        too_small: What such a call returns.
    """

    def __init__(
        self,
        arrays: Mapping[str, Items],
        *,
        opening: int = 0,
        collecting: int = 0,
        grows: int = 0,
        too_small: int = pdh.MORE_DATA,
    ) -> None:
        super().__init__()
        self.arrays = dict(arrays)
        self.collected = self.closed = 0
        self._paths: list[str] = []
        self._opening = opening
        self._collecting = collecting
        self._grows = grows
        self._too_small = too_small
        self.function("PdhOpenQueryW", (POINTER, POINTER, POINTER), self._open)
        self.function("PdhAddEnglishCounterW", (POINTER, POINTER, POINTER, POINTER), self._add)
        self.function("PdhCollectQueryData", (POINTER,), self._collect)
        self.function("PdhCloseQuery", (POINTER,), self._close)
        arguments = (POINTER, UINT, POINTER, POINTER, POINTER)
        self.function("PdhGetFormattedCounterArrayW", arguments, self._array)

    def _open(self, source: int | None, _user: int | None, out: int) -> int:
        assert source is None
        write(POINTER, out, 0x1_0000_0001)  # does not fit in 32 bits
        return signed(self._opening)

    def _add(self, query: int, path: int, _user: int | None, out: int) -> int:
        assert query == 0x1_0000_0001
        units = ctypes.string_at(path, 512).decode("utf-16-le", "ignore").partition("\0")[0]
        if units not in self.arrays:
            return signed(0xC0000BB8)
        self._paths.append(units)
        write(POINTER, out, 0x2_0000_0000 + len(self._paths) - 1)
        return 0

    def _collect(self, query: int) -> int:
        assert query == 0x1_0000_0001
        self.collected += 1
        return signed(self._collecting)

    def _close(self, query: int) -> int:
        assert query == 0x1_0000_0001
        self.closed += 1
        return 0

    def _array(self, counter: int, form: int, size: int, count: int, buffer: int | None) -> int:
        path = self._paths[counter - 0x2_0000_0000]
        content = self._content(self.arrays[path], form, buffer or 0)
        if not buffer:
            write(UINT, size, len(content))
            return signed(pdh.MORE_DATA if content else 0)
        if self._grows:
            self._grows -= 1
            write(UINT, size, 7)  # "you should not rely on the returned size"
            return signed(self._too_small)
        assert UINT.from_address(size).value == len(content)
        ctypes.memmove(buffer, content, len(content))
        write(UINT, count, len(self.arrays[path]))
        return 0

    def _content(self, items: Items, form: int, start: int) -> bytes:
        """Lay the items out as PDH does, the names behind the last of them."""
        table, names = (pdh.Item * len(items))(), b""
        for item, (name, status, value) in zip(table, items, strict=True):
            item.name = start + ctypes.sizeof(table) + len(names)
            item.value.status = status
            if form == pdh.AS_DOUBLE:
                item.value.value.double = value
            else:
                item.value.value.large = int(value)
            names += (name + "\0").encode("utf-16-le")
        return bytes(table) + names
