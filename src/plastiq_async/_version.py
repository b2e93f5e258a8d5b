"""The version of the package; the build reads it from here."""

# A constant, because the installed metadata may be absent, as in a frozen application.
__version__ = "0.1.0"
