"""Fault injection: an experiment for each hazard, and a control for each experiment."""
