"""Transports, and what is common to them."""
