"""Writes the features that TempMe's public code computes with the weights of ``helpers/merging_reference.py``.

    git clone https://github.com/LunarShen/TempMe
    PYTHONPATH=.:tests python -m helpers.make_merging_golden TempMe

Its model reads CLIP from a file and gathers over processes; both are bypassed, its towers and merging run as they are.
"""
import json
import logging
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import torch
from torch import Tensor

from helpers import merging_reference as merging
from helpers import official_reference as reference


def read_code(checkout: Path):
    """Its ``tvr.models.modeling``, with stand-ins for what it imports and does not need here."""
    sys.path.insert(0, str(checkout))
    for name, parts in (('timm', {}), ('timm.models', {}), ('timm.models.layers', dict(drop_path=None)),
                        ('tqdm', dict(tqdm=None)), ('ftfy', {}), ('boto3', {}), ('regex', {})):
        if name not in sys.modules:
            sys.modules[name] = ModuleType(name)
            vars(sys.modules[name]).update(parts)
    from tvr.models import modeling
    logging.disable()
    return modeling


def build(code, case: dict):
    """Its model without the constructor, which reads a file and knows the patches of two sizes of CLIP only."""
    model = code.VTRModel.__new__(code.VTRModel)
    torch.nn.Module.__init__(model)
    layers, joins = case['merge_layers'], case['merge_frames']
    counts = [merging.FRAMES]
    for factor in joins:
        counts.append(counts[-1] // factor)
    model.clip = code.CLIP(
        reference.EMBED, merging.IMAGE, reference.LAYERS, reference.VISION_WIDTH, reference.PATCH, reference.CONTEXT,
        reference.VOCABULARY['vocab_size'], reference.TEXT_WIDTH, reference.TEXT_WIDTH // 64, reference.LAYERS,
        merging.RANK, list(layers), 1, counts[:-1])
    missing, unexpected = model.clip.load_state_dict(merging.state(), strict=False)
    assert not unexpected and all('TVPt' in name for name in missing), (missing, unexpected)
    model.config = SimpleNamespace(merge_frame_num='-'.join(map(str, joins)))
    model.merge_layer, model.tome_r, model.frame_pos = list(layers), case['tokens_per_layer'], 1
    model.merge_token_proportion = [case['across'], case['within']]
    model.frame_list, model.patch_list = [merging.FRAMES], [(merging.IMAGE // reference.PATCH) ** 2 + 1]
    code.tome_patch(model.clip, trace_source=False, prop_attn=True)
    for name, tower in (('vision', model.clip.visual.transformer), ('text', model.clip.transformer)):
        for index, (block, (down, up)) in enumerate(zip(tower.resblocks, merging.updates()[name])):
            block.attn.TVPt_LoRA_a.copy_(down)
            block.attn.TVPt_LoRA_b.copy_(up)
            if name == 'vision' and index in layers:
                place = block.TVPt_Video_Positional_embedding
                place.copy_(merging.positions(place.shape[1])[None, :, None])
    return model.eval()


def features(model) -> dict[str, Tensor]:
    frames, tokens = merging.inputs()
    mask = torch.ones(merging.VIDEOS, merging.FRAMES, dtype=torch.long)
    seen = {}
    model.get_video_avg_feat = lambda tokens, mask: seen.setdefault('vision', tokens)  # of frames, of length 1
    model.get_video_feat(frames.flatten(0, 1), mask)
    return dict(vision=seen['vision'], text=model.get_text_feat(tokens, (tokens != 0).long()))


def main() -> None:
    code = read_code(Path(sys.argv[1]))
    with torch.no_grad():
        found = {case: features(build(code, arguments)) for case, arguments in merging.CASES.items()}
    golden = {case: {side: [round(x, 7) for x in tensor.flatten().tolist()] for side, tensor in sides.items()}
              for case, sides in found.items()}
    source = 'LunarShen/TempMe, run by tests/helpers/make_merging_golden.py; embeddings of frames have length 1'
    merging.GOLDEN.write_text(json.dumps(dict(source=source, **golden)) + '\n')


if __name__ == '__main__':
    main()
