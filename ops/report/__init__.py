"""The report page.

`data` says what it shows, `gather` reads that from a stack with the `read_...` modules, `charts` draws the figures, and
`page` writes the HTML. Only `gather` and what it calls read anything.
"""
