"""The operators' command line: look at a stack, put back what was set aside, check what is stored, write the report.

`iops --help` lists the commands. Each folder holds one theme: its tasks, which are functions over clients that they are
given, and in `commands` the command line around them.
"""
