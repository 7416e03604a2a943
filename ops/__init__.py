"""The operators' command line: look at a stack, put back what was set aside, check what is stored, write the report.

`iops --help` lists the commands, and `ops/__main__.py` names the module of each.

Each folder is one theme. Its `commands/` has one module for each command, which reads the options and prints the
result. The modules beside `commands/` do the work: they take clients as arguments. A theme imports only those below it:
report, entities, health, quarantine. `traffic` stands alone. What all themes share is in this folder:

- `target`, `aws`: where a command looks, its clients, and what an AWS error means;
- `options`, `running`, `printing`: what every command has in common;
- `function_logs`, `items`, `metrics_table`: what several themes read.
"""
