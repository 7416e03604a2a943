"""The report page: what it shows (`data`), where that comes from (`gather`), its charts (`charts`), its HTML (`page`).

Only `gather` reads anything; the rest is pure.
"""
