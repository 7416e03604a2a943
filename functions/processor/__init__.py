"""The stream processor: events in, exact sliding windows and alerts out.

One module per step of a batch's way: decode, validate, arrivals, packing, absorb (facts, folding), registers, windows,
alerts, item, plan, store, publish, quarantine; `process` runs them, `handler` and `roll` are what Lambda calls.
Everything up to and including `plan` is pure: no AWS client, no clock.
"""
