import errno
import json
import socket
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.servers import sending, serving
from vramline.errors import RecordingError
from vramline.machine import HttpAnswer, LiveMachine, RecordedMachine
from vramline.machine.capture import CapturingMachine
from vramline.machine.loopback import LONGEST_BYTES
from vramline.machine.masking import Masks
from vramline.machine.writing import Header, to_text

URL = "http://127.0.0.1:11434/api/ps"
OK = b"HTTP/1.1 200 OK\r\n"
SOON = 0.2
"""Seconds after which a server that never answers is left alone."""


def fetch(port: int, path: str = "/", timeout_seconds: float = 60) -> HttpAnswer:
    return LiveMachine().fetch(f"http://127.0.0.1:{port}{path}", timeout_seconds=timeout_seconds)


def has_ipv6() -> bool:
    with suppress(OSError), socket.socket(socket.AF_INET6) as there:
        there.bind(("::1", 0))
        return True
    return False


def number_of(port: int, timeout_seconds: float = 60) -> int | None:
    try:
        fetch(port, timeout_seconds=timeout_seconds)
    except OSError as error:
        return error.errno
    return None


def test_a_server_is_asked_and_its_status_is_no_error() -> None:
    with serving({"/a?b=c": "[1]", "/secret": (401, "no")}) as (port, asked):
        answers = [fetch(port, path) for path in ("/a?b=c", "/secret")]

    assert answers == [HttpAnswer(body="[1]"), HttpAnswer(status=401, body="no")]
    assert asked == ["/a?b=c", "/secret"]


@pytest.mark.parametrize(
    "sent",
    [
        OK + b"\r\nall of it",
        OK + b"Content-Length: 9\r\n\r\nall of it and more",
        OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\nall \r\n5\r\nof it\r\n0\r\n\r\n",
    ],
)
def test_an_answer_ends_as_its_server_says(sent: bytes) -> None:
    with sending(sent[:20], sent[20:]) as port:
        assert fetch(port) == HttpAnswer(body="all of it")


def test_a_redirection_is_an_answer_and_not_followed() -> None:
    with sending(b"HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\n\r\n") as port:
        assert fetch(port) == HttpAnswer(status=302, body="")


def test_bytes_that_are_no_text_are_told_as_such() -> None:
    with sending(OK + b"\r\n\xff{}") as port:
        assert fetch(port) == HttpAnswer(body="\ufffd{}")


@pytest.mark.parametrize(
    "url",
    [
        "http://192.0.2.1:80/",
        "http://localhost.example:80/",
        "http://[::2]:80/",
        "http://127.0.0.1.example:80/",
        "http://user@127.0.0.1:80/",
        "https://127.0.0.1:80/",
        "file:///etc/passwd",
        "http://127.0.0.1:0/",
        "http://127.0.0.1:65536/",
        "http://127.0.0.1:80/a b",
        "http://127.0.0.1:80/\r\nHost: other",
        "http://127.0.0.1:80/\u0661",
        "http://127.0.0.1:\u0661/",
    ],
)
def test_no_address_but_loopbacks_is_asked(url: str) -> None:
    with pytest.raises(ValueError, match="no address on loopback"):
        LiveMachine().fetch(url, timeout_seconds=60)


def test_where_nobody_listens_the_connection_is_refused() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    with pytest.raises(ConnectionRefusedError):
        fetch(port)


def test_localhost_is_whichever_address_a_server_took() -> None:
    with serving({"/": "4"}) as (port, _):
        assert LiveMachine().fetch(f"http://localhost:{port}/", timeout_seconds=60) == HttpAnswer(
            body="4"
        )


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("host", ["localhost", "[::1]"])
def test_a_server_at_ipv6s_loopback_is_asked(host: str) -> None:
    with serving({"/": "6"}, host="::1") as (port, _):
        answer = LiveMachine().fetch(f"http://{host}:{port}/", timeout_seconds=60)

    assert answer == HttpAnswer(body="6")


@pytest.mark.parametrize("host", ["localhost", "[::1]"])
def test_where_nobody_listens_at_either_the_connection_is_refused(host: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    with pytest.raises(ConnectionRefusedError):
        LiveMachine().fetch(f"http://{host}:{port}/", timeout_seconds=60)


@pytest.mark.parametrize("pieces", [(), (OK,), (OK + b"Content-Length: 5\r\n\r\n", b"half")])
def test_a_server_that_never_ends_is_left_alone(pieces: tuple[bytes, ...]) -> None:
    with sending(*pieces, closes=False) as port, pytest.raises(TimeoutError) as raised:
        fetch(port, timeout_seconds=SOON)

    assert raised.value.errno == errno.ETIMEDOUT


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\x15\x03\x01\x00\x02\x02\x46",
        b"HTTP/1.1 two hundred\r\n\r\n",
        OK + b"a: b\r\n" * 1000 + b"\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\nnonsense\r\n",
    ],
)
def test_what_is_not_http_is_a_protocol_error(sent: bytes) -> None:
    with sending(sent) as port:
        assert number_of(port) == errno.EPROTO


def test_an_answer_that_is_shorter_than_its_server_said_is_none() -> None:
    with sending(OK + b"Content-Length: 5\r\n\r\nhalf") as port:
        assert number_of(port) == errno.EPROTO


def test_an_endless_answer_is_cut_off() -> None:
    with sending(OK + b"\r\n", *[b"x" * 2**20] * (LONGEST_BYTES // 2**20 + 1)) as port:
        assert number_of(port) == errno.EMSGSIZE


# Recorded.


def recorded(**fetched: Any) -> RecordedMachine:
    return RecordedMachine.from_dict({"format": 1, "fetched": {URL: fetched["answer"]}})


def test_a_recorded_server_answers_as_it_did() -> None:
    short = recorded(answer='{"models": []}')
    long = recorded(answer={"status": 401, "body": "no"})

    assert short.fetch(URL, timeout_seconds=1) == HttpAnswer(body='{"models": []}')
    assert long.fetch(URL, timeout_seconds=1) == HttpAnswer(status=401, body="no")
    with pytest.raises(TimeoutError):
        recorded(answer={"errno": "ETIMEDOUT"}).fetch(URL, timeout_seconds=1)


def test_where_nothing_was_recorded_nobody_listens() -> None:
    with pytest.raises(ConnectionRefusedError):
        RecordedMachine({}).fetch(URL, timeout_seconds=1)


@pytest.mark.parametrize(
    "answer",
    [
        *(7, None, [], {"body": "x"}, {"status": 200}),
        *({"status": status, "body": "x"} for status in ("200", 7, True)),
    ],
)
def test_no_other_answer_is_recorded(answer: object) -> None:
    with pytest.raises(RecordingError, match="fetched"):
        recorded(answer=answer)


# Captured.


def captured(answer: Any) -> Any:
    live = CapturingMachine(recorded(answer=answer))
    with suppress(OSError):
        live.fetch(URL, timeout_seconds=1)
    header = Header(version="0", taken_at=datetime(2026, 1, 2, tzinfo=UTC))
    return json.loads(to_text(live.to_dict(header, Masks())))["fetched"][URL]


def test_of_an_answer_what_is_looked_at_is_kept_and_no_key() -> None:
    body = {
        "model_path": "/models/people/somebody/tiny.gguf",
        "status": {
            "value": "loaded",
            "args": ["--api-key", "secret"],
            "preset": "api-key = secret",
        },
        "chat_template": "long",
    }

    kept = captured(json.dumps(body))

    assert kept == {
        "status": 200,
        "body": '{"model_path": "tiny.gguf", "status": {"value": "loaded"}}',
    }


def test_of_what_is_not_json_only_that_is_kept() -> None:
    assert captured("<title>my router</title>") == {"status": 200, "body": "(not kept)"}


def test_why_there_was_no_answer_is_kept() -> None:
    assert captured({"errno": "ECONNREFUSED"}) == {"errno": "ECONNREFUSED"}
