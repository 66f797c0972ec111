"""Train the model of a config and test what came out.

  mmcma train configs/cma/cma_tiny_glyphmotion.py
  mmcma train configs/cma/cma_vit-b16_msrvtt.py --cfg-options data_root=/data/msrvtt --resume
"""
import argparse

from mmcma.cli.arguments import add_run_arguments, nothing_half_written, read_config
from mmcma.utils.errors import ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('config', metavar='CONFIG', help='config file')
    parser.add_argument('--resume', nargs='?', const='auto', metavar='CHECKPOINT',
                        help="go on from a checkpoint (default: the work directory's newest)")
    parser.add_argument('--amp', action='store_true', help="bf16 autocast of both towers: model.precision='bf16'")
    parser.add_argument('--auto-scale-lr', action='store_true',
                        help='learning rate by batch: times the batches of all processes, over base_batch_size')
    parser.add_argument('--no-validate', action='store_true',
                        help='no validation during training; the last checkpoint is tested')
    add_run_arguments(parser)


def run(args: argparse.Namespace) -> None:
    cfg = read_config(args)
    set_training(cfg, args)
    from mmcma.config import building
    from mmcma.engine.distributed import start_processes, stop_processes
    from mmcma.engine.interruptions import machine_errors
    from mmcma.engine.runners import RetrievalFlexibleRunner, RetrievalRunner
    set_resume(cfg, args.resume)
    start_processes(cfg.launcher, cfg.get('env_cfg', {}).get('dist_cfg'))
    runner = None
    with nothing_half_written(cfg.work_dir, started=lambda: has_stepped(runner)), machine_errors(cfg.work_dir):
        with building(cfg):
            # mmengine's strategies, as FSDP, are those of its other runner.
            runner = (RetrievalFlexibleRunner if cfg.get('strategy') else RetrievalRunner).from_cfg(cfg)
            build_data(runner)
        runner.train()
    stop_processes()


def set_training(cfg, args: argparse.Namespace) -> None:
    """Sets what ``--amp``, ``--auto-scale-lr`` and ``--no-validate`` stand for.

    Raises:
        ConfigError: The config does not say which batch size its learning rate belongs to.
    """
    if args.amp:
        cfg.model.precision = 'bf16'
    if args.auto_scale_lr:
        if 'base_batch_size' not in (cfg.get('auto_scale_lr') or {}):
            raise ConfigError(f'--auto-scale-lr: {cfg.filename} does not say which batch size its learning rate is '
                              'for: add auto_scale_lr = dict(base_batch_size=...)')
        cfg.auto_scale_lr.enable = True
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None


def has_stepped(runner) -> bool:
    """Whether training did anything yet; asking ``runner.iter`` alone would build the training data."""
    from mmengine.runner import BaseLoop
    return runner is not None and isinstance(runner._train_loop, BaseLoop) and runner.iter > 0


def set_resume(cfg, resume: str | None) -> None:
    """Sets ``load_from`` and ``resume`` from the argument ``--resume``, or from the config's ``resume``.

    A config without a seed takes the checkpoint's, with which the order of the data goes on.
    """
    from mmcma.checkpoints.checkpoint_file import check_resumable, newest_checkpoint, read_checkpoint
    if resume is None:
        if not cfg.get('resume') or cfg.get('load_from'):
            return
        resume = 'auto'
    found = newest_checkpoint(cfg.work_dir) if resume == 'auto' else (resume, read_checkpoint(resume))
    if found is None:
        print(f'--resume: no checkpoint in {cfg.work_dir}, training starts at the beginning.')
        cfg.resume = False
        return
    path, checkpoint = found
    check_resumable(checkpoint, path)
    cfg.load_from, cfg.resume = str(path), True
    if cfg.get('randomness', {}).get('seed') is None:
        cfg.randomness = dict(cfg.get('randomness', {}), seed=checkpoint['meta'].get('seed'))


def build_data(runner) -> None:
    """Builds all data sets now, so that a missing test set is found before training and not after."""
    for loop in ('train_loop', 'val_loop', 'test_loop'):
        getattr(runner, loop)
