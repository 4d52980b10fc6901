"""safetensors, in one file or in several, with the ``config.json`` beside them.

A file is the length of its header, the header as JSON, and the tensors' data, which is not
read. https://github.com/huggingface/safetensors#format. A model in several files has an index,
which says which tensor is in which; ``config.json`` has the model's dimensions.
https://huggingface.co/docs/transformers/main/en/models#model-sharding
"""

from vramline.fit.safetensors.parts import read_folder, read_safetensors

__all__ = ["read_folder", "read_safetensors"]
