"""Integrations with web frameworks and OpenTelemetry; import each by its name."""
