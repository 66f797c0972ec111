"""Counts a model's parameters and the operations of encoding one clip and one caption.

    python tools/analysis_tools/get_flops.py cma_tiny_glyphmotion

PyTorch counts: floating point operations of products, two for each multiplication with its addition. The clip is as
long as the config's pipeline makes it; the caption, "a photo", is as long as its own tokens.
"""
import argparse

from mmcma.cli.arguments import add_config_options, checked_config, run_tool


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file, or the name of one')
    add_config_options(parser)
    cfg = checked_config(parser.parse_args())
    import torch

    from mmcma.apis.media import frame_pipeline
    from mmcma.config import building
    from mmcma.registry import MODELS
    with building(cfg):
        model = MODELS.build(cfg.model).eval()
    frames = next((step['num_frames'] for step in frame_pipeline(cfg) if 'num_frames' in step), 1)
    size = model.vision_backbone.image_size
    clip = torch.zeros(1, frames, 3, size, size, dtype=torch.uint8)
    trained = sum(parameter.numel() for parameter in model.trainable_parameters().values())
    total = sum(parameter.numel() for parameter in model.parameters())
    print(f'parameters   {total:,}, of which {trained:,} train ({100 * trained / total:.3f} %)')
    print(f'a clip       {counted(lambda: model.encode_visual(clip)):.3f} GFLOP ({frames} frames of {size} pixels)')
    print(f'a caption    {counted(lambda: model.encode_text(["a photo"])):.3f} GFLOP')


def counted(work) -> float:
    """10^9 floating point operations of ``work()``."""
    import torch
    from benchmarks.products import Products
    with torch.no_grad(), Products() as counter:
        work()
    return counter.flops / 1e9


if __name__ == '__main__':
    run_tool(main)
