"""Integrations: web frameworks, OpenTelemetry and Redis; import each by its name."""
