"""Where the results of a batch are put: logits, and embeddings where they are asked for.

https://github.com/ggml-org/llama.cpp/blob/master/src/llama-context.cpp (``output_reserve``)
"""

from vramline.fit.settings import Effect, Settings
from vramline.fit.shape import Shape

FLOAT_BYTES = 4


def output_bytes(shape: Shape, settings: Settings, rows: int) -> int:
    """Return what *rows* tokens' results take. A context begins with a row a sequence."""
    row = shape.vocabulary + (shape.embedding_length_out if settings.embeddings else 0)
    return FLOAT_BYTES * rows * row


def most_output_bytes(shape: Shape, settings: Settings, effect: Effect) -> int:
    """Return what it may grow to: every token of a batch is asked for where embeddings are."""
    rows = effect.batch_tokens if settings.embeddings else effect.sequences
    return output_bytes(shape, settings, max(rows, effect.sequences))
