"""The edge: clients, the table, the bus, the quarantine, configuration and time; `update` runs a batch over them."""
