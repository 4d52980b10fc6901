"""The models on this disk, whoever put them there."""

from vramline.fit.library.found import FileFormat, FoundModel, Library, Source, UnreadablePlace
from vramline.fit.library.headers import header_of
from vramline.fit.library.kept import NAME, VERSION
from vramline.fit.library.layouts import layout_of
from vramline.fit.library.look import Progress, look
from vramline.fit.library.naming import find_model
from vramline.fit.library.places import Place, places_of

__all__ = [
    "NAME",
    "VERSION",
    "FileFormat",
    "FoundModel",
    "Library",
    "Place",
    "Progress",
    "Source",
    "UnreadablePlace",
    "find_model",
    "header_of",
    "layout_of",
    "look",
    "places_of",
]
