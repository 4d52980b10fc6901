"""The system's own libraries, by ctypes, as plain functions that give plain data.

What they give is what JSON has: readers get it through ``Machine.library``, and a
recording keeps it as it came. Nothing here judges what an answer means.
"""
