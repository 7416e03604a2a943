"""The policy pack: each policy alone, the program against all of them, and the pack as the CLI runs it."""
