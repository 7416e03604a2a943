"""The commands of the operators' command line, a module for each or for each group; `ops.__main__` puts them together.

A command takes a `Target`, reads through the modules beside this package and shows what came of it.
"""
