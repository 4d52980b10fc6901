"""Takes out of a recording what tells whose machine it is.

What is masked keeps its shape, so that it is read as before: a UUID becomes a
UUID, a serial number one of the same length. The same word becomes the same
mask wherever it stands, and a part of a UUID, as ``CUDA_VISIBLE_DEVICES`` may
have it, becomes the same part of the mask. The masks are made with a key that
is thrown away, so nobody can work back from them, nor compare two files.
"""

import os
import re
import string
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from typing import Any

HEX = "0123456789abcdef"

# Kubernetes writes a pod's id right behind "pod".
_UUID = (
    r"(?:(?<![0-9a-f])|(?<=pod))[0-9a-f]{8}(?P<dash>[-_])(?:[0-9a-f]{4}(?P=dash)){3}"
    r"[0-9a-f]{12}(?![0-9a-f])"
)
_LONG_HEX = r"(?:(?<![0-9a-z])|(?<=pod))[0-9a-f]{32,}(?![0-9a-z])"
_MAC = (
    r"(?<![0-9a-f:])[0-9a-f]{2}(?P<colon>[:-])(?:[0-9a-f]{2}(?P=colon)){4,6}[0-9a-f]{2}"
    r"(?![0-9a-f:])"
)
_BYTE = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
# What is nothing else, or goes on, as 5.15.167.4-microsoft does, is a version.
_IPV4 = rf"(?<![\w.])(?!\A[\d.]+\s*\Z)(?:{_BYTE}\.){{3}}{_BYTE}(?!\.?\w|-[a-z])"
_IPV6 = (
    r"(?<![\w:.])(?:(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}"
    r"|(?:[0-9a-f]{1,4}:){1,6}(?::[0-9a-f]{1,4}){1,6}|(?:[0-9a-f]{1,4}:){2,7}:)(?!\w)"
)
# Systemd writes the - of a name as \x2d.
_BEFORE, _AFTER = r"(?:(?<![^\W_])|(?<=\\x2d))", r"(?![^\W_])"
_HOME = (
    r"(?:(?<=/home/)|(?<=/users/)|(?<=/run/media/)|(?<=\\users\\)|(?<=\\users\\\\))"
    r"(?:[^\\/:*?\"<>|\0\r\n]{1,64}(?=\\)|[^\\/:\"'<>|,;\s\0]+)"
)
_SHORT = r"(?:(?<=gpu-)|(?<=mig-))[0-9a-f][0-9a-f-]*"
_DECIMAL_ID = r"(?<=unique_id )[0-9]{6,20}"
_SERIAL = re.compile(
    r"(?:serial[\w .-]{0,40}|\bs/n)[\"']?\s*(?:</key>\s*<\w+>|[:=>])\s*[\"'<]{0,2}"
    r"([a-z0-9](?:[\w.+/-]*[a-z0-9])?)",
    re.IGNORECASE,
)
_TOKEN = re.compile(r"[A-Za-z0-9](?:[\w.+-]*[A-Za-z0-9])?")
_WIDE_TEXT = re.compile(r"(?:[\x20-\x7e]\0){4,}")

_SECRET_NAME = re.compile(
    r"serial|uuid|unique_id|asset_tag|machine-id|hostid|boot_id", re.IGNORECASE
)
"""A file, function or field of such a name tells nothing else."""

_SYSTEM_NAMES = """
    root nobody daemon system administrator public shared default all users linuxbrew localhost
    localdomain local service network nt authority workgroup user guest
"""
SYSTEM_NAMES = frozenset(_SYSTEM_NAMES.split())
"""Names of users and hosts that many machines have."""

NO_MACHINES = frozenset(("127.0.0.1", "255.255.255.0"))
"""Addresses that every machine has."""

_VOCABULARY = """
    active amd amdgpu apple arc average bus busy card cards cgroup cgroups class clients cpu cuda
    current cycles default desktop device devices dev dir dri driver drivers drm energy engine
    error fan fdinfo file files format freq full gpu gpus graphics gtt handle hangs high home host
    hwmon i915 input intel io ioctl kernel kfd label libraries linux low machine max mem memory
    meminfo min mode module name nodes none nouveau nvidia nvml object open pci power pressure
    proc process program programs psutil pynvml python radeon read render renderd resource running
    self session slice some stat state status swap sys system temp text time total tuple type used
    usr version video vram vramline windows xe
"""
VOCABULARY = frozenset(_VOCABULARY.split())
"""Words that readers look for. Somebody of such a name is masked where a person's name stands."""

_NAMES_IN_ENVIRONMENT = {
    "user": ("USER", "LOGNAME", "USERNAME", "SUDO_USER", "DOAS_USER"),
    "host": ("HOSTNAME", "HOST", "COMPUTERNAME", "USERDOMAIN", "NAME"),
}


class Masks:
    """Learns what is to be masked, and then masks it.

    Args:
        key: What the masks are made with: random, unless it is given.
    """

    def __init__(self, *, key: bytes | None = None) -> None:
        self._key = key or os.urandom(16)
        self._people: dict[str, str] = {}
        self._words: dict[str, Callable[[str], str]] = {}
        self._seen: dict[str, set[str]] = {}
        self._patterns: dict[str, re.Pattern[str]] = {}

    # Learning.

    def learn_surroundings(self, environ: Mapping[str, str], *hosts: str) -> None:
        """Learn the names of the user and the host."""
        for kind, variables in _NAMES_IN_ENVIRONMENT.items():
            for variable in variables:
                self.learn_name(kind, environ.get(variable, ""))
        for host in hosts:
            self.learn_name("host", host)
            self.learn_name("host", host.partition(".")[0])

    def learn_name(self, kind: str, name: str) -> None:
        """Learn a user's or a host's name; *kind* is ``user`` or ``host``."""
        name = name.strip()
        known = name.casefold()
        if not name or known in SYSTEM_NAMES or name.isdecimal() or known in self._people:
            return
        number = sum(mask.startswith(kind) for mask in self._people.values()) + 1
        self._people[known] = f"{kind}{number}"
        if len(name) > 2 and known not in VOCABULARY:
            self._learn_word(name, lambda _: self._person(kind, known))

    def learn_serial(self, text: str, *, least: int = 6, is_hex: bool = False) -> None:
        """Learn a serial number of at least so many characters. A word without a digit is none."""
        if len(text) >= least and any(letter.isdigit() for letter in text):
            self._learn_word(text, self._id if is_hex else self._serial)

    def learn_text(self, text: str) -> None:
        """Learn what a text tells by its own form."""
        for name in re.findall(_HOME, text, re.IGNORECASE):
            self.learn_name("user", name)
        for serial in _SERIAL.findall(text):
            self.learn_serial(serial)

    def learn_value(self, value: Any, name: str = "") -> None:
        """Learn what is in an answer; *name* is what was asked for, or the field."""
        secret = is_secret(name)
        if isinstance(value, Mapping):
            for key, each in value.items():
                self.learn_value(each, key if is_secret(str(key)) else name)
        elif isinstance(value, list | tuple):
            for each in value:
                self.learn_value(each, name)
        elif isinstance(value, bytes):
            self.learn_text(value.decode("latin-1"))
        elif isinstance(value, str):
            self.learn_text(value)
            if secret and len(value) < 200 and not re.search(_UUID, value, re.IGNORECASE):
                is_hex = "unique_id" in name.lower()
                for token in _TOKEN.findall(value):
                    self.learn_serial(token, least=4, is_hex=is_hex)

    def _learn_word(self, word: str, mask: Callable[[str], str]) -> None:
        self._words.setdefault(word.casefold(), mask)
        self._patterns.clear()

    # Masking.

    def text(self, text: str, *, selects: bool = False) -> str:
        """Return the text with its masks; *selects*: it names GPUs, maybe by parts of their ids."""
        if "\0" in text:  # UTF-16 that was read as something else
            text = _WIDE_TEXT.sub(lambda found: self._wide_text(found[0]), text)
        return self._pattern("select" if selects else "text").sub(self._mask, text)

    def data(self, data: bytes) -> bytes:
        """Return bytes, as many as before, with the masks of the texts in them."""
        text = _WIDE_TEXT.sub(lambda found: self._wide_text(found[0]), data.decode("latin-1"))
        return self._pattern("data").sub(self._fitting, text).encode("latin-1")

    def person(self, kind: str, name: str) -> str:
        """Return the mask of what is known to be a person's or host's name."""
        self.learn_name(kind, name)
        known = name.strip().casefold()
        return self._person(kind, known) if known in self._people else self.text(name)

    def value(self, value: Any, name: str = "") -> Any:
        """Return an answer with its masks; *name* as for ``learn_value``."""
        if isinstance(value, Mapping):
            return {
                self.text(str(key)): self.value(each, key if is_secret(str(key)) else name)
                for key, each in value.items()
            }
        if isinstance(value, list | tuple):
            return type(value)(self.value(each, name) for each in value)
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, bytes):
            return self.data(value)
        if isinstance(value, int) and not isinstance(value, bool) and is_secret(name):
            return int(self._serial(str(abs(value)))) if abs(value) > 999 else value
        return value

    def told(self) -> dict[str, int]:
        """Return how many different words of each kind were masked."""
        return {kind: len(words) for kind, words in self._seen.items()}

    def _pattern(self, purpose: str) -> re.Pattern[str]:
        if purpose not in self._patterns:
            words = sorted(self._words, key=len, reverse=True)
            if purpose == "data":
                words += [each for word in words for each in _as_bytes(word)]
            known = "|".join(_spelt(word) for word in words) or r"(?!)"
            parts = {
                "word": f"{_BEFORE}(?:{known}){_AFTER}",
                "home": _HOME,
                "short": _SHORT if purpose == "select" else r"(?!)",
                "uuid": _UUID,
                "hex": _LONG_HEX,
                "mac": _MAC,
                "ip": f"{_IPV4}|{_IPV6}",
                "decimal": _DECIMAL_ID,
            }
            whole = "|".join(f"(?P<{name}>{part})" for name, part in parts.items())
            self._patterns[purpose] = re.compile(whole, re.IGNORECASE)
        return self._patterns[purpose]

    def _mask(self, found: re.Match[str]) -> str:
        text = found[0]
        kind = next(name for name in _MASKED if found[name] is not None)
        if kind == "home":
            return self.person("user", text)
        if kind == "word":
            known = text.casefold().replace(r"\x2d", "-")
            mask = self._words.get(known) or self._words.get(_as_utf8(text))
            return mask(text) if mask else "x" * len(text)  # in letters that fold to no others
        if kind != "short" and len(set(text) - set("-_:")) == 1:
            return text  # zeros stand for none
        if text in NO_MACHINES:
            return text
        self._count(_KINDS.get(kind, "UUID"), text)
        if kind == "ip" and ":" not in text:
            return "".join(self._shifted(text, _alphabet_of))
        return self._decimal(text) if kind == "decimal" else self._hex(text)

    def _fitting(self, found: re.Match[str]) -> str:
        mask, length = self._mask(found), len(found[0])
        return mask[-length:] if len(mask) > length else mask.ljust(length, "_")

    def _wide_text(self, text: str) -> str:
        masked = self._pattern("data").sub(self._fitting, text[::2])
        return "".join(f"{letter}\0" for letter in masked)

    def _person(self, kind: str, known: str) -> str:
        self._count(f"{kind} name", known)
        return self._people[known]

    def _serial(self, text: str) -> str:
        self._count("serial number", text)
        if len(text) >= 12 and set(text.casefold()) <= set(HEX) and not text.isdecimal():
            return self._hex(text)
        return "".join(self._shifted(text, _alphabet_of))

    def _id(self, text: str) -> str:
        self._count("id", text)
        return self._hex(text)

    def _hex(self, text: str) -> str:
        masked = "".join(self._shifted(text.casefold(), _hex_alphabet_of))
        return masked.upper() if any(letter in "ABCDEF" for letter in text) else masked

    def _decimal(self, text: str) -> str:
        number = int(text)
        return text if number >= 2**64 else str(int(self._hex(f"{number:016x}"), 16))

    def _shifted(self, text: str, alphabet_of: Callable[[str], str]) -> Iterable[str]:
        """Give each letter another of its kind, by those before it: what begins alike stays so."""
        before = blake2b(key=self._key)
        for letter in text:
            alphabet = alphabet_of(letter)
            if not alphabet:
                yield letter
                continue
            place = alphabet.index(letter)
            step = 1 + before.copy().digest()[0] % (len(alphabet) - 1)
            yield alphabet[(place + step) % len(alphabet)]
            before.update(letter.encode())

    def _count(self, kind: str, text: str) -> None:
        self._seen.setdefault(kind, set()).add(text.casefold())


_MASKED = ("home", "short", "uuid", "hex", "mac", "ip", "decimal", "word")
_KINDS = {"mac": "MAC address", "ip": "IP address", "hex": "id", "decimal": "id"}


def is_secret(name: str) -> bool:
    """Tell whether a file, function or field of that name tells a number of this one machine."""
    return _SECRET_NAME.search(name) is not None


def _spelt(word: str) -> str:
    return re.escape(word).replace(r"\-", r"(?:-|\\x2d)")


def _as_bytes(word: str) -> set[str]:
    """Return how a word looks in bytes that are looked at one by one, where that differs."""
    spellings = set() if word.isascii() else {word, word.upper(), word.title()}
    # Names on Linux are bytes: those that are no letters are surrogates in Python.
    encodings = (("utf-8", "surrogateescape"), ("utf-16-le", "surrogatepass"))
    return {each.encode(*how).decode("latin-1") for each in spellings for how in encodings}


def _as_utf8(text: str) -> str:
    """Return the word that looks so in bytes."""
    try:
        return text.encode("latin-1").decode("utf-8", "surrogateescape").casefold()
    except UnicodeError:
        return text.casefold()


def _hex_alphabet_of(letter: str) -> str:
    return HEX if letter in HEX else ""


def _alphabet_of(letter: str) -> str:
    alphabets = (string.digits, string.ascii_lowercase, string.ascii_uppercase)
    return next((each for each in alphabets if letter in each), "")
