"""A header's keys, checked as they are taken.

A GGUF key is ``<architecture>.<name>``: ``llama.block_count``.
https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from vramline.errors import ModelFormatError
from vramline.fit.model import ArraySummary, Model, Value

LARGEST = 2**31 - 1
"""No dimension, count or length of a real model comes near it; llama.cpp keeps them in 32 bits."""


class Keys:
    """What one model's header says under its architecture's name.

    Every method raises ``ModelFormatError`` for a value that no such key can have, and for a
    key that is not there if nothing was given to stand for it.
    """

    def __init__(self, model: Model) -> None:
        self._architecture = model.architecture
        self._metadata = model.metadata

    def number(self, name: str, absent: int | None = None) -> int:
        """Return a whole number from 0 to ``LARGEST``."""
        value = self._value(name)
        if value is None:
            return self._stand_in(name, absent)
        return self._checked(name, value)

    def numbers(self, name: str, count: int, absent: int | None = None) -> tuple[int, ...]:
        """Return *count* whole numbers: the key's array, or its one number for each of them."""
        value = self._value(name)
        if value is None:
            return (self._stand_in(name, absent),) * count
        if not isinstance(value, tuple):
            return (self._checked(name, value),) * count
        if len(value) != count:
            raise self._wrong(name, f"has {len(value)} entries, where {count} belong")
        return tuple(self._checked(name, entry) for entry in value)

    def array(self, name: str, count: int | None = None) -> tuple[int, ...] | None:
        """Return the key's array of whole numbers or yes and no, ``None`` if it is no array.

        *count* is how many entries belong there, where that is not left to the header.
        """
        value = self._value(name)
        if not isinstance(value, tuple):
            return None
        if count is not None and len(value) != count:
            raise self._wrong(name, f"has {len(value)} entries, where {count} belong")
        return tuple(
            int(entry) if isinstance(entry, bool) else self._checked(name, entry) for entry in value
        )

    def real(self, name: str, absent: float) -> float:
        """Return a number that may have a fraction."""
        value = self._value(name)
        if value is None:
            return absent
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._wrong(name, "is no number")
        return float(value)

    def truth(self, name: str, *, absent: bool) -> bool:
        """Return a yes or no."""
        value = self._value(name)
        if value is None:
            return absent
        if not isinstance(value, bool):
            raise self._wrong(name, "is neither true nor false")
        return value

    def has(self, name: str) -> bool:
        """Whether the header has the key."""
        return self._value(name) is not None

    def _value(self, name: str) -> Value | None:
        return self._metadata.get(f"{self._architecture}.{name}")

    def _stand_in(self, name: str, absent: int | None) -> int:
        if absent is None:
            raise self._wrong(name, "is missing")
        return absent

    def _checked(self, name: str, value: Value) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            kind = "an array" if isinstance(value, tuple | ArraySummary) else "no whole number"
            raise self._wrong(name, f"is {kind}, where a whole number belongs")
        if not 0 <= value <= LARGEST:
            raise self._wrong(name, f"is {value}, which no model has")
        return value

    def _wrong(self, name: str, what: str) -> ModelFormatError:
        return ModelFormatError(
            f"{self._architecture}.{name} {what}: the header is damaged, or was not made"
            " for llama.cpp; download or convert the model again"
        )
