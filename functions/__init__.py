"""The Lambda functions: `processor` (with its roll) and `simulator`."""
