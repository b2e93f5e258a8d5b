"""What to say where a framework is not installed."""

from __future__ import annotations

from plastiq_async.errors import ConfigurationError


def explain_missing(
    error: ModuleNotFoundError, package: str, needed_by: str
) -> Exception:
    """Return the error to raise: the same one, if it is not `package` that is missing.

    Args:
        error: What the import raised.
        package: The package that is not ours to bring along.
        needed_by: The module that needs it.
    """
    if error.name != package:
        return error
    return ConfigurationError(
        f"{needed_by} needs a package that is not installed: pip install {package}"
    )
