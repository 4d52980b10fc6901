"""The settings of a model in ``config.json``, checked as they are taken.

A model that sees or hears has those of its language part in an object of their own.
https://huggingface.co/docs/transformers/main/en/main_classes/configuration
"""

import math

from vramline.errors import ModelFormatError
from vramline.fit.keys import LARGEST
from vramline.fit.model import Model, Value

PARTS = ("", "text_config.", "language_config.", "llm_config.", "thinker_config.text_config.")
"""Where the language part's settings lie, by what usage has it."""

SIZES = ("hidden_size", "n_embd", "d_model")


class Config:
    """What ``config.json`` says of the language part, else of the whole.

    Every method raises ``ModelFormatError`` for a value that no such setting can have.
    """

    def __init__(self, model: Model) -> None:
        self._metadata = model.metadata
        found = (part for part in PARTS if any(part + size in model.metadata for size in SIZES))
        self._part = next(found, "")

    @property
    def architecture(self) -> str:
        """The language part's ``model_type``."""
        name = self._value("model_type") or self._metadata.get("model_type")
        return name if isinstance(name, str) else ""

    def number(self, *names: str, absent: int | None = None) -> int:
        """Return the first of these that is there: a whole number from 0 to ``LARGEST``."""
        for name in names:
            value = self._value(name)
            if value is not None:
                return self._checked(name, value)
        if absent is None:
            raise self._wrong(names[0], "is missing")
        return absent

    def real(self, name: str, absent: float) -> float:
        """Return a number that may have a fraction; *absent* stands for what is none."""
        value = self._value(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return absent
        return float(value) if math.isfinite(value) and value >= 0 else absent

    def truth(self, name: str, *, absent: bool) -> bool:
        """Return a yes or no."""
        value = self._value(name)
        return value if isinstance(value, bool) else absent

    def text(self, *names: str) -> str:
        """Return the first of these that is there, empty if none is."""
        for name in names:
            value = self._value(name)
            if isinstance(value, str):
                return value
        return ""

    def words(self, name: str, count: int) -> tuple[str, ...] | None:
        """Return *count* words; ``None`` if there are none, or not so many."""
        value = self._value(name)
        if not isinstance(value, tuple) or len(value) < count:
            return None
        words = tuple(entry for entry in value[:count] if isinstance(entry, str))
        return words if len(words) == count else None

    def numbers(self, name: str, count: int) -> tuple[int, ...] | None:
        """Return *count* whole numbers; ``None`` if there are none, or not so many."""
        value = self._value(name)
        if not isinstance(value, tuple) or len(value) < count:
            return None
        return tuple(self._checked(name, entry) for entry in value[:count])

    def has(self, name: str) -> bool:
        """Whether the setting is there."""
        return self._value(name) is not None

    def _value(self, name: str) -> Value | None:
        value = self._metadata.get(self._part + name)
        return self._metadata.get(name) if value is None else value

    def _checked(self, name: str, value: Value) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._wrong(name, "is no whole number")
        if not 0 <= value <= LARGEST:
            raise self._wrong(name, f"is {value}, which no model has")
        return value

    def _wrong(self, name: str, what: str) -> ModelFormatError:
        return ModelFormatError(
            f"config.json: {self._part}{name} {what}: the file is damaged, or of no language"
            " model; download the model again"
        )
