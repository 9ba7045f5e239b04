"""Comparisons behind choices that the design leaves open, each runnable: `hwangso experiment NAME`.

They are simulations of events, without sockets or tasks: the same seed gives the same figures.
"""
