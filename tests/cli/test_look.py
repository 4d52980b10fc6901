import io

from vramline.cli.look import tell


def told(seconds: int) -> str:
    """What a terminal gets in that many seconds of waiting."""
    stream = io.StringIO()
    answers = iter([*[False] * seconds, True])
    tell(stream, 10.0, lambda timeout: next(answers))
    return stream.getvalue()


def test_a_short_wait_is_not_told() -> None:
    assert told(0) == ""


def test_a_long_wait_is_counted_and_erased() -> None:
    line = "waiting for the NVIDIA driver: {} s (at most 10 s for an answer)"

    assert told(2) == f"\r{line.format(1)}\r{line.format(2)}\r{' ' * 63}\r"
