"""Every exception that vramline raises.

    VramlineError
    ├── ReaderUnavailableError   nothing of this vendor is here to be read
    ├── ReadError                it is here, and could not be read
    ├── RecordingError           what was to be replayed is no recording of a machine
    ├── ModelFormatError         a model's file is not what it should be
    └── ModelNameError           no model here has that name, or several do

A single value that could not be read is no exception: it is ``None`` in its
reading, with the cause under the field's name in ``unknown``.
"""


class VramlineError(Exception):
    """The parent of all of them: catch this one to catch them all."""


class ReaderUnavailableError(VramlineError):
    """Nothing of this vendor is here to be read. The message says what is missing."""


class ReadError(VramlineError):
    """A vendor's hardware or driver is here, but nothing of it could be read.

    The message says what failed and what would mend it.
    """


class RecordingError(VramlineError):
    """What was to be replayed is not a recording that ``vramline capture`` could have made.

    The message says where in it, and what is wrong there.
    """


class ModelFormatError(VramlineError):
    """A model's file is not what it should be, or not whole.

    The message says which file, where in it, what is wrong there, and what would help.
    """


class ModelNameError(VramlineError):
    """No model here has that name, or several do. The message says which are near it.

    Attributes:
        matches: The names of those that may be meant.
    """

    def __init__(self, message: str, matches: tuple[str, ...]) -> None:
        super().__init__(message)
        self.matches = matches
