"""A very small CLIP that tests write for themselves, and the config of a retriever on it; no network, no downloads."""
import json
from pathlib import Path

import torch

TOKENIZER = 'mmcma/clip-tiny-glyphs'
VOCABULARY = dict(vocab_size=1369, bos_token_id=1367, eos_token_id=1368, pad_token_id=1368)


def clip_config(*, vision_layers: int = 2, text_layers: int = 2, vision_width: int = 64, text_width: int = 48,
                image_size: int = 32, patch_size: int = 16, context: int = 40, embed: int = 32,
                mlp_ratio: int = 2) -> dict:
    """Config of a very small CLIP: model_type and the fields of CLIPConfig."""
    return dict(
        model_type='clip', projection_dim=embed,
        vision_config=dict(hidden_size=vision_width, intermediate_size=mlp_ratio * vision_width, image_size=image_size,
                           patch_size=patch_size, num_hidden_layers=vision_layers, num_attention_heads=2),
        text_config=dict(hidden_size=text_width, intermediate_size=mlp_ratio * text_width,
                         max_position_embeddings=context, num_hidden_layers=text_layers, num_attention_heads=2,
                         **VOCABULARY))


def write_clip(folder: Path, seed: int = 0, **sizes) -> str:
    """Writes a small random CLIP as a Hugging Face folder with the bundled tokenizer; returns its path."""
    from transformers import AutoTokenizer

    from mmcma.models.backbones.pretrained import locate, read_dual
    torch.manual_seed(seed)
    read_dual(config=clip_config(**sizes)).save_pretrained(folder)
    AutoTokenizer.from_pretrained(locate(TOKENIZER)).save_pretrained(folder)
    (folder / 'preprocessor_config.json').write_text(json.dumps(
        dict(image_mean=[0.48, 0.46, 0.41], image_std=[0.27, 0.26, 0.28])))
    return str(folder)


def model_config(pretrained: str, **changes) -> dict:
    """Config of a CrossModalRetriever on a CLIP folder, with the method's own parts."""
    config = dict(
        type='CrossModalRetriever',
        data_preprocessor=dict(type='RetrievalDataPreprocessor', max_words=32),
        vision_backbone=dict(type='HFVisionTower', pretrained=pretrained),
        text_backbone=dict(type='HFTextTower', pretrained=pretrained),
        neck=dict(type='CrossModalAdapter', bottleneck_dim=4, shared_dim=8),
        head=dict(type='RetrievalHead', similarity=dict(type='QueryScore'), loss=dict(type='SymmetricInfoNCE')))
    return {**config, **changes}
