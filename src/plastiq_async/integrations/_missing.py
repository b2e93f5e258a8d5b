"""The error for a framework that is not installed."""

from __future__ import annotations

from plastiq_async.errors import ConfigurationError


def explain_missing(
    error: ModuleNotFoundError, module: str, package: str, needed_by: str
) -> Exception:
    """Return an error that names the package to install.

    If a module other than `module` is missing, return `error` itself.

    Args:
        error: The error of the import.
        module: The module that was imported.
        package: The package to install.
        needed_by: The module of ours that imports it.
    """
    if not f"{module}.".startswith(f"{error.name}."):
        return error
    return ConfigurationError(
        f"{needed_by} needs a package that is not installed: pip install {package}"
    )
