"""What Lambda calls for a batch of events (`handler`) and on a schedule for what time alone has changed (`roll`)."""
