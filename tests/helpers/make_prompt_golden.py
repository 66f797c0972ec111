"""Writes the features that the public code of multi-modal prompt learning computes with the prompts of
``helpers/prompt_reference.py``.

    git clone https://github.com/muzairkhattak/multimodal-prompt-learning
    PYTHONPATH=.:tests python -m helpers.make_prompt_golden multimodal-prompt-learning

It holds CoOp, VPT, independent V-L prompting and MaPLe. Text prompts stand after the start token, as its trainers put
them; half precision is left out.
"""
import json
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from helpers import official_reference as reference
from helpers import prompt_reference as prompts
from helpers.imports import import_file


def read_code(checkout: Path):
    """Its ``clip/model.py``, which asks for half precision by name."""
    module = import_file(checkout / 'clip' / 'model.py', 'public_clip')
    torch.Tensor.half = torch.Tensor.float
    return module


def build(code, trainer: str, **design) -> nn.Module:
    """Its CLIP, without prompts' weights yet."""
    design = dict(dict(trainer=trainer, vision_depth=0, language_depth=0, vision_ctx=0, language_ctx=0,
                       maple_length=prompts.COUNT), **design)
    width = reference.TEXT_WIDTH
    clip = code.CLIP(reference.EMBED, reference.IMAGE, reference.LAYERS, reference.VISION_WIDTH, reference.PATCH,
                     reference.CONTEXT, reference.VOCABULARY['vocab_size'], width, width // 64, reference.LAYERS,
                     design).float().eval()
    state = {name: tensor for name, tensor in reference.official_state().items() if 'adapter' not in name}
    assert not clip.load_state_dict(state, strict=False).unexpected_keys
    return clip


def text_features(clip: nn.Module, tokens: Tensor, first: Tensor, deeper: list[Tensor] | None = None) -> Tensor:
    """Features of captions with the prompts ``first``; MaPLe's code gets ``deeper`` ones as an argument."""
    room = torch.full((len(tokens), len(first)), 5)
    ids = torch.cat([tokens[:, :1], room, tokens[:, 1:]], dim=1)
    x = clip.token_embedding(ids)
    x = torch.cat([x[:, :1], first.expand(len(x), -1, -1), x[:, 1 + len(first):]], dim=1) + clip.positional_embedding
    x = x.permute(1, 0, 2)
    x = clip.transformer(x) if deeper is None else clip.transformer([x, deeper, 0])[0]
    x = clip.ln_final(x.permute(1, 0, 2))
    return x[range(len(ids)), ids.argmax(dim=-1)] @ clip.text_projection


def run(checkout: Path) -> dict[str, dict[str, Tensor]]:
    """Case -> features of frames and of captions, of the towers that the case prompts."""
    code, weights = read_code(checkout), prompts.weights()
    frames, tokens = prompts.inputs()
    vision, text = weights['vision'], weights['text']
    found = {'coop': dict(text=text_features(build(code, 'CoOp'), tokens, text[0]))}
    for case, trainer, depth in (('vpt-shallow', 'VPT', 1), ('vpt-deep', 'VPT', 3), ('vl-prompt', 'IVLP', 3)):
        sizes = dict(language_depth=depth, language_ctx=prompts.COUNT) if trainer == 'IVLP' else {}
        clip = build(code, trainer, vision_depth=depth, vision_ctx=prompts.COUNT, **sizes)
        clip.visual.VPT.copy_(vision[0])
        for layer in range(1, depth):
            clip.visual.transformer.resblocks[layer].VPT_shallow.copy_(vision[layer])
            if trainer == 'IVLP':
                clip.transformer.resblocks[layer].VPT_shallow.copy_(text[layer])
        found[case] = dict(vision=clip.visual(frames))
        if trainer == 'IVLP':
            found[case]['text'] = text_features(clip, tokens, text[0])
    clip = build(code, 'MaPLe')
    first, deep = (tokens_of @ weight.T + bias for tokens_of, weight, bias in
                   zip(text[:2], weights['weight'], weights['bias']))
    found['maple'] = dict(vision=clip.visual(frames, first, [deep]),
                          text=text_features(clip, tokens, text[0], [text[1]]))
    return found


def main() -> None:
    with torch.no_grad():
        found = run(Path(sys.argv[1]))
    golden = {case: {side: [[round(x, 7) for x in row] for row in tensor.tolist()] for side, tensor in sides.items()}
              for case, sides in found.items()}
    source = 'muzairkhattak/multimodal-prompt-learning, run by tests/helpers/make_prompt_golden.py'
    prompts.GOLDEN.write_text(json.dumps(dict(source=source, **golden)) + '\n')


if __name__ == '__main__':
    main()
