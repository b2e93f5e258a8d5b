"""Transports: what carries a request to the server and its response back."""
