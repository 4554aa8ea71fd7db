"""The PyFlink jobs: raw blocks in, feature rows out, to both stores, from one operator.

`launch` is the way in for the rest of the product; it starts each job in a process of its own, so that nothing else
ever imports PyFlink or starts a Java machine.
"""
