"""The keys and values of a GGUF file."""

from struct import Struct

from vramline.fit.gguf.order import ARRAY, STRING, TYPE_NAMES, Order
from vramline.fit.gguf.strings import skip_strings
from vramline.fit.header_file import HeaderFile, shown
from vramline.fit.model import ENTRIES_KEPT, TEXT_BYTES_KEPT, ArraySummary, Numbers, Value
from vramline.units import MIB

KEYS_MOST = 2**16
"""Headers have from twenty to two hundred keys; this many are read in half a second."""

KEY_BYTES_MOST = 2**16 - 1
"""As the format's description has it."""

KEPT_BYTES_MOST = 4 * MIB
"""Of keys, short strings and short arrays together. Python holds a small number in up to
eighteen times its bytes, and real headers have some 100 KiB of them."""


def read_metadata(file: HeaderFile, order: Order, count: int) -> dict[str, Value]:
    """Read so many keys with their values.

    Raises ``ModelFormatError`` where one is not as the format has it.
    """
    if count > KEYS_MOST:
        raise file.refusal(f"{count:,} keys, where {KEYS_MOST:,} is the most that is read")
    found: dict[str, Value] = {}
    kept_bytes = 0
    for number in range(1, count + 1):
        file.reading = f"key {number:,} of {count:,}"
        key = read_text(file, order, KEY_BYTES_MOST)
        if not key:
            raise file.refusal("the key is empty")
        if key in found:
            raise file.refusal(f"{shown(key)} is there twice")
        file.reading = f"the value of {shown(key)}"
        value = _read_value(file, order)
        found[key] = value
        kept_bytes += len(key) + _kept_bytes(value)
        if kept_bytes > KEPT_BYTES_MOST:
            raise file.refusal(f"more than {KEPT_BYTES_MOST:,} bytes of short values")
    return found


def read_text(file: HeaderFile, order: Order, most_bytes: int) -> str:
    """Read one string. Raises ``ModelFormatError`` where it is longer than it may be."""
    (length,) = file.unpack(order.u64)
    if length > most_bytes:
        raise file.refusal(
            f"{length:,} bytes of text, where {most_bytes:,} is the most that is read"
        )
    return file.take(length).decode(errors="replace")


def _read_value(file: HeaderFile, order: Order) -> Value:
    (kind,) = file.unpack(order.u32)
    if kind == STRING:
        return _read_string(file, order)
    if kind == ARRAY:
        return _read_array(file, order)
    value: int | float | bool = file.unpack(_number(file, order, kind))[0]
    return value


def _read_string(file: HeaderFile, order: Order) -> str | ArraySummary:
    (length,) = file.unpack(order.u64)
    if length <= TEXT_BYTES_KEPT:
        return file.take(length).decode(errors="replace")
    file.skip(length)
    return ArraySummary(type="character", count=length)


def _read_array(file: HeaderFile, order: Order) -> Numbers | ArraySummary:
    kind, count = file.unpack(order.array)
    if kind == ARRAY:
        raise file.refusal("an array of arrays, which llama.cpp does not read either")
    if kind == STRING:
        skip_strings(file, order, count)
        return ArraySummary(type=TYPE_NAMES[STRING], count=count)
    layout = _number(file, order, kind)
    if count > ENTRIES_KEPT:
        file.skip(count * layout.size)
        return ArraySummary(type=TYPE_NAMES[kind], count=count)
    return file.unpack(Struct(f"{order.prefix}{count}{layout.format[1:]}"))


def _number(file: HeaderFile, order: Order, kind: int) -> Struct:
    layout = order.numbers.get(kind)
    if layout is None:
        raise file.refusal(f"a value of type {kind}, which GGUF does not have")
    return layout


def _kept_bytes(value: Value) -> int:
    if isinstance(value, str):
        return len(value)
    return 8 * len(value) if isinstance(value, tuple) else 8
