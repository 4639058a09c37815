"""Searching a recipe's settings: trials between the ranges that it declares, judged on grouped tracks, kept as they are done.

``trial`` judges one set of settings; ``search`` proposes them, by Optuna, and remembers them in its journal; ``running`` is the
whole of it; ``found`` is what it came to.
"""
