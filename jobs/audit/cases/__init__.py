"""Show people what isn't clear, as cases with evidence and a few actions.

A case is derived from the rows that need a person, and never stored: it is gone once they don't
(``queries``). What a person may do about each kind is in ``actions``.
"""
