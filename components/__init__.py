"""The system's parts as Pulumi components, one module each. None reads config, builds code or makes a provider."""
