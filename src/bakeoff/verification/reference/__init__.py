"""Layers, losses and optimizers in float64 NumPy, ours and nobody else's: what contestants are compared with.

Written from their definitions, to be read and checked, not to be fast. Each can also be computed in the ways
in which frameworks are known to differ (`semantics.Semantics`), so that a suspected cause is tried, not
guessed.
"""
