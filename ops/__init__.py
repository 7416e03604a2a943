"""What operators do by hand: put quarantined and failed records back on the stream, audit the table.

`iops --help`. Each task is a function over clients that it is given; `__main__` is the command line around
them.
"""
