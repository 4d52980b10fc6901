"""Learning from a process: a stand-in for llama-server takes memory, and says that it is ready."""

import json
import os
import socket
import sys
from pathlib import Path

import pytest

from tests.cli.fit.machines import NO_CARD, a_model, ask, recording
from tests.cli.test_command import LINUX
from vramline.cli import run
from vramline.cli.fit.measure import status_of
from vramline.machine import Machine
from vramline.readings import Snapshot
from vramline.units import MIB

pytestmark = [pytest.mark.linux, LINUX]

SERVER = f"""#!{sys.executable}
import http.server, os, sys

class Health(http.server.BaseHTTPRequestHandler):
    count = 0

    def do_GET(self):
        Health.count += 1
        self.send_response(503 if Health.count < 2 else 200)
        self.end_headers()

    def log_message(self, *words):
        pass

taken = bytearray(b"x" * {200 * MIB})
port = int(sys.argv[sys.argv.index("--port") + 1])
assert sys.argv[sys.argv.index("--model") + 1].endswith(".gguf")
server = http.server.HTTPServer(("127.0.0.1", port), Health)
server.timeout = 0.05
while not os.path.exists(os.environ["STOP"]):
    server.handle_request()
sys.exit(3)
"""


@pytest.fixture
def stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with the stand-in, which ends once this file is there."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "llama-server"
    program.write_text(SERVER)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("VRAMLINE_HOME", str(tmp_path / "kept"))
    monkeypatch.setenv("STOP", str(tmp_path / "stop"))
    return tmp_path / "stop"


def free_port() -> str:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return str(listening.getsockname()[1])


def test_what_a_load_took_is_kept(
    stop: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    looks = 0

    def look(_machine: Machine) -> Snapshot:
        nonlocal looks
        looks += 1
        if looks > 1:  # after the load
            stop.touch()
        return NO_CARD

    words = ["fit", a_model(tmp_path), "-c", "256", "--measure", free_port()]
    status = run(words, look=look)
    told = capfd.readouterr().err
    run(["fit", "--learned", "--json"])
    (learned,) = json.loads(capfd.readouterr().out)["learned"]

    assert status == 3
    assert told.startswith("vramline: learned: llama-server itself takes 2")
    assert (learned["runner"], learned["place"], learned["times"]) == ("llama-server", "host", 1)
    assert 180 * MIB < learned["bytes"] < 260 * MIB


@pytest.mark.parametrize(("returned", "status"), [(0, 0), (3, 3), (-2, 130), (-9, 137)])
def test_a_signal_that_ends_it_is_told_as_a_shell_tells_it(returned: int, status: int) -> None:
    assert status_of(returned) == status


def test_nothing_is_run_at_a_port_that_is_taken(
    stop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        words = ["fit", a_model(tmp_path), "-c", "256", "--measure", port]
        status = run(words, look=lambda _: NO_CARD)

    expected = f"vramline: --measure {port}: another program listens at this port\n"
    assert (status, *capsys.readouterr()) == (2, "", expected)
    assert not stop.exists()


def test_nothing_is_run_on_a_recorded_machine(
    stop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("fit", a_model(tmp_path), "--measure")

    expected = "vramline: --measure does not go with --from: nothing is run there\n"
    assert ask(capsys, recording(tmp_path), NO_CARD, *words) == (2, "", expected)
    assert not stop.exists()
