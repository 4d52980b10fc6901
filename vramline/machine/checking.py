"""Whether what stands in a recording is what may stand there."""

import base64
import binascii
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from vramline.errors import RecordingError
from vramline.machine.answers import decode

Check = Callable[[Any], bool]


def is_entry(entry: Any, check: Check) -> bool:
    """Tell whether an entry is an answer, answers in turn, or those of each thread."""
    if not isinstance(entry, Mapping) or not {"asked_by", "in_turn"} & entry.keys():
        return check(entry)
    if "asked_by" in entry:
        each = entry["asked_by"]
        rows_ = each.values() if isinstance(each, Mapping) else ()
        return bool(rows_) and all(_is_row(one, check) for one in rows_)
    return _is_row(entry, check)


def _is_row(entry: Any, check: Check) -> bool:
    if not isinstance(entry, Mapping) or "in_turn" not in entry:
        return check(entry)
    answers, times = entry["in_turn"], entry.get("at", [])
    return (
        isinstance(answers, list)
        and bool(answers)
        and all(map(check, answers))
        and isinstance(times, list)
        and all(is_time(each) or _are_times(each) for each in times)
    )


def are_beside(times: Any) -> bool:
    """Tell whether these may be an entry's times."""
    each = times.values() if isinstance(times, Mapping) else [times]
    return bool(each) and all(one is None or _are_times(one) for one in each)


def _are_times(times: Any) -> bool:
    return isinstance(times, list) and bool(times) and all(map(is_time, times))


def is_time(value: Any) -> bool:
    """Tell whether it is a number of seconds."""
    return type(value) in (int, float) and abs(value) < 1e12 and math.isfinite(value)


def are_texts(values: Any) -> bool:
    """Tell whether it is a list of texts."""
    return isinstance(values, list) and all(isinstance(each, str) for each in values)


def _is_failure(answer: Any) -> bool:
    if not isinstance(answer, Mapping):
        return False
    if "errno" in answer:
        name = answer["errno"]
        return isinstance(name, str) and re.fullmatch(r"E[A-Z0-9]{1,20}", name) is not None
    return answer.get("hangs") is True


def is_bytes(answer: Any) -> bool:
    """Tell whether it stands for bytes, or why there were none."""
    if not isinstance(answer, Mapping) or "base64" not in answer:
        return _is_failure(answer)
    try:
        base64.b64decode(answer["base64"], validate=True)
    except (TypeError, ValueError, binascii.Error):
        return False
    return isinstance(answer["base64"], str)


def is_file(answer: Any) -> bool:
    """Tell whether it may lie at a path."""
    if isinstance(answer, str):
        return True
    if isinstance(answer, Mapping) and "symlink" in answer:
        return isinstance(answer["symlink"], str)
    if isinstance(answer, Mapping) and "dir" in answer:
        return answer["dir"] is True or are_texts(answer["dir"])
    return is_bytes(answer)


def is_text(answer: Any) -> bool:
    """Tell whether it is text, or why there was none."""
    return isinstance(answer, str) or _is_failure(answer)


def is_openable(answer: Any) -> bool:
    """Tell whether it may be the answer to whether a file may be opened."""
    return isinstance(answer, bool) or _is_failure(answer)


def is_program(answer: Any) -> bool:
    """Tell whether it may be what became of a program."""
    if isinstance(answer, Mapping) and "exit" in answer:
        said = (answer.get("output", ""), answer.get("errors", ""))
        return type(answer["exit"]) is int and all(isinstance(each, str) for each in said)
    if isinstance(answer, Mapping) and "timeout_seconds" in answer:
        return is_time(answer["timeout_seconds"])
    return is_text(answer)


def is_http(answer: Any) -> bool:
    """Tell whether it may be what an HTTP server answered."""
    if isinstance(answer, Mapping) and "status" in answer:
        status, body = answer["status"], answer.get("body")
        return type(status) is int and 100 <= status <= 999 and isinstance(body, str)
    return is_text(answer)


def is_value(answer: Any) -> bool:
    """Tell whether it may be a library's answer."""
    if _is_failure(answer):
        return True
    try:
        decode(answer, "")
    except RecordingError:
        return False
    return True


SECTIONS: dict[str, Check] = {
    "files": is_file,
    "links": is_text,
    "openable": is_openable,
    "programs": is_program,
    "which": is_text,
    "fetched": is_http,
}
"""The sections whose questions and answers are all of one kind."""
