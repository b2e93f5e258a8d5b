"""One module per resource: what can be asked of the API."""
