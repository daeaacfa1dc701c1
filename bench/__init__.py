"""Measures, run by hand: how true the engine's cut-outs are, and how fast, beside others'."""
