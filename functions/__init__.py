"""The Lambda functions: `processor` (with its roll), `notifier` and `simulator`."""
