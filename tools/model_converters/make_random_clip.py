"""Writes a CLIP of true size with random weights, to try a config's memory and speed without the real weights.

    python tools/model_converters/make_random_clip.py vit-b16 /tmp/clip-b16
    python tools/train.py configs/cma/cma_vit-b16_msrvtt.py --cfg-options \
        model.vision_backbone.pretrained=/tmp/clip-b16 model.text_backbone.pretrained=/tmp/clip-b16

The tokenizer is the bundled one; its ids lie within CLIP's vocabulary.
"""
import argparse
import json
from pathlib import Path

from mmcma.cli.arguments import check_can_be_folder, run_tool
from mmcma.utils.errors import ConfigError

# image side and patch; vision width, layers, heads; text width, layers, heads; joint dimensions; vocabulary
# (Radford et al., 2021, table 20; the tiny one is for trying whether something runs)
SIZES = {'vit-b32': (224, 32, 768, 12, 12, 512, 12, 8, 512, 49408),
         'vit-b16': (224, 16, 768, 12, 12, 512, 12, 8, 512, 49408),
         'vit-l14': (224, 14, 1024, 24, 16, 768, 12, 12, 768, 49408),
         'tiny': (32, 16, 128, 2, 2, 64, 2, 1, 32, 1369)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('size', choices=SIZES)
    parser.add_argument('folder', type=Path)
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    check_can_be_folder(args.folder, 'FOLDER')
    if (args.folder / 'config.json').exists():
        raise ConfigError(f'{args.folder} holds a model already; choose another folder or remove it.')
    write(args.size, args.folder, seed=args.seed)
    print(f'random {args.size} in {args.folder}')


def write(size: str, folder: Path, *, seed: int = 0) -> None:
    """Writes the folder."""
    import torch
    from transformers import AutoTokenizer
    from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

    from mmcma.models.backbones.pretrained import locate, read_dual
    tokenizer = AutoTokenizer.from_pretrained(locate('mmcma/clip-tiny-glyphs'))
    torch.manual_seed(seed)
    read_dual(config=clip_config(size, tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / 'preprocessor_config.json').write_text(json.dumps(
        dict(image_mean=list(OPENAI_CLIP_MEAN), image_std=list(OPENAI_CLIP_STD))))


def clip_config(size: str, tokenizer) -> dict:
    """``model_type`` and fields of CLIPConfig."""
    image, patch, width, layers, heads, text_width, text_layers, text_heads, joint, vocabulary = SIZES[size]
    return dict(
        model_type='clip', projection_dim=joint,
        vision_config=dict(hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers,
                           num_attention_heads=heads, image_size=image, patch_size=patch),
        text_config=dict(hidden_size=text_width, intermediate_size=4 * text_width, num_hidden_layers=text_layers,
                         num_attention_heads=text_heads, vocab_size=vocabulary, max_position_embeddings=77,
                         bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
                         pad_token_id=tokenizer.pad_token_id))


if __name__ == '__main__':
    run_tool(main)
