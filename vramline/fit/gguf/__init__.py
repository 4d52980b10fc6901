"""GGUF, versions 2 and 3, in either byte order, in one file or in several.

A file is a magic number, the metadata, and the list of tensors; their data follows and is not
read. https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from vramline.fit.gguf.parts import read_gguf

__all__ = ["read_gguf"]
