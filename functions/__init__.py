"""The Lambda functions, from the pure core outwards.

`model` holds the shared words; `events` turns records into events; `entities` is the core (facts, windows, alerts, the
stored item); `aws` is the edge. `processor`, `rollup`, `notifier` and `simulator` hold what Lambda calls.
"""
