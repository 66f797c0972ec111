"""Test the model of a config: with a checkpoint, or zero-shot without one.

  mmcma test configs/cma/cma_tiny_glyphmotion.py work_dirs/cma_tiny_glyphmotion/best.pth
  mmcma test configs/zeroshot/zeroshot_vit-b16_msrvtt.py --out metrics.json --show-dir shown
"""
import argparse

from mmcma.cli.arguments import (
    add_run_arguments,
    check_can_be_folder,
    check_can_be_written,
    nothing_half_written,
    read_config,
)
from mmcma.utils.errors import ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('config', metavar='CONFIG', help='config file')
    parser.add_argument('checkpoint', metavar='CHECKPOINT', nargs='?',
                        help='the trained weights, a .pth of tools/train.py; without them the pretrained model '
                        'is tested, zero-shot')
    parser.add_argument('--out', metavar='FILE', help='write the metrics there as JSON')
    parser.add_argument('--dump', metavar='FILE.pkl', help="write every item's id, captions and features there")
    parser.add_argument('--show-dir', metavar='DIR', help='write the report there, with queries and what they found '
                        '(default: the log directory)')
    add_run_arguments(parser)
    parser.set_defaults(instead_of_options={
        'launcher': '--launcher', 'load_from': 'CHECKPOINT after the config', 'resume': 'CHECKPOINT after the config'})


def run(args: argparse.Namespace) -> None:
    check_can_be_written(args.out, '--out')
    check_can_be_written(args.dump, '--dump')
    check_can_be_folder(args.show_dir, '--show-dir')
    cfg = read_config(args)
    set_results(cfg, args)
    from mmcma.checkpoints.checkpoint_file import read_checkpoint
    from mmcma.config import building
    from mmcma.engine.distributed import start_processes, stop_processes
    from mmcma.engine.runners import RetrievalRunner
    if args.checkpoint is not None:
        read_checkpoint(args.checkpoint)
    cfg.load_from, cfg.resume = args.checkpoint, False
    start_processes(cfg.launcher, cfg.get('env_cfg', {}).get('dist_cfg'))
    with nothing_half_written(cfg.work_dir, started=lambda: False):
        with building(cfg):
            runner = RetrievalRunner.from_cfg(cfg)
        metrics = test(runner, zero_shot=args.checkpoint is None)
    if args.out is not None:
        write_metrics(metrics, args.out)
    stop_processes()


def set_results(cfg, args: argparse.Namespace) -> None:
    """Sets what ``--dump`` and ``--show-dir`` stand for.

    Raises:
        ConfigError: The file is no pickle.
    """
    if args.dump is not None:
        if not args.dump.endswith(('.pkl', '.pickle')):
            raise ConfigError(f'--dump {args.dump}: results are dumped as a pickle; call it {args.dump}.pkl')
        evaluator = cfg.test_evaluator if isinstance(cfg.test_evaluator, list) else [cfg.test_evaluator]
        cfg.test_evaluator = [*evaluator, dict(type='DumpResults', out_file_path=args.dump)]
    if args.show_dir is not None:
        from mmcma.config import set_report
        set_report(cfg, out_dir=args.show_dir)


def test(runner, *, zero_shot: bool) -> dict:
    """Metrics of the runner's test set; ``zero_shot`` switches the neck off."""
    if not zero_shot:
        return runner.test()
    runner.logger.info('No checkpoint given: zero-shot, the pretrained model as it is.')
    from mmcma.engine.loops import unwrapped
    with unwrapped(runner.model).zero_shot():
        return runner.test()


def write_metrics(metrics: dict, path: str) -> None:
    """Writes the metrics as JSON, from the main process."""
    import json

    from mmengine.dist import is_main_process

    from mmcma.utils.files import write_atomic
    if is_main_process():
        write_atomic(json.dumps(metrics, indent=2).encode(), path)
