"""Real servers on loopback, which answer as each runner does, and as none should."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.runners.machines import MachineWithServers, body, machine, process
from tests.servers import Page, sending, serving
from vramline.fit.plan.loaded import LoadedModel
from vramline.fit.settings import HOST, Runner
from vramline.machine import HttpAnswer, RecordedMachine
from vramline.machine.capture import CapturingMachine
from vramline.machine.masking import Masks
from vramline.machine.writing import Header, to_text
from vramline.runners import LoadedModels, loaded_models
from vramline.runners.asking import MODELS_MOST, VALUES_MOST
from vramline.runners.llama_server import MOST_SERVERS
from vramline.runners.processes import Process, runners_processes

OLLAMA, LM_STUDIO, SERVER = 11434, 1234, 8080
AT_OLLAMA = f"http://127.0.0.1:{OLLAMA}"
AT_LM_STUDIO = f"http://127.0.0.1:{LM_STUDIO}"
AT_SERVER = f"http://127.0.0.1:{SERVER}"

GEMMA = LoadedModel(
    runner=Runner.OLLAMA,
    name="gemma3:latest",
    bytes_at={HOST: 6591830464 - 5333539264},
    total_bytes=6591830464,
    gpu_bytes=5333539264,
    can_be_unloaded=True,
    endpoint=AT_OLLAMA,
    context_tokens=4096,
    expires_at=1760744827.93355,
)
QWEN = LoadedModel(
    runner=Runner.LLAMA_SERVER,
    name="Qwen3-8B-Q4_K_M.gguf",
    endpoint=AT_SERVER,
    context_tokens=32768,
)
LLAMA_3 = LoadedModel(
    runner=Runner.LM_STUDIO,
    name="meta-llama-3.1-8b-instruct",
    can_be_unloaded=True,
    endpoint=AT_LM_STUDIO,
    context_tokens=8192,
)


def asked(pages: Mapping[int, Mapping[str, Page]], *files: dict[str, Any]) -> LoadedModels:
    """Return what is told on a machine whose servers, by their ports, have these pages."""
    with machine_with(pages, *files) as there:
        return loaded_models(there)


@contextmanager
def machine_with(
    pages: Mapping[int, Mapping[str, Page]], *files: dict[str, Any], **others: Any
) -> Iterator[MachineWithServers]:
    entries = {path: entry for each in files for path, entry in each.items()}
    with ExitStack() as servers:
        real = {port: servers.enter_context(serving(each))[0] for port, each in pages.items()}
        yield MachineWithServers(real, entries, **others)


def server(*words: str, pid: int = 70, parent: int = 1) -> dict[str, str]:
    return process(pid, "/opt/llama/llama-server", *words, parent=parent)


def with_pid(model: LoadedModel, pid: int, **changes: Any) -> LoadedModel:
    return replace(model, pid=pid, **changes)


def test_where_no_runner_runs_nothing_is_loaded_and_nothing_failed() -> None:
    assert loaded_models(machine()) == LoadedModels()


# Each as its project says that it answers.


def test_ollama_tells_what_it_holds_where_and_for_how_long() -> None:
    pages = {OLLAMA: {"/api/ps": body("ollama_ps")}}

    assert asked(pages) == LoadedModels(models=(GEMMA,))


@pytest.mark.parametrize(
    "child",
    [
        process(51, "/usr/local/lib/ollama/llama-server", "--port", "8080"),
        process(51, "/somewhere/llama-server", "--port", "8080", parent=50),
        process(51, "/usr/local/bin/ollama", "runner", "--model", "blob", parent=50),
    ],
)
def test_the_process_that_holds_ollamas_only_model_is_known(child: dict[str, str]) -> None:
    daemon = process(50, "/usr/local/bin/ollama", "serve")
    pages = {OLLAMA: {"/api/ps": body("ollama_ps")}}

    assert asked(pages, daemon, child) == LoadedModels(models=(with_pid(GEMMA, 51),))


def test_a_llama_server_tells_its_model_and_its_process_is_known() -> None:
    pages = {SERVER: {"/props": body("llama_server_props")}}

    assert asked(pages, server("-m", "x.gguf")) == LoadedModels(models=(with_pid(QWEN, 70),))


def test_a_llama_server_in_a_container_is_asked_where_it_usually_listens() -> None:
    assert asked({SERVER: {"/props": body("llama_server_props")}}) == LoadedModels(models=(QWEN,))


def test_a_llama_server_is_asked_at_the_port_that_it_was_given() -> None:
    pages = {9001: {"/llm/props": body("llama_server_props")}}
    given = server("--port", "9001", "--host", "0.0.0.0", "--api-prefix", "/llm")

    assert asked(pages, given) == LoadedModels(
        models=(with_pid(QWEN, 70, endpoint="http://127.0.0.1:9001/llm"),)
    )


def test_a_server_that_sleeps_has_its_model_out_of_memory() -> None:
    asleep = body("llama_server_props").replace('"is_sleeping":false', '"is_sleeping":true')

    assert asked({SERVER: {"/props": asleep}}, server()) == LoadedModels()


def test_only_what_wakes_no_server_is_asked() -> None:
    pages = {"/props": body("llama_server_props")}
    with serving(pages) as (port, paths):
        loaded_models(MachineWithServers({SERVER: port}, server()))

    assert paths == ["/props"]


def test_a_router_tells_which_of_its_models_are_in_memory() -> None:
    name = "ggml-org/gemma-3-4b-it-GGUF:Q4_K_M"
    pages = {
        SERVER: {
            "/props": body("llama_server_router_props"),
            "/models": body("llama_server_router_models"),
        }
    }
    first = LoadedModel(
        runner=Runner.LLAMA_SERVER,
        name=name,
        pid=71,
        can_be_unloaded=True,
        endpoint=AT_SERVER,
        context_tokens=8192,
    )
    child = server("--port", "40001", "--alias", name, pid=71, parent=70)

    told = asked(pages, server(), child)

    assert told.models[0] == first
    assert [(each.name, each.pid) for each in told.models[1:]] == [("Qwen3-1.7B-Q8_0", None)]
    assert told.failures == {}


def test_lm_studio_tells_the_instances_that_it_has_loaded() -> None:
    pages = {LM_STUDIO: {"/api/v1/models": body("lm_studio_v1_models")}}

    assert asked(pages) == LoadedModels(
        models=(
            LoadedModel(
                runner=Runner.LM_STUDIO,
                name="google/gemma-4-26b-a4b",
                can_be_unloaded=True,
                endpoint=AT_LM_STUDIO,
                context_tokens=4096,
            ),
        )
    )


@pytest.mark.parametrize(
    "newer",
    [
        (404, "{}"),
        '{"error": "Unexpected endpoint or method. (GET /api/v1/models)"}',
    ],
)
def test_an_older_lm_studio_is_asked_in_its_own_way(newer: Page) -> None:
    pages = {LM_STUDIO: {"/api/v1/models": newer, "/api/v0/models": body("lm_studio_v0_models")}}
    engine = process(
        80, "/people/me/.lmstudio/extensions/backends/llama.cpp-x/llama-server", "--port", "1"
    )

    assert asked(pages) == LoadedModels(models=(LLAMA_3,))
    assert asked(pages, engine) == LoadedModels(models=(with_pid(LLAMA_3, 80),))


def test_lm_studio_is_asked_at_the_port_that_was_set_in_it() -> None:
    files = {"/people/me/.lmstudio/.internal/http-server-config.json": '{"port": 4321}'}
    pages = {4321: {"/api/v1/models": body("lm_studio_v1_models")}}

    with machine_with(pages, files, environ={"HOME": "/people/me"}) as there:
        (model,) = loaded_models(there).models

    assert model.endpoint == "http://127.0.0.1:4321"


# Where Ollama is.


@pytest.mark.parametrize(
    ("said", "place"),
    [
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:9999", "http://127.0.0.1:9999"),
        (":9999", "http://127.0.0.1:9999"),
        ("localhost:9999", "http://localhost:9999"),
        ("'http://127.0.0.1/'", "http://127.0.0.1:80"),
        ("http://0.0.0.0:9999/", "http://127.0.0.1:9999"),
        ("http://127.0.0.1:9999/ollama", "http://127.0.0.1:9999"),
        ("[::]:9999", "http://[::1]:9999"),
        ("::1", "http://[::1]:11434"),
        ("127.0.0.1:99999", "http://127.0.0.1:11434"),
        ("  ", "http://127.0.0.1:11434"),
    ],
)
def test_ollama_is_asked_where_its_variable_says_that_it_listens(said: str, place: str) -> None:
    there = machine(environ={"OLLAMA_HOST": said}, fetched={f"{place}/api/ps": body("ollama_ps")})

    (model,) = loaded_models(there).models

    assert model.endpoint == place


NOT_LOOPBACK = "OLLAMA_HOST names an address that is not loopback's, and no other is asked"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("192.0.2.7", NOT_LOOPBACK),
        ("gpu-box:9999", NOT_LOOPBACK),
        ("https://127.0.0.1", "OLLAMA_HOST wants https, and only http is spoken here"),
    ],
)
def test_another_machines_ollama_is_not_asked_and_that_is_said(said: str, why: str) -> None:
    assert loaded_models(machine(environ={"OLLAMA_HOST": said})).failures == {"Ollama": why}


@pytest.mark.parametrize(
    ("said", "place"),
    [
        ("this-box:9999", "http://127.0.0.1:9999"),
        ("http://192.0.2.7", "http://127.0.0.1:80"),
        ("https://ollama.example", "http://127.0.0.1:11434"),
    ],
)
def test_what_ollama_has_loaded_here_is_told_however_this_machine_is_named(
    said: str, place: str
) -> None:
    there = machine(environ={"OLLAMA_HOST": said}, fetched={f"{place}/api/ps": body("ollama_ps")})

    assert loaded_models(there) == LoadedModels(models=(replace(GEMMA, endpoint=place),))


# What runs, and is not where it is asked.


def test_an_ollama_that_listens_elsewhere_is_told() -> None:
    daemon = process(50, "/usr/local/bin/ollama", "serve")

    assert asked({}, daemon) == LoadedModels(
        failures={"Ollama": f"it runs, but not at {AT_OLLAMA}: set OLLAMA_HOST to where it does"}
    )
    assert asked({}, process(50, "/usr/local/bin/ollama", "run", "gemma3")) == LoadedModels()


def test_lm_studio_without_its_server_is_told() -> None:
    assert asked({}, process(80, "/opt/LM-Studio/lm-studio")) == LoadedModels(
        failures={"LM Studio": "it runs, and its server does not: `lms server start` starts it"}
    )


def test_what_else_listens_at_lm_studios_port_is_nobodys_business() -> None:
    pages: dict[int, dict[str, Page]] = {LM_STUDIO: {"/": "<title>my page</title>"}}
    installed: dict[str, Any] = {"/people/me/.lmstudio/bin": {"dir": []}}

    assert asked(pages) == LoadedModels()
    with machine_with(pages, installed, environ={"HOME": "/people/me"}) as there:
        assert loaded_models(there) == LoadedModels(
            failures={f"LM Studio at {AT_LM_STUDIO}": "it answered with HTTP status 404"}
        )


# What should not be answered.


@pytest.mark.parametrize(
    ("page", "why"),
    [
        ((401, '{"error": "unauthorized"}'), "it wants a key, and none is sent"),
        ((500, "{}"), "it answered with HTTP status 500"),
        ("<!DOCTYPE html><title>Jenkins</title>", "it answered with what is not JSON"),
        ("[]", "it answered with what is not JSON"),
        ('"models"', "it answered with what is not JSON"),
        ("[" * 100_000, "it answered with what is not JSON"),
        ('{"models": [' + "{}," * VALUES_MOST + "{}]}", "it answered with what is not JSON"),
        ('{"models": [{"size": ' + "9" * 5000 + "}]}", "it answered with what is not JSON"),
        ("{}", "what answers there is not Ollama"),
        ('{"models": null}', "what answers there is not Ollama"),
    ],
)
def test_what_ollama_would_not_answer_is_told(page: Page, why: str) -> None:
    assert asked({OLLAMA: {"/api/ps": page}}) == LoadedModels(
        failures={f"Ollama at {AT_OLLAMA}": why}
    )


@pytest.mark.parametrize(
    "figures",
    [
        '"size": -1, "size_vram": -1',
        '"size": 1, "size_vram": 2',
        '"size": "6", "size_vram": true, "context_length": "4096"',
        '"size": 1e300, "size_vram": NaN, "context_length": 0, "expires_at": 7',
        '"size": 99999999999999999999, "size_vram": 0, "context_length": -4096',
        '"size": 1, "expires_at": "0001-01-01T00:00:00Z"',
        '"size": 1, "expires_at": "tomorrow"',
    ],
)
def test_figures_that_cannot_be_are_not_known(figures: str) -> None:
    page = f'{{"models": [7, {{"name": ""}}, {{"name": "a\\nb", {figures}}}]}}'

    assert asked({OLLAMA: {"/api/ps": page}}) == LoadedModels(
        models=(
            LoadedModel(runner=Runner.OLLAMA, name="a?b", can_be_unloaded=True, endpoint=AT_OLLAMA),
        )
    )


def test_no_more_models_are_told_than_memory_holds() -> None:
    many = ", ".join(f'{{"name": "{at}"}}' for at in range(MODELS_MOST + 1))

    told = asked({OLLAMA: {"/api/ps": f'{{"models": [{many}]}}'}})

    assert len(told.models) == MODELS_MOST


def test_a_model_that_stays_for_ever_is_let_go_of_at_no_time_that_matters() -> None:
    page = '{"models": [{"name": "a", "expires_at": "2318-11-12T00:00:00.123456789+01:00"}]}'

    (model,) = asked({OLLAMA: {"/api/ps": page}}).models

    assert model.expires_at == datetime(2318, 11, 11, 23, 0, 0, 123456, UTC).timestamp()


def test_a_server_that_never_answers_is_told_and_hides_no_other() -> None:
    pages = {"/props": body("llama_server_props")}
    with sending(closes=False) as hung, serving(pages) as (port, _):
        told = loaded_models(MachineWithServers({OLLAMA: hung, SERVER: port}, {}))

    assert told == LoadedModels(
        models=(QWEN,),
        failures={f"Ollama at {AT_OLLAMA}": "it did not answer within 0.5 seconds"},
    )


def test_a_server_that_speaks_something_else_is_told() -> None:
    with sending(b"SSH-2.0-OpenSSH_9.6\r\n") as port:
        told = loaded_models(MachineWithServers({OLLAMA: port}, {}))

    assert told.failures == {f"Ollama at {AT_OLLAMA}": "it gave no usable answer (Protocol error)"}


@pytest.mark.parametrize("page", ["<html>", "{}", (401, "no"), '{"role": "reader"}'])
def test_what_else_listens_at_llama_servers_port_is_nobodys_business(page: Page) -> None:
    assert asked({SERVER: {"/props": page}}) == LoadedModels()


@pytest.mark.parametrize(
    ("page", "why"),
    [
        ((401, "no"), "it wants a key, and none is sent"),
        ((503, "{}"), "it still loads its model"),
        ("{}", "what answers there is no llama-server"),
    ],
)
def test_a_servers_process_tells_of_its_model_where_it_does_not_itself(
    page: Page, why: str
) -> None:
    started = server("-m", "/srv/models/Qwen3-8B-Q4_K_M.gguf")

    assert asked({SERVER: {"/props": page}}, started) == LoadedModels(
        models=(with_pid(QWEN, 70, context_tokens=None),),
        failures={f"llama-server at {AT_SERVER}": why},
    )


@pytest.mark.parametrize(
    "words",
    [
        ("--host", "192.0.2.7"),
        ("--host", "/run/llama.sock"),
        ("--port", "0"),
        ("--port", "99999"),
        ("--port", "\u0661"),
    ],
)
def test_a_server_that_cannot_be_reached_on_loopback_is_known_by_its_process(
    words: tuple[str, str],
) -> None:
    told = asked({}, server(*words, "-hf", "org/model:Q4_K_M"))

    assert told == LoadedModels(
        models=(LoadedModel(runner=Runner.LLAMA_SERVER, name="model:Q4_K_M", pid=70),),
        failures={"llama-server (process 70)": "it cannot be asked from here"},
    )


def test_of_two_processes_at_one_port_nobody_knows_which_one_answers() -> None:
    pages = {SERVER: {"/props": body("llama_server_props")}}

    assert asked(pages, server(), server(pid=71)) == LoadedModels(
        models=(QWEN,),
        failures={f"llama-server at {AT_SERVER}": "several would listen there, and one did"},
    )


def test_of_two_processes_where_nobody_answers_both_are_known() -> None:
    told = asked({}, server("-m", "/a.gguf"), server("--model", "/b.gguf", pid=71))

    assert told == LoadedModels(
        models=(
            LoadedModel(runner=Runner.LLAMA_SERVER, name="a.gguf", pid=70, endpoint=AT_SERVER),
            LoadedModel(runner=Runner.LLAMA_SERVER, name="b.gguf", pid=71, endpoint=AT_SERVER),
        ),
        failures={f"llama-server at {AT_SERVER}": "nobody listens there"},
    )


@pytest.mark.parametrize("host", ["::", "localhost", "127.0.0.1,::1"])
def test_a_server_at_several_addresses_is_told_once(host: str) -> None:
    addresses = [f"http://{address}:8080/props" for address in ("127.0.0.1", "[::1]", "localhost")]
    there = machine(
        files=server("--host", host),
        fetched=dict.fromkeys(addresses, body("llama_server_props")),
    )

    (model,) = loaded_models(there).models

    assert (model.name, model.pid) == (QWEN.name, 70)


def test_llama_serve_is_a_llama_server() -> None:
    pages = {9001: {"/props": body("llama_server_props")}}
    serves = process(70, "/opt/llama/bin/llama", "serve", "--port", "9001")
    gets = process(71, "/opt/llama/bin/llama", "download", "--port", "9001")

    assert asked(pages, serves, gets) == LoadedModels(
        models=(with_pid(QWEN, 70, endpoint="http://127.0.0.1:9001"),)
    )


def test_of_more_servers_than_are_asked_each_is_known_by_its_process() -> None:
    many = [
        server("--port", str(9000 + at), "-m", f"/{at}.gguf", pid=100 + at)
        for at in range(MOST_SERVERS + 1)
    ]

    told = asked({}, *many)

    assert len(told.models) == MOST_SERVERS + 1
    assert told.failures[f"llama-server (process {100 + MOST_SERVERS})"] == (
        "it cannot be asked from here"
    )


class Hanging(MachineWithServers):
    """A machine where nothing that is asked ever comes back."""

    def fetch(self, url: str, *, timeout_seconds: float) -> HttpAnswer:
        threading.Event().wait()
        raise AssertionError


def test_a_machine_that_hangs_is_left_behind() -> None:
    told = loaded_models(Hanging({}, {}), patience_seconds=0.05)

    why = "it did not answer in time"
    assert told == LoadedModels(
        failures={"Ollama": why, "LM Studio": why, f"llama-server at {AT_SERVER}": why}
    )


class Broken(MachineWithServers):
    """A machine that fails as none should."""

    def fetch(self, url: str, *, timeout_seconds: float) -> HttpAnswer:
        raise RuntimeError("out of order")


def test_an_error_of_ours_hides_no_other_runner() -> None:
    started = server("--host", "192.0.2.7", "-m", "/a.gguf")

    told = loaded_models(Broken({}, started))

    assert [each.name for each in told.models] == ["a.gguf"]
    assert told.failures["Ollama"] == "asking it failed (RuntimeError('out of order'))"


def test_what_was_asked_of_servers_is_replayed_from_a_capture() -> None:
    pages: dict[int, dict[str, Page]] = {
        OLLAMA: {"/api/ps": body("ollama_ps")},
        LM_STUDIO: {"/api/v1/models": (401, "no")},
        SERVER: {"/props": body("llama_server_props")},
    }
    with machine_with(pages, server("--api-key", "secret"), clock=lambda: 0.0) as there:
        live = CapturingMachine(there)
        told = loaded_models(live)

    header = Header(version="0", taken_at=datetime(2026, 1, 2, tzinfo=UTC))
    recording = to_text(live.to_dict(header, Masks()))

    assert loaded_models(RecordedMachine.from_dict(recording)) == told
    assert [each.name for each in told.models] == [GEMMA.name, QWEN.name]
    assert "secret" not in recording


# Processes.


def test_a_runners_processes_are_found_among_all() -> None:
    files = {
        **process(1, "/sbin/init"),
        **process(7, "/opt/my (own) tools/llama-server", "--port", "9001", parent=3),
        **process(8, "/usr/bin/python3", "llama-server"),
        "/proc/9/stat": "9 (llama-server) S 1 9\n",
        "/proc/10/stat": "garbage",
        "/proc/self/stat": "7 (llama-server) S 1 7\n",
    }

    assert runners_processes(machine(files=files)) == (
        Process(
            pid=7,
            parent=3,
            name="llama-server",
            words=("/opt/my (own) tools/llama-server", "--port", "9001"),
        ),
        Process(pid=9, parent=1, name="llama-server"),
    )


def test_where_there_is_no_proc_psutil_is_asked() -> None:
    calls = {
        "pids()": [4, 5, 6],
        "Process(4)": {"handle": "Process"},
        "Process(4).name()": "System",
        "Process(5)": {"handle": "Process"},
        "Process(5).name()": "LLAMA-Server.exe",
        "Process(5).cmdline()": ["C:\\llama\\llama-server.exe", "--port", "9001"],
        "Process(5).ppid()": 4,
        "Process(6)": {"handle": "Process"},
        "Process(6).name()": "ollama.exe",
        "Process(6).cmdline()": {"raises": "AccessDenied", "message": ""},
        "Process(6).ppid()": 1,
    }
    windows = machine(platform="win32", libraries={"psutil": {"calls": calls}})

    assert runners_processes(windows) == (
        Process(
            pid=5,
            parent=4,
            name="llama-server",
            words=("C:\\llama\\llama-server.exe", "--port", "9001"),
        ),
        Process(pid=6, parent=1, name="ollama"),
    )
    assert runners_processes(machine(platform="darwin")) == ()


def test_the_last_of_an_option_counts() -> None:
    twice = Process(pid=1, name="llama-server", words=("x", "-m", "a", "--model", "b", "-m"))

    assert twice.option("-m", "--model") == "b"
    assert twice.option("--port") is None


def test_an_option_may_be_written_with_underscores() -> None:
    written = Process(pid=1, name="llama-server", words=("x", "--api_prefix", "/a_b"))

    assert written.option("--api-prefix") == "/a_b"


def test_the_first_of_several_names_is_the_models() -> None:
    started = server("--host", "192.0.2.7", "--alias", "fast, chat", "-m", "/a.gguf")

    (model,) = asked({}, started).models

    assert model.name == "fast"
