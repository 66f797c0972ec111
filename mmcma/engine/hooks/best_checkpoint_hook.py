"""One stable name for the best checkpoint."""
from pathlib import Path

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmcma.registry import HOOKS
from mmcma.utils.files import write_atomic

#: Name of the copy, in the work directory.
BEST = 'best.pth'


@HOOKS.register_module()
class BestCheckpointHook(Hook):
    """Keeps a copy of the best checkpoint as ``best.pth`` in the work directory.

    CheckpointHook puts metric and epoch into the file's name and removes the
    old file before it writes the new one; this copy is whole at any moment.

    A resumed run finds its files where the work directory is now. Where the best one is gone, as when an
    earlier checkpoint is resumed, the best of what is validated from there on counts.
    """

    # After CheckpointHook (VERY_LOW).
    priority = 'LOWEST'

    def __init__(self) -> None:
        self._copied: str | None = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Corrects what a resumed run is going to remember: its directory may have moved, files may be gone."""
        if not runner._resume:
            return
        hub = checkpoint['message_hub']
        info = hub['runtime_info']
        for key in [key for key in info if key == 'last_ckpt' or key.startswith('best_ckpt')]:
            there = Path(str(info[key]))
            here = Path(runner.work_dir) / there.name
            if not here.is_file() and there.is_file() and is_main_process():
                write_atomic(there.read_bytes(), here)  # CheckpointHook removes it one day: not from another run
            if here.is_file() or there.is_file():
                info[key] = str(here)
            elif key != 'last_ckpt':
                runner.logger.warning(f'The best checkpoint so far, {there.name}, is gone: the best one from here on '
                                      'is kept.')
                for gone in (key, key.replace('best_ckpt', 'best_score', 1)):
                    info.pop(gone, None)
                    hub['resumed_keys'].pop(gone, None)

    def after_val_epoch(self, runner: Runner, metrics=None) -> None:
        """Copies the best checkpoint if it is another one than before."""
        best = runner.message_hub.runtime_info.get('best_ckpt')
        if best is not None and best != self._copied and is_main_process():
            write_atomic(Path(best).read_bytes(), Path(runner.work_dir) / BEST)
            self._copied = best


def best_checkpoint(runner: Runner) -> Path | None:
    """The best checkpoint, else the last, as rank 0 sees them; None if none was saved. All ranks must call it."""
    info = runner.message_hub.runtime_info
    paths = [Path(info[key]) for key in sorted(info) if key.startswith('best_ckpt') and info[key]]
    if paths:
        # A resumed run may have moved; the copy under the stable name moves with it.
        paths.append(Path(runner.work_dir) / BEST)
    if info.get('last_ckpt'):
        paths.append(Path(info['last_ckpt']))
    chosen = [next((path for path in paths if path.is_file()), None)]
    broadcast_object_list(chosen)  # also keeps the others from reading before rank 0 has written
    return chosen[0]


def stable_name(runner: Runner, checkpoint: Path) -> Path:
    """The path of the copy that :class:`BestCheckpointHook` keeps where ``checkpoint`` is the best one."""
    copy = Path(runner.work_dir) / BEST
    is_best = str(checkpoint) == runner.message_hub.runtime_info.get('best_ckpt')
    return copy if is_best and copy.is_file() else checkpoint
