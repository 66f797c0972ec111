"""mmengine's runners with a terminal for people: it shows what trains, progress and results; the log file has all."""
import logging

from mmengine.logging import MMLogger
from mmengine.runner import FlexibleRunner, Runner

#: How warnings begin that mmengine gives of itself, whatever a config says.
_OF_MMENGINE_ITSELF = ('"FileClient" will be deprecated', '"HardDiskBackend" is the alias')


class _ForPeople:
    """While the runner is built, which tells of environment, config and hooks, the terminal shows warnings alone."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self._terminal.setLevel(self._terminal_level)

    def _log_env(self, *args) -> None:
        """The first that either runner tells."""
        self._terminal = MMLogger.get_current_instance().handlers[0]  # its order: the terminal, then a file
        self._terminal_level = self._terminal.level
        self._terminal.setLevel(max(self._terminal_level, logging.WARNING))
        self._terminal.addFilter(_concerns_the_user)
        super()._log_env(*args)  # type: ignore[misc]  # of either runner


class RetrievalRunner(_ForPeople, Runner):
    """mmengine's ``Runner``."""


class RetrievalFlexibleRunner(_ForPeople, FlexibleRunner):
    """mmengine's ``FlexibleRunner``, for its strategies, such as FSDP."""


def _concerns_the_user(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(_OF_MMENGINE_ITSELF)
