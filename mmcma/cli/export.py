"""Write what was trained as a folder for the Hugging Face Hub: safetensors, config, model card.

  mmcma export configs/cma/cma_vit-b16_msrvtt.py work_dirs/cma_vit-b16_msrvtt/best.pth cma-msrvtt
  mmcma export config.py best.pth cma-msrvtt --base-model openai/clip-vit-base-patch16
  mmcma index videos/ --model cma-msrvtt --out gallery/
  hf upload OWNER/cma-msrvtt cma-msrvtt

The folder holds the trained weights only, and names the pretrained model that they belong to. The card has the metrics
of --report, or of the report.json beside the checkpoint if that is of this checkpoint. Nothing is sent anywhere.
"""
import argparse
import json
import os
from pathlib import Path

from mmcma.cli.arguments import check_can_be_folder
from mmcma.utils.errors import ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('config', metavar='CONFIG', help='config that it was trained with')
    parser.add_argument('checkpoint', metavar='CHECKPOINT', help='the trained weights, a .pth of tools/train.py')
    parser.add_argument('folder', metavar='FOLDER', help='where to; a new folder')
    parser.add_argument('--base-model', metavar='NAME', help='name of the pretrained model on the Hub, where the '
                        'config names a local copy')
    parser.add_argument('--report', metavar='FILE', help='report.json of a test of this checkpoint')


def run(args: argparse.Namespace) -> None:
    from mmcma.apis import export_adapter, init_model
    from mmcma.checkpoints.adapter_folder import check_new_folder
    check_can_be_folder(args.folder, 'FOLDER')
    check_new_folder(Path(args.folder).expanduser())
    if args.report is not None and not os.path.isfile(args.report):
        raise ConfigError(f'--report {args.report}: no such file')
    model = init_model(args.config, args.checkpoint, device='cpu')
    report = args.report or report_beside(Path(args.checkpoint))
    content = export_adapter(model, args.folder, base_model=args.base_model, report=report)
    size = sum(file.stat().st_size for file in Path(args.folder).iterdir())
    print(f'{args.folder}: {content["method"]}, {content["parameters"]:,} trained parameters, {size / 1e6:.2f} MB, '
          f'for {content["base_model_name_or_path"]}')
    print(f'metrics from {report}' if report else 'no metrics in the card: no report.json of this checkpoint beside '
          'it; name one with --report')


def report_beside(checkpoint: Path) -> Path | None:
    """The report in the checkpoint's folder, if it says that it is of this checkpoint."""
    report = checkpoint.with_name('report.json')
    try:
        tested = json.loads(report.read_text(encoding='utf-8')).get('checkpoint') or ''
    except (OSError, ValueError, AttributeError):
        return None
    return report if Path(tested).name == checkpoint.name else None
