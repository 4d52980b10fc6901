"""What a model needs, and whether it fits: values in, values out.

Nothing here reads a machine or prints. ``header_file`` alone opens files, and reads no further
than their headers.
"""
