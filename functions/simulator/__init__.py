"""The simulator: a tutoring marketplace that writes its events to the stream, as a Lambda and a command."""
