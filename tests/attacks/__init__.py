"""Attacks: what strangers try, one table for each kind, each case with the answer it must get.

`python -m tests.attacks` puts every recorded answer at hand through the real fetch and parse and prints what became
of it.
"""
