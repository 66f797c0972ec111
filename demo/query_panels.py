"""Asks a model some captions of a test set and draws what it finds, and where it looks in it.

    python demo/query_panels.py configs/cma/cma_tiny_glyphmotion.py
    python demo/query_panels.py configs/cma/cma_tiny_glyphmotion.py work_dirs/cma_tiny_glyphmotion/best.pth

The first answers zero-shot, the second also with what was trained. Neither needs a network or a GPU.
"""
import argparse
from pathlib import Path

import torch
from rich.progress import track

from mmcma.apis import init_model
from mmcma.cli.arguments import add_config_options, check_at_least, check_can_be_folder, run_tool
from mmcma.config import load_config, parse_options
from mmcma.registry import DATASETS
from mmcma.structures import Features
from mmcma.utils.errors import ConfigError
from mmcma.visualization import RetrievalVisualizer
from mmcma.visualization.hardest_queries import shown_frames
from mmcma.visualization.patch_attention import patch_attention
from mmcma.visualization.query_panels import QueryPanel, query_panel


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file; its test set is searched')
    parser.add_argument('checkpoint', nargs='?', help='what was trained')
    parser.add_argument('--captions', type=int, nargs='+', metavar='N', default=[209, 1070],
                        help='which captions to ask, counted through the test set (default: 209 1070)')
    parser.add_argument('-k', type=int, default=3, help='answers of each query (default: 3)')
    parser.add_argument('--out', default='work_dirs/demo', help='folder of the images (default: work_dirs/demo)')
    add_config_options(parser)
    return parser.parse_args()


@torch.no_grad()
def encode(model, dataset) -> Features:
    """Visual features of a whole test set."""
    samples = (dataset[index] for index in track(range(len(dataset)), description='encoding'))
    tokens, masks = zip(*((model.encode_visual(sample['inputs'][None]).tokens, sample['data_samples'].frame_mask)
                          for sample in samples))
    mask = torch.stack(masks)
    tokens = torch.cat(tokens)  # (M, T, D)
    return Features((tokens * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True), tokens, mask)


def ask(model, dataset, args: argparse.Namespace, note: str) -> list[QueryPanel]:
    """One panel for each query."""
    gallery, names = encode(model, dataset), [item['id'] for item in dataset.items]
    captions = [(number, caption) for number, item in enumerate(dataset.items) for caption in item['captions']]
    for query in args.captions:
        if not 0 <= query < len(captions):
            raise ConfigError(f'--captions {query}: the test set has captions 0 to {len(captions) - 1:,}')
    return [query_panel(model, captions[query][1], gallery, lambda index: shown_frames(dataset[index]), labels=names,
                        target=captions[query][0], k=args.k, note=note) for query in args.captions]


def main() -> None:
    args = parse_args()
    check_at_least(args, k=1)
    check_can_be_folder(args.out, '--out')
    cfg = load_config(args.config, parse_options(args.cfg_options))
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    model = init_model(cfg)
    panels = [ask(model, dataset, args, 'zero-shot')]
    if args.checkpoint is not None:
        model = init_model(cfg, args.checkpoint)
        panels.append(ask(model, dataset, args, 'adapted'))
    visualizer, out = RetrievalVisualizer(), Path(args.out)
    visualizer.add_datasample('query_panels', [panel for of in zip(*panels) for panel in of],
                              out_file=out / 'query_panels.png')
    clip = panels[-1][0].answers[0].frames
    visualizer.add_patch_attention('patch_attention', clip, patch_attention(model, clip[None])[0],
                                   out_file=out / 'patch_attention.png')
    print(f'images  {out}/query_panels.png  {out}/patch_attention.png')


if __name__ == '__main__':
    run_tool(main)
