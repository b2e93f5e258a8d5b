"""The error for an optional package that is not installed."""

from plastiq_async.errors import MissingDependencyError


def explain_missing(
    error: ModuleNotFoundError, module: str, package: str, needed_by: str
) -> ModuleNotFoundError:
    """Return an error that names the package to install.

    If a module other than `module` is missing, return `error` itself: an installation
    that is broken is not repaired by installing `package`.

    Args:
        error: The error of the import.
        module: The module that was imported.
        package: The package to install, as pip takes it in a shell.
        needed_by: What of ours needs it.
    """
    if not f"{module}.".startswith(f"{error.name}."):
        return error
    missing = MissingDependencyError(
        f"{needed_by} needs a package that is not installed: pip install {package}"
    )
    missing.name = error.name
    return missing
