"""From records to events: decoding and validation. Pure: no AWS client, no clock, no environment."""
