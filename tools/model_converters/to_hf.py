"""Turns a CLIP checkpoint of OpenAI, open_clip or mmpretrain into a Hugging Face folder, which `pretrained=` reads.

    python tools/model_converters/to_hf.py ViT-B-16.pt clip-b16 --tokenizer DIR
    python tools/model_converters/to_hf.py open_clip_model.safetensors clip-l14 --model ViT-L-14/datacomp_xl_s13b_b90k
    python tools/model_converters/to_hf.py CLIP-ViT-B-32-DataComp.XL-s13B-b90K/ clip-b32

SRC is OpenAI's TorchScript archive or its state dict, a checkpoint of open_clip (.safetensors, .pt, .bin) or the folder
that it is distributed as, or mmpretrain's CLIPZeroShot; with a Vision Transformer. The sizes are read from the weights.
The activation is QuickGELU for OpenAI and mmpretrain. For open_clip it is what open_clip_config.json says, or what the
name of --model, or of SRC, tells. Where neither does, it has to be given. Only --trust-checkpoint runs code of pickles.
"""
import argparse
import json
import re
from pathlib import Path
from typing import NamedTuple

from mmcma.cli.arguments import add_trust_arguments, check_can_be_folder, run_tool, trusting
from mmcma.utils.errors import WeightsError, cause

# From the parameters of transformers' CLIPModel to OpenAI's names, which the other layouts are brought to as well.
TO_OPENAI = [
    (r'^vision_model\.encoder\.layers\.', 'visual.transformer.resblocks.'),
    (r'^text_model\.encoder\.layers\.', 'transformer.resblocks.'),
    (r'\.layer_norm([12])\.', r'.ln_\1.'), (r'\.mlp\.fc1\.', '.mlp.c_fc.'), (r'\.mlp\.fc2\.', '.mlp.c_proj.'),
    (r'\.self_attn\.out_proj\.', '.attn.out_proj.'), (r'\.self_attn\.[qkv]_proj\.', '.attn.in_proj_'),
    (r'^vision_model\.embeddings\.class_embedding$', 'visual.class_embedding'),
    (r'^vision_model\.embeddings\.patch_embedding\.', 'visual.conv1.'),
    (r'^vision_model\.embeddings\.position_embedding\.weight$', 'visual.positional_embedding'),
    (r'^vision_model\.pre_layrnorm\.', 'visual.ln_pre.'), (r'^vision_model\.post_layernorm\.', 'visual.ln_post.'),
    (r'^visual_projection\.weight$', 'visual.proj'), (r'^text_projection\.weight$', 'text_projection'),
    (r'^text_model\.embeddings\.token_embedding\.', 'token_embedding.'),
    (r'^text_model\.embeddings\.position_embedding\.weight$', 'positional_embedding'),
    (r'^text_model\.final_layer_norm\.', 'ln_final.')]
FROM_MMPRETRAIN = [
    (r'^visual\.cls_token$', 'visual.class_embedding'), (r'^visual\.pos_embed$', 'visual.positional_embedding'),
    (r'^visual\.patch_embed\.projection\.', 'visual.conv1.'), (r'^visual\.pre_norm\.', 'visual.ln_pre.'),
    (r'^visual\.ln1\.', 'visual.ln_post.'), (r'^visual_proj\.proj$', 'visual.proj'),
    (r'^visual\.layers\.(\d+)\.', r'visual.transformer.resblocks.\1.'), (r'\.ln([12])\.', r'.ln_\1.'),
    (r'\.attn\.qkv\.', '.attn.in_proj_'), (r'\.attn\.proj\.', '.attn.out_proj.'),
    (r'\.ffn\.layers\.0\.0\.', '.mlp.c_fc.'), (r'\.ffn\.layers\.1\.', '.mlp.c_proj.')]
# What open_clip puts around OpenAI's names: wrappers of training, and the text tower's own module in CustomTextCLIP.
FROM_OPEN_CLIP = [(r'^module\.', ''), (r'^text\.', '')]

# Constants that OpenAI's archives and older versions of open_clip store among the weights.
CONSTANTS = {'input_resolution', 'context_length', 'vocab_size', 'attn_mask'}
# open_clip's widths of an attention head by the tower's width, where they are not 64 (ViT-H, ViT-g, ViT-bigG).
HEAD_WIDTHS = {1280: 80, 1408: 88, 1664: 104}
# Parts of open_clip's names of models and pretrained weights that tell the activation.
QUICK_GELU = ('quickgelu', 'openai', 'metaclip-400m', 'metaclip-fullcc')
EXACT_GELU = ('laion2b', 'datacomp', 'commonpool')
# Weights whose images were normalised with 0.5 and not with OpenAI's figures.
HALVES = ('s32b-b82k',)


class Checkpoint(NamedTuple):
    """What a file holds.

    Attributes:
        state: OpenAI's names -> tensors.
        layout: ``'openai'``, ``'open_clip'`` or ``'mmpretrain'``.
        config: The config of an open_clip folder, else empty.
    """
    state: dict
    layout: str
    config: dict


def read(source: Path) -> Checkpoint:
    """Reads a checkpoint of any layout.

    Raises:
        DataError: The config of a folder is no JSON.
        WeightsError: It cannot be read, or is no CLIP with a Vision Transformer.
    """
    from mmcma.datasets.annotations.reading import read_json
    config = {}
    if source.is_dir():
        folder, names = source, ('open_clip_model.safetensors', 'open_clip_pytorch_model.bin')
        source = next((folder / name for name in names if (folder / name).is_file()), None)
        if source is None:
            raise WeightsError(f'{folder} holds none of {", ".join(names)}.')
        if (folder / 'open_clip_config.json').is_file():
            config = dict(read_json(folder / 'open_clip_config.json'))
    tensors = read_tensors(source)
    layout = ('mmpretrain' if 'visual_proj.proj' in tensors else
              'openai' if {'input_resolution', 'vocab_size'} <= tensors.keys() else 'open_clip')
    renames = dict(mmpretrain=FROM_MMPRETRAIN, open_clip=FROM_OPEN_CLIP).get(layout, [])
    state = {renamed(name, renames): tensor for name, tensor in tensors.items()
             if name.rpartition('.')[2] not in CONSTANTS and not name.startswith('data_preprocessor.')}
    if 'visual.layer1.0.conv1.weight' in state or 'visual.attnpool.positional_embedding' in state:
        raise WeightsError(f'{source}: a CLIP with a ResNet, which has no transformer layers to adapt; take a ViT.')
    if 'visual.class_embedding' not in state or 'positional_embedding' not in state:
        raise WeightsError(f'{source}: no CLIP with a Vision Transformer; it holds {some(tensors)}.')
    for name in ('visual.class_embedding', 'visual.positional_embedding'):  # mmpretrain stores them as a batch of one
        state[name] = state[name].squeeze()
    return Checkpoint(state, layout, config)


def read_tensors(source: Path) -> dict:
    """Name -> tensor of a file.

    Raises:
        WeightsError: It is missing, cannot be read safely, or holds no state dict.
    """
    import pickle

    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from mmcma.checkpoints.torchscript import is_torchscript, read_torchscript
    from mmcma.utils.plain_loading import load_plain
    if not source.is_file():
        raise WeightsError(f'{source}: no such file or folder.')
    try:
        if source.suffix == '.safetensors':
            return load_file(source)
        if is_torchscript(source):
            return read_torchscript(source)
    except (pickle.UnpicklingError, RuntimeError, EOFError, SafetensorError) as error:
        raise WeightsError(f'{source} cannot be read safely ({cause(error)}).') from error
    content = load_plain(source)
    state = content.get('state_dict', content) if isinstance(content, dict) else content
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor | int) for value in state.values()):
        raise WeightsError(f'{source}: no state dict, that is, names of weights and tensors.')
    return state


def renamed(name: str, rules: list[tuple[str, str]]) -> str:
    """``name`` after all rules, each a pattern and what takes its place."""
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def activation_of(checkpoint: Checkpoint, name: str) -> str:
    """``'quick_gelu'`` or ``'gelu'``.

    Raises:
        WeightsError: Nothing tells which.
    """
    if checkpoint.layout != 'open_clip':
        return 'quick_gelu'
    if 'model_cfg' in checkpoint.config:
        return 'quick_gelu' if checkpoint.config['model_cfg'].get('quick_gelu') else 'gelu'
    words = name.lower().replace('_', '-')
    quick, exact = (any(part in words for part in parts) for parts in (QUICK_GELU, EXACT_GELU))
    if quick == exact:
        raise WeightsError(f'{name!r} does not tell the activation, nor do the weights; give --activation quick_gelu '
                           "or gelu, or open_clip's name as --model, such as ViT-B-32-quickgelu.")
    return 'quick_gelu' if quick else 'gelu'


def normalisation_of(checkpoint: Checkpoint, name: str) -> tuple[list[float], list[float]]:
    """Mean and standard deviation per RGB channel, of pixels in [0, 1]."""
    from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD
    stored = checkpoint.config.get('preprocess_cfg', {})
    if any(part in name.lower().replace('_', '-') for part in HALVES):
        stored = {'mean': [0.5] * 3, 'std': [0.5] * 3, **stored}
    return list(stored.get('mean', OPENAI_CLIP_MEAN)), list(stored.get('std', OPENAI_CLIP_STD))


def clip_config(state: dict, activation: str, tokenizer):
    """The CLIPConfig that the weights are of.

    Raises:
        WeightsError: A weight that tells a size is missing, or the tokenizer is not the weights'.
    """
    from transformers import CLIPConfig
    try:
        patch, patches = state['visual.conv1.weight'].shape[-1], len(state['visual.positional_embedding']) - 1
        vocabulary, context = len(state['token_embedding.weight']), len(state['positional_embedding'])
        vision, text = transformer(state, 'visual.transformer.'), transformer(state, 'transformer.')
        joint = state['visual.proj'].shape[-1]
    except KeyError as error:
        raise WeightsError(f'the checkpoint lacks {error}: no complete CLIP.') from None
    if len(tokenizer) != vocabulary or tokenizer.eos_token_id != vocabulary - 1:
        raise WeightsError(f'the tokenizer has {len(tokenizer)} tokens, the end number {tokenizer.eos_token_id}; '
                           f'the weights know {vocabulary}, the end is the last: give their own as --tokenizer.')
    special = {name: getattr(tokenizer, name) for name in ('bos_token_id', 'eos_token_id', 'pad_token_id')}
    return CLIPConfig(
        projection_dim=joint,
        vision_config=dict(image_size=round(patches ** 0.5) * patch, patch_size=patch, hidden_act=activation, **vision),
        text_config=dict(vocab_size=vocabulary, max_position_embeddings=context, hidden_act=activation, **text,
                         **special))


def transformer(state: dict, prefix: str) -> dict:
    """Sizes of one tower's layers, as CLIPConfig names them."""
    layers = {int(name[len(prefix):].split('.')[1]) for name in state if name.startswith(f'{prefix}resblocks.')}
    inner, width = state[f'{prefix}resblocks.0.mlp.c_fc.weight'].shape
    head_width = HEAD_WIDTHS.get(width, 64) if prefix.startswith('visual') else 64
    if width % head_width:
        raise WeightsError(f'{prefix}: {width} channels are no whole number of heads of {head_width}: no CLIP.')
    return dict(hidden_size=width, intermediate_size=inner, num_hidden_layers=1 + max(layers),
                num_attention_heads=width // head_width)


def fill(model, state: dict) -> None:
    """Puts the weights into a CLIPModel, in float32.

    Raises:
        WeightsError: A weight is missing, left over, or of another shape.
    """
    import torch
    target = model.state_dict()
    sources = {name: renamed(name, TO_OPENAI) for name in target}
    missing, unexpected = set(sources.values()) - state.keys(), state.keys() - set(sources.values())
    if missing or unexpected:
        raise WeightsError(f'the checkpoint is no CLIP of its size: missing {some(missing)}; without a place '
                           f'{some(unexpected)}.')
    for name, source in sources.items():
        tensor = state[source]
        if 'in_proj' in source:
            tensor = tensor.chunk(3)['qkv'.index(re.search(r'\.([qkv])_proj\.', name)[1])]
        elif name in ('visual_projection.weight', 'text_projection.weight'):
            tensor = tensor.T
        elif name == 'logit_scale':
            tensor = tensor.reshape(())
        if tensor.shape != target[name].shape:
            raise WeightsError(f'{source} has shape {tuple(state[source].shape)}, which is not that of {name}: '
                               f'{tuple(target[name].shape)}.')
        with torch.no_grad():
            target[name].copy_(tensor)


def some(names) -> str:
    """The first names, and how many more there are."""
    names = sorted(names)
    return f'{", ".join(names[:4])}{f" and {len(names) - 4} more" if len(names) > 4 else ""}' if names else 'nothing'


def read_tokenizer(source: str):
    """CLIP's tokenizer from a folder or the Hub.

    Raises:
        WeightsError: It is not there.
    """
    from transformers import AutoTokenizer, CLIPTokenizer
    folder = Path(source).expanduser()
    try:
        if not folder.is_dir():
            return AutoTokenizer.from_pretrained(source)
        # Without its files, CLIPTokenizer starts with an empty vocabulary and says nothing.
        if any((folder / name).is_file() for name in ('tokenizer.json', 'vocab.json')):
            return CLIPTokenizer.from_pretrained(folder)
    except (OSError, ValueError):
        pass
    raise WeightsError(f'--tokenizer {source}: no folder with a tokenizer, and not reachable on the Hub; run `hf '
                       'download openai/clip-vit-base-patch16 --local-dir DIR` elsewhere, and give --tokenizer DIR.')


def convert(source: Path, target: Path, *, model: str | None = None, activation: str | None = None,
            tokenizer: str = 'openai/clip-vit-base-patch16') -> str:
    """Writes the folder; returns what it holds, in words.

    Raises:
        WeightsError: The checkpoint cannot be read or used (:func:`read`, :func:`activation_of`, :func:`fill`), or
            ``target`` holds a model already.
    """
    from transformers import CLIPModel
    if (target / 'config.json').exists():
        raise WeightsError(f'{target} holds a model already; choose another folder or remove it.')
    checkpoint, name = read(source), model or source.name
    words = read_tokenizer(tokenizer)
    config = clip_config(checkpoint.state, activation or activation_of(checkpoint, name), words)
    clip = CLIPModel(config)
    fill(clip, checkpoint.state)
    clip.save_pretrained(target)
    words.save_pretrained(target)
    vision, text = config.vision_config, config.text_config
    mean, std = normalisation_of(checkpoint, name)
    preprocessor = dict(image_processor_type='CLIPImageProcessor', size=dict(shortest_edge=vision.image_size),
                        crop_size=dict(height=vision.image_size, width=vision.image_size), image_mean=mean,
                        image_std=std)
    (target / 'preprocessor_config.json').write_text(json.dumps(preprocessor, indent=2) + '\n')
    return (f'{checkpoint.layout} layout: vision {vision.num_hidden_layers} layers of {vision.hidden_size}, patches of '
            f'{vision.patch_size} in {vision.image_size} px, mean {mean}; text {text.num_hidden_layers} layers of '
            f'{text.hidden_size}, {text.max_position_embeddings} tokens; {vision.hidden_act}')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('source', metavar='SRC', type=Path)
    parser.add_argument('target', metavar='DST', type=Path)
    parser.add_argument('--model', help="open_clip's name of the model, of its weights, or both (default: SRC's name)")
    parser.add_argument('--activation', choices=['quick_gelu', 'gelu'], help='where nothing tells it')
    parser.add_argument('--tokenizer', default='openai/clip-vit-base-patch16', help='folder or Hub name')
    add_trust_arguments(parser)
    args = parser.parse_args()
    check_can_be_folder(args.target, 'DST')
    with trusting(args):
        print(f'{args.source} -> {args.target}: ' + convert(
            args.source, args.target, model=args.model, activation=args.activation, tokenizer=args.tokenizer))


if __name__ == '__main__':
    run_tool(main)
