"""The notifier: takes each alert from the bus to the topic of its severity, as text for people and JSON for machines.

`handler` is what Lambda calls; `message` makes what SNS is given, `wording` what people read, and both are pure: no AWS
client, no clock. It needs nothing but boto3, which comes with the runtime.
"""
