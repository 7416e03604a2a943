"""Other ways to keep the same windows over the same events, each written as its users would, results checked equal."""
