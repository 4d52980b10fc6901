"""Tests of the machine: live, recorded, captured."""

from hypothesis import settings

PATIENT = settings(deadline=None)
"""A busy machine is no failure."""
