"""What operators do by hand: look at a stack, put back what was kept aside, check what is stored, write the report.

`iops --help`. Each task is a function over clients that it is given; `ops.commands` is the command line around them.
"""
