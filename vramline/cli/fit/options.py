"""The options of ``vramline fit`` and ``vramline models``."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vramline.cli.fit.setting_options import SETTINGS, Row
from vramline.cli.fit.words_taken import backends, names, port, shares, size
from vramline.fit.settings import Backend, Runner
from vramline.readings import FrozenDict

USUAL_PORT = 8080
"""llama-server's."""

RUNNER_NAMES = tuple(runner.value for runner in Runner)

NOTHING_SAID: Mapping[str, Any] = FrozenDict()


@dataclass(frozen=True, slots=True, kw_only=True)
class FitOptions:
    """What the user asked of the models here.

    Attributes:
        model: A file, a folder or a name; empty where none was named.
        folders: Where to look for models too.
        everything: Every model is to be listed.
        runner: ``None``: whichever is there.
        said: The settings that were said, by their names in ``Settings``.
        devices: As they were named; ``None``: not said.
        shares: ``--tensor-split``.
        projector: The file with what turns images or sound into tokens.
        keep_free_bytes: On each device. ``None``: the usual.
        keep_host_bytes: Likewise.
        need_only: Nobody asks whether it fits.
        imagined: The backends of the devices of a machine that is not this one.
        asks_for_opinion: ``None``: where it costs nobody anything.
        measures_at: The port at which it is to be run, to learn what that takes.
        tells_learned: What was learned on this machine is to be shown.
        forgets: Of which runner that is to be forgotten: ``all``, or its name.
    """

    model: str = ""
    folders: tuple[str, ...] = ()
    everything: bool = False
    runner: Runner | None = None
    said: Mapping[str, Any] = NOTHING_SAID
    devices: tuple[str, ...] | None = None
    shares: tuple[float, ...] = ()
    projector: str | None = None
    keep_free_bytes: int | None = None
    keep_host_bytes: int | None = None
    need_only: bool = False
    imagined: tuple[Backend, ...] | None = None
    asks_for_opinion: bool | None = None
    measures_at: int | None = None
    tells_learned: bool = False
    forgets: str | None = None

    @property
    def is_exact(self) -> bool:
        """Whether the user said himself what goes where, so that nothing is chosen for him."""
        if self.devices is not None or self.shares or not PLACING.isdisjoint(self.said):
            return True
        keys, values = (self.said.get(name) for name in ("cache_type_k", "cache_type_v"))
        return keys is not values


PLACING = frozenset(("device_layers", "host_expert_layers", "outputs"))
"""Settings that a plan chooses, or cannot keep to: where one is said, exactly that is judged."""


QUESTIONS: Mapping[str, dict[str, Any]] = {
    "--need": {
        "dest": "need_only",
        "action": "store_true",
        "help": "what exactly these settings take, not whether it fits",
    },
    "--on": {
        "dest": "imagined",
        "type": backends,
        "metavar": "LIST",
        "help": "the same for another machine, by its devices: cuda,cuda or none",
    },
    "--second-opinion": {
        "dest": "asks_for_opinion",
        "action": argparse.BooleanOptionalAction,
        "help": "ask llama-fit-params too, which starts the GPU's driver",
    },
    "--measure": {
        "dest": "measures_at",
        "type": port,
        "nargs": "?",
        "const": USUAL_PORT,
        "metavar": "PORT",
        "help": f"run it (llama-server, at port {USUAL_PORT}), and learn what that takes",
    },
    "--learned": {
        "dest": "tells_learned",
        "action": "store_true",
        "help": "what loading models took on this machine before",
    },
    "--forget": {
        "dest": "forgets",
        "nargs": "?",
        "const": "all",
        "choices": ("all", *RUNNER_NAMES),
        "metavar": "RUNNER",
        "help": "forget that, of one runner or of all",
    },
}
"""What else can be asked."""


class _Say(argparse.Action):
    """Notes a setting that was said, in one place for all of them."""

    def __init__(self, *args: Any, row: Row, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._row = row

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Note it; a later word for the same setting counts."""
        said = {**(getattr(namespace, "said", None) or {})}
        value = self._row.value if self._row.take is None else values
        said.pop(self._row.field, None)
        if value is not None:
            said[self._row.field] = value
        namespace.said = said


def add_models(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``vramline models``."""
    parser.add_argument("folders", metavar="FOLDER", nargs="*", help="look here too")
    parser.add_argument("--all", dest="everything", action="store_true", help="list every model")
    _add_wishes(parser)
    _add_rows(parser, [row for row in SETTINGS if row.field in ("context_tokens", "sequences")])


def add_fit(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``vramline fit``."""
    parser.add_argument(
        "model",
        metavar="MODEL",
        nargs="?",
        default="",
        help="a file, a folder of safetensors, or a name as `vramline models` has it",
    )
    _add_wishes(parser)
    group = parser.add_argument_group("settings, as llama.cpp calls them (not said: chosen)")
    _add_rows(group, SETTINGS)
    group.add_argument(
        "-dev",
        "--device",
        dest="devices",
        type=names,
        metavar="LIST",
        help="devices by their number here, or uid (none: the processor)",
    )
    group.add_argument(
        "-ts", "--tensor-split", dest="shares", type=shares, metavar="LIST", help="as 3,1"
    )
    group.add_argument("-mm", "--mmproj", dest="projector", metavar="FILE", help="a projector")
    _add_questions(parser.add_argument_group("other questions"))


def _add_wishes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--runner",
        choices=RUNNER_NAMES,
        metavar="NAME",
        help=f"what loads it: {', '.join(RUNNER_NAMES)} (not said: what is installed)",
    )
    parser.add_argument(
        "--keep-free",
        dest="keep_free_bytes",
        type=size,
        metavar="SIZE",
        help="what stays free on each device (1GiB, less on small ones)",
    )
    parser.add_argument(
        "--keep-host",
        dest="keep_host_bytes",
        type=size,
        metavar="SIZE",
        help="and of the host's memory (2GiB)",
    )


def _add_questions(group: "argparse._ArgumentGroup") -> None:
    for flags, given in QUESTIONS.items():
        group.add_argument(flags, **given)


def _add_rows(group: "argparse._ActionsContainer", rows: Sequence[Row]) -> None:
    for row in rows:
        usual: dict[str, Any] = {"nargs": 0} if row.take is None else {"type": row.take}
        if row.take is not None:
            usual["metavar"] = row.shown
        group.add_argument(*row.flags, dest="said", action=_Say, row=row, help=row.help, **usual)


def fit_options(found: argparse.Namespace) -> FitOptions:
    """Return what was asked for, of what the parser found."""
    given = {
        name: value
        for name, value in vars(found).items()
        if name in FitOptions.__dataclass_fields__ and value is not None
    }
    given["said"] = FrozenDict(given.get("said", {}))
    if "folders" in given:
        given["folders"] = tuple(given["folders"])
    if "runner" in given:
        given["runner"] = Runner(given["runner"])
    return FitOptions(**given)


def contradiction(found: FitOptions) -> str:
    """Return which options do not go together, in words; empty where all do."""
    if not found.model and not found.tells_learned and found.forgets is None:
        return "which model? `vramline models` lists those that are here"
    if found.measures_at is not None and (found.need_only or found.imagined is not None):
        return "--measure does not go with --need and --on: it runs the model here"
    if found.imagined is not None and found.devices is not None:
        return "--on does not go with --device: it says the devices"
    count_of_devices = len(found.imagined or found.devices or found.shares)
    if found.shares and len(found.shares) != count_of_devices:
        return f"--tensor-split has {len(found.shares)} shares for {count_of_devices} devices"
    return ""
