"""Commands of ``mmcma``, run in this process."""
from pathlib import Path

from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmengine.visualization import Visualizer


def run(name: str, *arguments) -> int:
    """Exit code of a tool, run in this process."""
    from mmcma.cli.main import main
    # mmengine names loggers and message hubs by the second, so that two runs within one would share them.
    for kind in (DefaultScope, MMLogger, MessageHub, Visualizer):
        kind._instance_dict.clear()
    try:
        main([name, *map(str, arguments)])
    except SystemExit as end:
        return end.code
    return 0


def call(command: list[str], threads: int) -> None:
    """``compare_methods.call`` without the seconds that a process takes to start."""
    assert run(Path(command[0]).stem, *command[1:]) == 0
