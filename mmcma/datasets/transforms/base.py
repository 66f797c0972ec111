"""What every step of a pipeline is."""
from abc import ABC, abstractmethod


class BaseTransform(ABC):
    """A step of a pipeline, called with the results of the step before it.

    It is the interface of mmcv's, whose transforms stand in a pipeline as well; so mmcv, a package that is built from
    source where it is installed, is not needed.
    """

    def __call__(self, results: dict) -> dict | None:
        return self.transform(results)

    @abstractmethod
    def transform(self, results: dict) -> dict | None:
        """The results with what this step adds; None where the sample cannot be used."""
