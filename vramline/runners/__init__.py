"""Which runners are installed here, and which models they have loaded now."""

from vramline.runners.asked import loaded_models
from vramline.runners.found import find_runners
from vramline.runners.installed import InstalledRunner
from vramline.runners.loaded import LoadedModels
from vramline.runners.second_opinion import SecondOpinion, second_opinion

__all__ = [
    "InstalledRunner",
    "LoadedModels",
    "SecondOpinion",
    "find_runners",
    "loaded_models",
    "second_opinion",
]
