"""Going past the strings of a vocabulary, which is most of the work on a header.

Where one string begins is known only from the length of the one before it. One at a time
that takes about 75 ns each in CPython, half of the 40 ms that a header may take. Short ones,
nearly all of a vocabulary, are matched by a regular expression instead, so many at a time, in
about half of that. It says exactly what the format says: a length of one byte, seven zero
bytes, and that many bytes of any kind. No two of its branches begin alike and none varies in
length, so that it cannot go back and forth.
"""

import re
import struct
from functools import cache
from itertools import repeat

from vramline.fit.gguf.order import LITTLE, Order
from vramline.fit.header_file import HeaderFile

RUN = 250
"""How many strings are gone past at a time."""

SHORT_BYTES_MOST = 40
USUAL_BYTES = 6
"""The branches are tried in turn: those for the lengths that are most frequent come first."""

COUNTED_FROM = 8
"""So few bytes are matched one by one in less time than it takes to count them."""


def skip_strings(file: HeaderFile, order: Order, count: int) -> None:
    """Go past *count* strings. Raises ``ModelFormatError`` where the file or the header ends."""
    while count:
        file.need(order.u64.size)
        if order is LITTLE:
            count -= _skip_short(file, count)
        count -= _skip_any(file, order, min(count, RUN))


def _skip_short(file: HeaderFile, count: int) -> int:
    """Go past as many runs of short strings as come next; return how many strings that is."""
    match, data, at, left = short_strings().match, file.data, file.at, count
    while left >= RUN and (found := match(data, at)):
        at = found.end()
        left -= RUN
    file.at = at
    return count - left


def _skip_any(file: HeaderFile, order: Order, count: int) -> int:
    """Go past *count* strings, or as many as the chunk has; return how many."""
    unpack, data, begin = order.u64.unpack_from, file.data, file.at
    at, left = begin, count
    try:
        for _ in repeat(None, count):
            at += unpack(data, at)[0] + 8
            left -= 1
    except (struct.error, OverflowError):
        pass  # the next length lies behind the chunk, or behind anything
    file.skip(at - begin)
    return count - left


@cache
def short_strings() -> re.Pattern[bytes]:
    """Return what matches ``RUN`` short strings that follow one another."""
    lengths = sorted(range(SHORT_BYTES_MOST + 1), key=lambda length: abs(length - USUAL_BYTES))
    zeros = rb"\0" * 7
    anything = {each: b"." * each if each < COUNTED_FROM else b".{%d}" % each for each in lengths}
    branches = (re.escape(bytes([each])) + zeros + anything[each] for each in lengths)
    return re.compile(b"(?:%s){%d}+" % (b"|".join(branches), RUN), re.DOTALL)
