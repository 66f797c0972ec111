"""Writes what the released code computes on the weights of ``helpers/official_reference.py``.

    git clone https://github.com/LeapLabTHU/Cross-Modal-Adapter
    PYTHONPATH=.:tests python -m helpers.make_official_golden Cross-Modal-Adapter
"""
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import torch

from helpers import official_reference as reference

sys.path.append(str(Path(__file__).parents[2] / 'tools' / 'analysis_tools'))
from benchmarks.official import make_importable


def run_official(checkout: str) -> dict[str, torch.Tensor]:
    """Embeddings ``visual (V * F, D)``, ``text (N, D)`` and scaled similarities ``(N, V)`` of the released code."""
    make_importable(Path(checkout))
    from modules.modeling_jointvt_upshare_adapter import CLIP4Clip
    from modules.module_clip_jointvt_upshare_adapter import CLIP
    clip = CLIP(reference.EMBED, reference.IMAGE, reference.LAYERS, reference.VISION_WIDTH, reference.PATCH,
                reference.CONTEXT, reference.VOCABULARY['vocab_size'], reference.TEXT_WIDTH,
                reference.TEXT_WIDTH // 64, reference.LAYERS, adapter_reduction_dims=reference.REDUCTION,
                adapter_share_dim=reference.SHARED, adapter_non_linearity='quick_gelu').float().eval()
    clip.load_state_dict(reference.official_state())
    frames, mask, tokens = reference.inputs()
    settings = SimpleNamespace(t_emb_norm=0, v_emb_norm=0, v_agg_norm=0, q_score=1, jcl=0, linspace_samp=None,
                               q_score_temp=reference.TEMPERATURE)
    head = SimpleNamespace(training=False, clip=clip, task_config=settings)
    head.q_score = lambda *args, **kwargs: CLIP4Clip.q_score(head, *args, **kwargs)
    with torch.no_grad():
        visual, text = clip.encode_image(frames), clip.encode_text(tokens)
        stacked = visual.view(reference.VIDEOS, reference.FRAMES, -1)
        similarity = CLIP4Clip._loose_similarity(head, text[:, None], stacked, None, mask.long())
    return dict(visual=visual, text=text, similarity=similarity)


def main() -> None:
    result = run_official(sys.argv[1])
    golden = {name: [[round(x, 7) for x in row] for row in tensor.tolist()] for name, tensor in result.items()}
    reference.GOLDEN.write_text(json.dumps(dict(
        source='LeapLabTHU/Cross-Modal-Adapter, run by tests/helpers/make_official_golden.py', **golden)) + '\n')


if __name__ == '__main__':
    main()
