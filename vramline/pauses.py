"""How long to leave alone what has failed."""

FIRST_SECONDS = 1.0
LONGEST_SECONDS = 60.0


class GrowingPause:
    """A second at first, and twice as long each time, up to a minute."""

    def __init__(self) -> None:
        self._seconds = FIRST_SECONDS

    def next(self) -> float:
        """Return this time's pause, in seconds."""
        seconds = self._seconds
        self._seconds = min(seconds * 2, LONGEST_SECONDS)
        return seconds

    def reset(self) -> None:
        """Begin with the first again, as nothing fails any more."""
        self._seconds = FIRST_SECONDS
