"""The drop-in for remove.bg (§ 7 of the contract): its parameters as ours, and our results as its own.

Each call asks the upstream for one cut-out. What the other service can do and the contract can't (a ZIP, the
alpha alone, a transparent colour) is made of that here.
"""
