"""One stable name for the best checkpoint."""
from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmcma.registry import HOOKS
from mmcma.utils.files import write_atomic


@HOOKS.register_module()
class BestCheckpointHook(Hook):
    """Keeps a copy of the best checkpoint as ``best.pth`` in the work directory.

    CheckpointHook puts metric and epoch into the file's name and removes the
    old file before it writes the new one; this copy is whole at any moment.
    """

    # After CheckpointHook (VERY_LOW).
    priority = 'LOWEST'

    def __init__(self) -> None:
        self._copied: str | None = None

    def after_val_epoch(self, runner: Runner, metrics=None) -> None:
        """Copies the best checkpoint if it is another one than before."""
        best = runner.message_hub.runtime_info.get('best_ckpt')
        if best is not None and best != self._copied and is_main_process():
            write_atomic(Path(best).read_bytes(), Path(runner.work_dir) / 'best.pth')
            self._copied = best
