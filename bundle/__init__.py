"""What goes into Lambda: the functions' code and the layer of their dependencies. Nothing here talks to AWS."""
