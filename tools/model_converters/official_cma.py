"""Maps a checkpoint of the released code (LeapLabTHU/Cross-Modal-Adapter) to ours, or ours back.

    python tools/model_converters/official_cma.py ckpt_epoch5.pth cma.pth --backbone openai/clip-vit-base-patch32
    python tools/model_converters/official_cma.py cma.pth official.pth

The direction is seen from IN. Only the adapters travel: the released code
stores the frozen CLIP weights too, and fills them in again where they are
missing. --backbone names the model that the adapters belong to (a Hub name
or a folder), so that its fingerprint guards the checkpoint; without it the
fingerprint stays open and is not checked on loading.
"""
import argparse
import re
from pathlib import Path

from mmcma.cli.arguments import add_trust_arguments, check_can_be_written, run_tool, trusting

# Parameter of the released code -> (modality, part) of a slot; row i of each stack is slot i.
STACKS = {
    'visual_adapter_down': 'vision.down', 'visual_adapter_up_unique': 'vision.up',
    'text_adapter_down': 'text.down', 'text_adapter_up_unique': 'text.up', 'vt_adapter_up_share': 'shared'}
# Ours: number of the slot, part, and kind.
SLOT = re.compile(r'neck\.slots\.(\d+)\.(.+)\.(weight|bias)')


def to_ours(official: dict) -> dict:
    """State dict of the released model -> ``neck.slots.*`` tensors in float32.

    Args:
        official: ``clip.visual_adapter_down_weight`` ``(2 * layers, r, dim)`` and so on.

    Raises:
        WeightsError: It holds no adapters, or one that is not known.
    """
    from mmcma.utils.errors import WeightsError
    ours = {}
    for name, stack in official.items():
        if '_adapter_' not in name:
            continue
        stem, _, kind = name.removeprefix('clip.').rpartition('_')
        if stem not in STACKS or stack.dim() < 2:
            raise WeightsError(f'{name} is no parameter of the released Cross-Modal Adapter.')
        for slot, tensor in enumerate(stack.float()):
            ours[f'neck.slots.{slot}.{STACKS[stem]}.{kind}'] = tensor.clone()
    if not ours:
        raise WeightsError('the checkpoint holds no clip.*_adapter_* parameters: it is none of the released code.')
    return ours


def to_official(ours: dict) -> dict:
    """``neck.slots.*`` tensors -> stacks of the released code, without the frozen CLIP weights.

    Raises:
        WeightsError: It holds none, or what the released code does not know: towers of different depth, other sharing.
    """
    import torch

    from mmcma.utils.errors import WeightsError
    slots = {name: SLOT.fullmatch(name) for name in ours if name.startswith('neck.slots.')}
    if not slots:
        raise WeightsError('the checkpoint holds no neck.slots.*: it is none of a CrossModalAdapter.')
    for name, slot in slots.items():
        if slot is None or slot[2] not in STACKS.values():
            raise WeightsError(f'{name} has no counterpart in the released code, which shares up-projections alone.')
    depth = 1 + max(int(slot[1]) for slot in slots.values())
    official = {}
    for stem, part in STACKS.items():
        for kind in ('weight', 'bias'):
            rows = [ours.get(f'neck.slots.{slot}.{part}.{kind}') for slot in range(depth)]
            present = sum(row is not None for row in rows)
            if 0 < present < depth:
                raise WeightsError(f'{part} exists in {present} of {depth} slots: towers of different depth have no '
                                   'counterpart in the released code.')
            if present:
                official[f'clip.{stem}_{kind}'] = torch.stack(rows)
    return official


def convert(checkpoint: dict, backbone: str | None) -> dict:
    """A checkpoint of one kind -> one of the other."""
    if 'model' in checkpoint:
        return dict(state_dict=to_ours(checkpoint['model']), meta={},
                    backbone=dict(name=backbone, fingerprint=backbone and _fingerprint(backbone)))
    return dict(model=to_official(checkpoint['state_dict']))


def _fingerprint(pretrained: str) -> str:
    from mmcma.models import HFTextTower, HFVisionTower
    from mmcma.models.backbones.pretrained import shared_reads
    from mmcma.models.backbones.tower import fingerprint
    with shared_reads():
        return fingerprint(dict(vision=HFVisionTower(pretrained=pretrained), text=HFTextTower(pretrained=pretrained)))


def read(path: Path) -> dict:
    """The checkpoint; the released code's also pickles its argparse.Namespace.

    Raises:
        WeightsError: It is missing, cannot be read, or is of neither kind.
    """
    import torch

    from mmcma.utils.errors import WeightsError
    from mmcma.utils.plain_loading import load_plain
    if not path.is_file():
        raise WeightsError(f'{path}: no such file.')
    with torch.serialization.safe_globals([argparse.Namespace]):
        checkpoint = load_plain(path)
    state = checkpoint.get('model', checkpoint.get('state_dict')) if isinstance(checkpoint, dict) else None
    if not isinstance(state, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in state.values()):
        raise WeightsError(f"{path} holds tensors neither as 'model' (released code) nor as 'state_dict' (ours).")
    return checkpoint


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('source', metavar='IN', type=Path)
    parser.add_argument('target', metavar='OUT', type=Path)
    parser.add_argument('--backbone', help='model that the adapters belong to: Hub name or folder')
    add_trust_arguments(parser)
    args = parser.parse_args()
    check_can_be_written(args.target, 'OUT')
    import torch

    from mmcma.utils.errors import WeightsError
    with trusting(args):
        checkpoint = read(args.source)
    try:
        torch.save(convert(checkpoint, args.backbone), args.target)
    except WeightsError as error:
        raise WeightsError(f'{args.source}: {error}') from error
    print(f'{args.source} -> {args.target}')


if __name__ == '__main__':
    run_tool(main)
