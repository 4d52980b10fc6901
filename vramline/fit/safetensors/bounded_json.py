"""JSON from the internet: bounded before it is parsed, as Python takes up to twenty times as much.

How much memory it will take is told by the number of its values, and that by the characters
that separate them, which are counted in no time.
"""

import json
from collections.abc import Mapping
from typing import Any

from vramline.fit.header_file import HeaderFile, shown

VALUES_MOST = 2**20
"""A shard of the largest models has 20,000 values, and the index of one 210,000. This many are
read in a second and a half."""

_SEPARATORS = (b",", b"[", b"{")


def parse_object(file: HeaderFile, text: bytes) -> Mapping[str, Any]:
    """Return the object that *text* is. Raises ``ModelFormatError`` where it is none."""
    if (count := sum(map(text.count, _SEPARATORS))) > VALUES_MOST:
        raise file.refusal(f"{count:,} values, where {VALUES_MOST:,} is the most that is read")
    try:
        found = json.loads(str(text, "utf-8"), object_pairs_hook=_unique)
        if b"\\u" in text:  # half a character can be written so, and printed nowhere
            json.dumps(found, ensure_ascii=False).encode()
    except RecursionError as error:
        raise file.refusal("brackets in brackets, hundreds deep") from error
    except ValueError as error:  # of JSON, of UTF-8, or of a number's digits
        raise file.refusal(f"this is not valid JSON ({shown(str(error))})") from error
    if not isinstance(found, Mapping):
        raise file.refusal("this is JSON, but no object")
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("the same name twice")
    return found
