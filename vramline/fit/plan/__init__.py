"""What runs best here now: values in, values out.

``plan`` chooses among ``Candidate``s what a ``Wish`` asks for, on the machine of a ``Snapshot``.
"""
