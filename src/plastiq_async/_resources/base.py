"""`Resource`, the base of all resources."""

from plastiq_async._pipeline import Pipeline


class Resource:
    """A namespace of operations.

    A method builds an `Operation` and lets the pipeline run it::

        return await self._pipeline.run(operation, options)
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
