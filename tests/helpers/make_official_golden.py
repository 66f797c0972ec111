"""Writes what the released code computes and trains on the weights of ``helpers/official_reference.py``.

    git clone https://github.com/LeapLabTHU/Cross-Modal-Adapter
    PYTHONPATH=.:tests python -m helpers.make_official_golden Cross-Modal-Adapter
"""
import json
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import torch
from safetensors.torch import save_file
from torch import distributed

from helpers import official_reference as reference
from helpers import released_training as training

sys.path.append(str(Path(__file__).parents[2] / 'tools' / 'analysis_tools'))
from benchmarks.released import make_importable, released_model
from official_cma import to_ours


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


def train_official(checkout: str) -> dict[str, torch.Tensor]:
    """The adapters, in our naming, after the steps of ``released_training`` in the released code's loop."""
    distributed.init_process_group('gloo', store=distributed.HashStore(), rank=0, world_size=1)
    with tempfile.TemporaryDirectory() as folder:
        reference.write_hf_folder(Path(folder) / 'clip')
        torch.save(training.adapters(), Path(folder) / 'adapters.pt')
        model = released_model(Path(checkout), Path(folder)).train()
    from modules.optimization import BertAdam
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    optimizer = BertAdam(
        [dict(params=[p for name, p in named if ('bias' in name) == biases], weight_decay=0.0 if biases else 0.2)
         for biases in (False, True)], lr=1e-5, warmup=0.1, schedule='warmup_cosine', b1=0.9, b2=0.98, e=1e-6,
        t_total=training.STEPS, weight_decay=0.2, max_grad_norm=0.0)
    batches = training.batches()
    for step in range(training.STEPS):
        clips, mask, tokens, token_mask = batches[step % len(batches)]
        model(tokens, torch.zeros_like(tokens), token_mask.long(), clips[:, None, :, None], mask.long()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    return to_ours({name: p.detach() for name, p in named})


def main() -> None:
    save_file(train_official(sys.argv[1]), training.GOLDEN, metadata=dict(
        source='LeapLabTHU/Cross-Modal-Adapter, trained by tests/helpers/make_official_golden.py'))
    result = run_official(sys.argv[1])
    golden = {name: [[round(x, 7) for x in row] for row in tensor.tolist()] for name, tensor in result.items()}
    reference.GOLDEN.write_text(json.dumps(dict(
        source='LeapLabTHU/Cross-Modal-Adapter, run by tests/helpers/make_official_golden.py', **golden)) + '\n')


if __name__ == '__main__':
    main()
