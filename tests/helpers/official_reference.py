"""A small random model in the released code's own naming, the same on every machine.

The released code is not part of this repository. ``tests/helpers/make_official_golden.py`` runs a checkout of it on
these weights and writes what it computes to ``tests/data/official_golden.json``; the parity test holds our model
against it.
"""
import json
from pathlib import Path

import numpy as np
import torch

from helpers.clip import VOCABULARY

EMBED, IMAGE, PATCH, LAYERS, CONTEXT = 32, 32, 16, 3, 12
VISION_WIDTH, TEXT_WIDTH = 128, 64  # the released code takes heads of 64 channels
REDUCTION, SHARED, TEMPERATURE = 4, 16, 5.0
VIDEOS, FRAMES, TEXTS = 4, 3, 5
GOLDEN = Path(__file__).parents[1] / 'data' / 'official_golden.json'


def shapes() -> dict[str, tuple]:
    """Every parameter of the released model by its name, in a fixed order."""
    found = {'logit_scale': (), 'positional_embedding': (CONTEXT, TEXT_WIDTH),
             'token_embedding.weight': (VOCABULARY['vocab_size'], TEXT_WIDTH),
             'text_projection': (TEXT_WIDTH, EMBED), 'ln_final.weight': (TEXT_WIDTH,), 'ln_final.bias': (TEXT_WIDTH,),
             'visual.class_embedding': (VISION_WIDTH,),
             'visual.positional_embedding': ((IMAGE // PATCH) ** 2 + 1, VISION_WIDTH),
             'visual.proj': (VISION_WIDTH, EMBED), 'visual.conv1.weight': (VISION_WIDTH, 3, PATCH, PATCH)}
    for norm in ('ln_pre', 'ln_post'):
        found |= {f'visual.{norm}.weight': (VISION_WIDTH,), f'visual.{norm}.bias': (VISION_WIDTH,)}
    for prefix, width in (('visual.transformer', VISION_WIDTH), ('transformer', TEXT_WIDTH)):
        for layer in range(LAYERS):
            block = {'attn.in_proj_weight': (3 * width, width), 'attn.in_proj_bias': (3 * width,),
                     'attn.out_proj.weight': (width, width), 'attn.out_proj.bias': (width,),
                     'ln_1.weight': (width,), 'ln_1.bias': (width,), 'ln_2.weight': (width,), 'ln_2.bias': (width,),
                     'mlp.c_fc.weight': (4 * width, width), 'mlp.c_fc.bias': (4 * width,),
                     'mlp.c_proj.weight': (width, 4 * width), 'mlp.c_proj.bias': (width,)}
            found |= {f'{prefix}.resblocks.{layer}.{name}': shape for name, shape in block.items()}
    for modality, width in (('visual', VISION_WIDTH), ('text', TEXT_WIDTH)):
        found |= {f'{modality}_adapter_down_weight': (2 * LAYERS, REDUCTION, width),
                  f'{modality}_adapter_down_bias': (2 * LAYERS, REDUCTION),
                  f'{modality}_adapter_up_unique_weight': (2 * LAYERS, width - SHARED, REDUCTION),
                  f'{modality}_adapter_up_unique_bias': (2 * LAYERS, width - SHARED)}
    return found | {'vt_adapter_up_share_weight': (2 * LAYERS, SHARED, REDUCTION),
                    'vt_adapter_up_share_bias': (2 * LAYERS, SHARED)}


def official_state() -> dict[str, torch.Tensor]:
    """Random weights, large enough that every adapter matters."""
    rng = np.random.RandomState(7)
    state = {}
    for name, shape in shapes().items():
        values = rng.standard_normal(shape)
        if name.endswith(('ln_1.weight', 'ln_2.weight', 'ln_pre.weight', 'ln_post.weight', 'ln_final.weight')):
            values = 1 + 0.1 * values
        elif name == 'logit_scale':
            values = np.asarray(2.7)
        else:
            fan_in = shape[-1] if len(shape) == 2 else int(np.prod(shape[1:])) or 1
            values = values * (0.2 if 'adapter' in name or len(shape) == 1 else 1.3 / fan_in ** 0.5)
        state[name] = torch.tensor(np.asarray(values), dtype=torch.float32)
    return state


def inputs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Normalised frames ``(V * F, 3, S, S)``, frame mask ``(V, F)`` and token ids ``(N, L)``."""
    rng = np.random.RandomState(11)
    frames = torch.tensor(rng.standard_normal((VIDEOS * FRAMES, 3, IMAGE, IMAGE)), dtype=torch.float32)
    mask = torch.tensor([[1, 1, 1], [1, 1, 0], [1, 0, 0], [1, 1, 1]], dtype=torch.bool)
    tokens = torch.zeros(TEXTS, CONTEXT, dtype=torch.long)
    for row, length in enumerate((3, 5, 8, 2, 10)):
        tokens[row, 0] = VOCABULARY['bos_token_id']
        tokens[row, 1:1 + length] = torch.tensor(rng.randint(0, 1300, length))
        tokens[row, 1 + length] = VOCABULARY['eos_token_id']
    return frames, mask, tokens


def to_hf(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Frozen weights in the released (OpenAI) naming -> names of transformers' CLIPModel."""
    found = {'logit_scale': state['logit_scale'],
             'text_projection.weight': state['text_projection'].T, 'visual_projection.weight': state['visual.proj'].T,
             'text_model.embeddings.token_embedding.weight': state['token_embedding.weight'],
             'text_model.embeddings.position_embedding.weight': state['positional_embedding'],
             'vision_model.embeddings.class_embedding': state['visual.class_embedding'],
             'vision_model.embeddings.patch_embedding.weight': state['visual.conv1.weight'],
             'vision_model.embeddings.position_embedding.weight': state['visual.positional_embedding']}
    for theirs, ours in (('ln_final', 'text_model.final_layer_norm'), ('visual.ln_pre', 'vision_model.pre_layrnorm'),
                         ('visual.ln_post', 'vision_model.post_layernorm')):
        found |= {f'{ours}.{kind}': state[f'{theirs}.{kind}'] for kind in ('weight', 'bias')}
    for theirs, ours in (('visual.transformer', 'vision_model'), ('transformer', 'text_model')):
        for layer in range(LAYERS):
            source, target = f'{theirs}.resblocks.{layer}', f'{ours}.encoder.layers.{layer}'
            for kind in ('weight', 'bias'):
                for part, chunk in zip('qkv', state[f'{source}.attn.in_proj_{kind}'].chunk(3)):
                    found[f'{target}.self_attn.{part}_proj.{kind}'] = chunk
                for a, b in (('attn.out_proj', 'self_attn.out_proj'), ('ln_1', 'layer_norm1'), ('ln_2', 'layer_norm2'),
                             ('mlp.c_fc', 'mlp.fc1'), ('mlp.c_proj', 'mlp.fc2')):
                    found[f'{target}.{b}.{kind}'] = state[f'{source}.{a}.{kind}']
    return {name: tensor.contiguous() for name, tensor in found.items()}


def write_hf_folder(folder: Path, state: dict[str, torch.Tensor] | None = None, image: int = IMAGE) -> str:
    """The frozen weights, or those of a CLIP of larger images, as a Hugging Face folder with the bundled tokenizer."""
    from transformers import AutoTokenizer, CLIPConfig, CLIPModel

    from mmcma.models.backbones.pretrained import locate
    model = CLIPModel(CLIPConfig(
        projection_dim=EMBED,
        vision_config=dict(hidden_size=VISION_WIDTH, intermediate_size=4 * VISION_WIDTH, num_hidden_layers=LAYERS,
                           num_attention_heads=VISION_WIDTH // 64, image_size=image, patch_size=PATCH),
        text_config=dict(hidden_size=TEXT_WIDTH, intermediate_size=4 * TEXT_WIDTH, num_hidden_layers=LAYERS,
                         num_attention_heads=TEXT_WIDTH // 64, max_position_embeddings=CONTEXT, **VOCABULARY)))
    model.load_state_dict(to_hf(official_state() if state is None else state))
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(locate('mmcma/clip-tiny-glyphs')).save_pretrained(folder)
    (Path(folder) / 'preprocessor_config.json').write_text(json.dumps(dict(image_mean=[0.5] * 3, image_std=[0.5] * 3)))
    return str(folder)
