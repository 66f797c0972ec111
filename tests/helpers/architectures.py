"""Very small dual encoders of every architecture that the towers know: random weights, tokenizers of their own."""
import json
from pathlib import Path

import torch

WORDS = 'a red star blue moon above the snow and small green'.split()
CONTEXT = 12
ARCHITECTURES = ['clip', 'metaclip_2', 'chinese_clip', 'siglip']


def word_tokenizer(*, start: list[str], end: str, pad: str):
    """Whole words, with these special tokens around and behind them."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast
    specials = list(dict.fromkeys([*start, end, pad, '<unk>']))
    backend = Tokenizer(models.WordLevel({word: index for index, word in enumerate(specials + WORDS)}, '<unk>'))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing(
        single=' '.join([*start, '$A', end]), special_tokens=[(token, specials.index(token)) for token in specials])
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token=end, pad_token=pad, unk_token='<unk>')


def dual_config(model_type: str, **text) -> dict:
    """``model_type`` and fields of its config: three vision layers 32 wide, two text layers 24 wide, 16 joint."""
    sizes = dict(num_attention_heads=2, hidden_act='gelu')
    vision = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=3, image_size=32, patch_size=16, **sizes)
    text = dict(hidden_size=24, intermediate_size=40, num_hidden_layers=2, vocab_size=20,
                max_position_embeddings=CONTEXT, **sizes, **text)
    if model_type == 'siglip':  # its joint space is as wide as the vision tower
        return dict(model_type=model_type, vision_config=vision, text_config=dict(text, projection_size=32))
    return dict(model_type=model_type, vision_config=vision, text_config=text, projection_dim=16)


def write_dual(folder: Path, model_type: str) -> str:
    """Writes a small random model as a Hugging Face folder; returns its path."""
    from transformers import AutoConfig, AutoModel
    tokenizer = (word_tokenizer(start=[], end='</s>', pad='</s>') if model_type == 'siglip' else
                 word_tokenizer(start=['<s>'], end='</s>', pad='<pad>'))
    fields = dual_config(model_type, pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id)
    torch.manual_seed(0)
    model = AutoModel.from_config(AutoConfig.for_model(fields.pop('model_type'), **fields))
    for name, parameter in model.named_parameters():  # nothing that a wrong wiring would multiply by 0 or 1
        if name != 'logit_scale':
            torch.nn.init.normal_(parameter, mean=float('norm' in name.lower() and name.endswith('weight')), std=0.2)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / 'preprocessor_config.json').write_text(json.dumps(dict(image_mean=[0.5] * 3, image_std=[0.5] * 3)))
    return str(folder)
