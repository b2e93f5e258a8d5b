"""What to say where a framework is not installed."""

from __future__ import annotations

from plastiq_async.errors import ConfigurationError


def explain_missing(
    error: ModuleNotFoundError, module: str, package: str, needed_by: str
) -> Exception:
    """Return the error to raise: the same one, if it is not `module` that is missing.

    Args:
        error: What the import raised.
        module: What is imported.
        package: What brings it, and is not ours to bring along.
        needed_by: Our own module that needs it.
    """
    if not f"{module}.".startswith(f"{error.name}."):
        return error
    return ConfigurationError(
        f"{needed_by} needs a package that is not installed: pip install {package}"
    )
