"""The stream processor: events in, exact sliding windows and alerts out.

One module per step of a batch's way, in order: decode, validate, facts, registers, windows, alerts, plan,
store, publish, quarantine; `process` runs them, `handler` and `roll` are what Lambda calls. Everything up to and
including `plan` is pure: no AWS client, no clock.
"""
