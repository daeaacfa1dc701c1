"""The drop-in for remove.bg (§ 7 of the contract): translates its parameters, results and errors.

Each call asks the upstream for one plain cut-out. Features of remove.bg that the contract lacks (ZIP files,
the alpha channel alone, translucent colours) are made from that cut-out here.
"""
