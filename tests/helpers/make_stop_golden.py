"""Writes the features that STOP's public code computes with the weights of ``helpers/stop_reference.py``.

    git clone https://github.com/zhoujiahuan1991/CVPR2025-STOP
    PYTHONPATH=.:tests python -m helpers.make_stop_golden CVPR2025-STOP

Its ``clip.py`` stands in the checkout twice, between the marks of a merge that was not resolved; the second is run. In
``temporal_prompting.py`` the sizes of ViT-B/32 are written out, and are replaced by the reference's. A clip is run at a
time, since its least and greatest weight of a frame are those of a batch.
"""
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import torch
from torch import Tensor, nn

from helpers import merging_reference as clips
from helpers import official_reference as reference
from helpers import stop_reference as stop
from helpers.clip import VOCABULARY, model_config
from helpers.make_adapter_golden import copy, stand_in
from helpers.make_video_method_golden import MIXER
from mmcma.registry import MODELS

GRID = clips.IMAGE // reference.PATCH
#: What is written out for ViT-B/32 -> what the reference has.
SIZES = {'32, 7, 32, 7': f'{reference.PATCH}, {GRID}, {reference.PATCH}, {GRID}',
         '32, 1, 32, 1': f'{reference.PATCH}, 1, {reference.PATCH}, 1', '224, 224': f'{clips.IMAGE}, {clips.IMAGE}',
         '768, num_heads = 12': f'{reference.VISION_WIDTH}, num_heads = {reference.VISION_WIDTH // 64}',
         '768)': f'{reference.VISION_WIDTH})', 'nn.Linear(49': f'nn.Linear({GRID ** 2}',
         'repeat(12,': f'repeat({reference.LAYERS},'}


def run_file(path: Path, name: str, edit=lambda text: text) -> ModuleType:
    """A file of the checkout as the module ``name``, after ``edit`` of its text."""
    module = ModuleType(name)
    module.__package__ = name.rpartition('.')[0]
    sys.modules[name] = module
    exec(compile(edit(path.read_text()), str(path), 'exec'), vars(module))
    return module


def read_code(checkout: Path) -> ModuleType:
    def with_sizes(text: str) -> str:
        for written, ours in SIZES.items():
            assert written in text, written
            text = text.replace(written, ours)
        return text

    stand_in('stop_code', __path__=[])
    stand_in('stop_code.utils', log_info=lambda text: None)
    run_file(checkout / 'modules' / 'temporal_prompting.py', 'stop_code.temporal_prompting', with_sizes)
    return run_file(checkout / 'modules' / 'clip.py', 'stop_code.clip',
                    lambda text: text.split('=======\n')[1].split('>>>>>>> ')[0])


def build(code: ModuleType, neck: nn.Module) -> nn.Module:
    args = SimpleNamespace(global_visual_prompt_length=4, local_each_frame_prompt_length=4, text_prompt_length=8,
                           unified_transformer_layers=reference.LAYERS, max_words=reference.CONTEXT, time_embedding=0,
                           shared_latent_space='transformer', visual_output_type='global_prompt0', lora=True,
                           temporal_prompt='group2-2')
    clip = code.CLIP(
        reference.EMBED, clips.IMAGE, reference.LAYERS, reference.VISION_WIDTH, reference.PATCH, reference.CONTEXT,
        VOCABULARY['vocab_size'], reference.TEXT_WIDTH, 1, reference.LAYERS, video_frames=clips.FRAMES, args=args)
    clip.visual.prompt_embeddings = nn.Parameter(neck.clip[None])
    clip.unified_prompt_embedding.weight.copy_(neck.space.tokens.transpose(0, 1).flatten(1))
    copy(neck.space.mixer, clip.PromptTransformer.resblocks[0], MIXER)
    copy(neck.space.to_text, clip.unified_prompt_mlp, {'0': 'c_fc', '2': 'c_proj'})
    for name, tower in (('vision', clip.visual), ('text', clip)):
        for block, branch in zip(tower.transformer.resblocks, neck.branches[name]):
            block.LoRA.load_state_dict(branch.state_dict())
    theirs, pixels, between = clip.visual.TemporalPrompt, neck.pixels, neck.between
    for ours, place in zip(pixels.convolutions, (0, 1, 3, 5)):
        theirs.Conv[place].load_state_dict(ours.state_dict())
    for ours, place in zip(pixels.activations[1:3], (2, 4)):
        theirs.Conv[place].load_state_dict(ours.state_dict())
    theirs.MLP.load_state_dict(pixels.to_pixels[:3].state_dict())
    theirs.Cal_Net.load_state_dict(dict(weight=pixels.chooser_weight, bias=pixels.chooser_bias))
    copy(between, theirs, {'attention': 'Attention', 'to_prompts': 'InterMLP', 'weigh': 'Cal_Net_Inter',
                           'convolutions.0': 'InterConv.0', 'activation': 'InterConv.1',
                           'convolutions.1': 'InterConv.2'})
    assert not clip.load_state_dict(clips.state(), strict=False).unexpected_keys
    return clip.float().eval()


def features(clip: nn.Module) -> dict[str, Tensor]:
    frames, ids = clips.inputs()
    _, of_frames = clip.encode_prompt(1, device='cpu')
    of_captions, _ = clip.encode_prompt(len(ids), device='cpu')
    return dict(vision=torch.cat([clip.encode_image(own, of_frames, video_frame=clips.FRAMES)[:, 0] for own in frames]),
                text=clip.encode_text(ids, of_captions))


@torch.no_grad()
def main() -> None:
    import tempfile
    folder = reference.write_hf_folder(Path(tempfile.mkdtemp()), clips.state(), clips.IMAGE)
    config = model_config(folder, neck=stop.NECK, data_preprocessor=dict(type='RetrievalDataPreprocessor'))
    found = features(build(read_code(Path(sys.argv[1])), stop.fill_neck(MODELS.build(config).neck)))
    golden = {side: [[round(x, 7) for x in row] for row in tensor.tolist()] for side, tensor in found.items()}
    source = 'zhoujiahuan1991/CVPR2025-STOP, run by tests/helpers/make_stop_golden.py, a clip at a time'
    stop.GOLDEN.write_text(json.dumps(dict(source=source, **golden)) + '\n')


if __name__ == '__main__':
    main()
