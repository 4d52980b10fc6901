"""What the words behind options mean; ``ArgumentTypeError`` for one that means nothing."""

import argparse
import re
from collections.abc import Mapping

from vramline.fit.settings import ALL_LAYERS, Backend, FlashAttention, Processor
from vramline.fit.tensor_types import TensorType
from vramline.units import GIB, KIB, MIB

LARGEST = 2**31 - 1
LARGEST_BYTES = 2**50
MOST_DEVICES = 64

CACHE_TYPES = ("F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "IQ4_NL", "Q5_0", "Q5_1")
"""https://github.com/ggml-org/llama.cpp/blob/master/common/arg.cpp (``kv_cache_types``)"""

PROCESSORS: Mapping[str, Processor] = {
    "x86": Processor.X86,
    "avx512": Processor.X86_AVX512,
    "arm": Processor.ARM,
    "plain": Processor.PLAIN,
}
SIZES: Mapping[str, int] = {"": 1, "k": KIB, "m": MIB, "g": GIB, "t": 2**40}
SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?) ?([kmgt]?)i?b?", re.IGNORECASE | re.ASCII)
TOKENS = re.compile(r"([0-9]{1,10})(k?)", re.IGNORECASE | re.ASCII)


def words(text: str, of_what: str) -> str:
    """Return *text* as it is shown in a message."""
    shown = "".join(each if each.isprintable() else "?" for each in text[:40])
    return f"{shown!r} is no {of_what}"


def size(text: str) -> int:
    """Return so many bytes, written as ``1.5GiB``, ``512M`` or ``1073741824``."""
    found = SIZE.fullmatch(text.strip())
    if found is None or float(found[1]) * SIZES[found[2].lower()] > LARGEST_BYTES:
        raise argparse.ArgumentTypeError(words(text, "size: 512MiB and 1.5GiB are"))
    return int(float(found[1]) * SIZES[found[2].lower()])


def tokens(text: str) -> int:
    """Return so many tokens, written as ``32768`` or ``32k``."""
    found = TOKENS.fullmatch(text)
    count = int(found[1]) * (1024 if found[2] else 1) if found else LARGEST + 1
    if count > LARGEST:
        raise argparse.ArgumentTypeError(words(text, "number of tokens: 8192 and 8k are"))
    return count


def count(text: str) -> int:
    """Return a whole number, one or more."""
    if not re.fullmatch(r"[0-9]{1,10}", text, re.ASCII) or not 0 < int(text) <= LARGEST:
        raise argparse.ArgumentTypeError(words(text, "whole number above zero"))
    return int(text)


def port(text: str) -> int:
    """Return a port's number."""
    if not re.fullmatch(r"[0-9]{1,5}", text, re.ASCII) or not 0 < int(text) < 2**16:
        raise argparse.ArgumentTypeError(words(text, "port: 8080 is"))
    return int(text)


def layers(text: str) -> int | None:
    """Return so many layers; ``None`` for ``auto``, which leaves it to the plan."""
    if text.lower() in ("auto", "-1"):
        return None
    if text.lower() in ("all", "-2"):
        return ALL_LAYERS
    if not re.fullmatch(r"[0-9]{1,10}", text, re.ASCII):
        raise argparse.ArgumentTypeError(words(text, "number of layers: 24, all and auto are"))
    return min(int(text), ALL_LAYERS)


def mebibytes(text: str) -> int:
    """Return so many MiB in bytes; below zero it is without a limit."""
    if not re.fullmatch(r"-?[0-9]{1,9}", text, re.ASCII):
        raise argparse.ArgumentTypeError(words(text, "number of MiB: 8192 and -1 are"))
    return int(text) * MIB


def share_of_memory(text: str) -> float:
    """Return a share between 0 and 1."""
    if not re.fullmatch(r"[01]?\.[0-9]{1,6}|[01]", text, re.ASCII) or not 0 < float(text) <= 1:
        raise argparse.ArgumentTypeError(words(text, "share: 0.9 is"))
    return float(text)


def attention(text: str) -> FlashAttention:
    """Return when flash attention is used."""
    known = {each.value: each for each in FlashAttention}
    if text.lower() not in known:
        raise argparse.ArgumentTypeError(words(text, "word for it: on, off and auto are"))
    return known[text.lower()]


def processor(text: str) -> Processor:
    """Return what a processor can do, as far as weights are rearranged for it."""
    if text.lower() not in PROCESSORS:
        raise argparse.ArgumentTypeError(words(text, f"kind: {', '.join(PROCESSORS)} are"))
    return PROCESSORS[text.lower()]


def cache_type(text: str) -> TensorType:
    """Return a type that a cache may have."""
    if text.upper() not in CACHE_TYPES:
        known = ", ".join(each.lower() for each in CACHE_TYPES)
        raise argparse.ArgumentTypeError(words(text, f"type for a cache: {known} are"))
    return TensorType(text.upper())


def names(text: str) -> tuple[str, ...]:
    """Return the names between commas; none for ``none``."""
    if text.strip().lower() == "none":
        return ()
    found = tuple(each.strip() for each in text.split(","))
    if not all(found) or len(found) > MOST_DEVICES:
        raise argparse.ArgumentTypeError(words(text, "list of devices: 0,1 and none are"))
    return found


def backends(text: str) -> tuple[Backend, ...]:
    """Return the backends of imagined devices: ``cuda,cuda`` are two."""
    known = {each.value: each for each in Backend}
    found = names(text.lower())
    if not all(each in known for each in found):
        raise argparse.ArgumentTypeError(
            words(text, f"list of devices: none, cuda,cuda, and others of {', '.join(known)} are")
        )
    return tuple(known[each] for each in found)


def shares(text: str) -> tuple[float, ...]:
    """Return the devices' shares, as ``3,1``."""
    found = re.split(r"[,/]", text)
    if len(found) > MOST_DEVICES or not all(
        re.fullmatch(r"[0-9]{1,9}(?:\.[0-9]{1,6})?", each, re.ASCII) for each in found
    ):
        raise argparse.ArgumentTypeError(words(text, "list of shares: 3,1 is"))
    return tuple(float(each) for each in found)
