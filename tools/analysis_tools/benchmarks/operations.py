"""What each method trains and how much it computes in a step, counted on tensors without values."""
import argparse

import torch
from make_random_clip import SIZES
from mmengine.config import Config
from torch._subclasses.fake_tensor import FakeTensorMode

from benchmarks.core import print_table, save
from benchmarks.products import Products
from benchmarks.variants import METHODS, size_of
from mmcma.config import load_config
from mmcma.models.batch_encoding import encode_described
from mmcma.models.necks.base import unclaimed
from mmcma.models.retriever import CrossModalRetriever
from mmcma.registry import MODELS


def methods(args: argparse.Namespace) -> None:
    """Trained parameters and operations of each method, beside the first's."""
    towers, found = build_towers(size_of(args)), {}
    for name in args.variants:
        model = build_model(towers, load_config(str(METHODS[name].config(size_of(args)))).model)
        found[name] = dict(trained=len_of(model), gflops_a_clip=step_flops(model, args) / 1e9)
        if model.neck is not None:
            model.neck.enable(False)
    base = next(iter(found.values()))['gflops_a_clip']
    print_table(f'A step on a clip of {args.frames} frames and {args.words} tokens, {size_of(args)}',
                ('', 'trained', 'GFLOP', 'times'), [
                    (name, f'{own["trained"]:,}', f'{own["gflops_a_clip"]:.4g}', f'{own["gflops_a_clip"] / base:.2f}')
                    for name, own in found.items()])
    save(args, f'methods {size_of(args)}', dict(ways=found))


def build_towers(size: str) -> dict:
    """Both towers of a random CLIP of a size."""
    image, patch, width, layers, heads, text_width, text_layers, text_heads, joint, vocabulary = SIZES[size]
    config = dict(
        model_type='clip', projection_dim=joint,
        vision_config=dict(hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers, image_size=image,
                           num_attention_heads=heads, patch_size=patch),
        text_config=dict(hidden_size=text_width, intermediate_size=4 * text_width, num_hidden_layers=text_layers,
                         num_attention_heads=text_heads, vocab_size=vocabulary, eos_token_id=1368))
    vision = MODELS.build(dict(type='HFVisionTower', config=config))
    return dict(vision_backbone=vision,
                text_backbone=MODELS.build(dict(type='HFTextTower', tokenizer='mmcma/clip-tiny-glyphs', config=config)))


def build_model(towers: dict, config: Config) -> CrossModalRetriever:
    """The model of a config on these towers; methods that are on them already must be switched off."""
    own = {key: value for key, value in config.items() if key not in (*towers, 'type')}
    for name, tower in towers.items():
        tower.trainable = config[name].get('trainable', False)
    with unclaimed(*towers.values()):
        return CrossModalRetriever(**towers, **own)


def len_of(model: CrossModalRetriever) -> int:
    """Parameters that train."""
    return sum(p.numel() for p in model.trainable_parameters().values())


def step_flops(model: CrossModalRetriever, args: argparse.Namespace) -> int:
    """Products of both towers' forward and backward pass of a clip and its caption, as PyTorch counts them."""
    size = model.vision_backbone.image_size
    trained = list(model.trainable_parameters().values())
    with FakeTensorMode(allow_non_fake_inputs=True), Products() as counter:
        visual = model.vision_backbone(torch.zeros(1, args.frames, 3, size, size))
        texts = _encoded(model, args)
        torch.autograd.grad(visual.sum() + sum(x.sum() for x in texts), trained, allow_unused=True)
    return counter.flops


def _encoded(model: CrossModalRetriever, args: argparse.Namespace) -> list[torch.Tensor]:
    """Embeddings of a caption and, where the method takes such, of those of its frames."""
    described = args.frames if model.neck is not None and model.neck.needs_frame_captions else 0
    token_ids = torch.full((1, 1 + described, args.words), 1368)
    if not described:
        return [model.text_backbone(token_ids[0], token_ids[0] > 0).pooled]
    text = encode_described(model.neck, model.text_backbone, token_ids, token_ids > 0,
                            torch.ones(1, described, dtype=torch.bool))
    return [text.pooled, text.extra['frame_captions']]
