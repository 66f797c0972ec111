"""Writes the scores that public code computes on the features and weights of ``helpers/head_reference.py``.

    git clone https://github.com/ArrowLuo/CLIP4Clip; git clone https://github.com/foolwood/DRL
    git clone https://github.com/layer6ai-labs/xpool
    PYTHONPATH=.:tests python -m helpers.make_head_golden CLIP4Clip DRL xpool
"""
import json
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import torch
from torch import Tensor, nn

import mmcma.models  # noqa: F401  (before anything is put in the place of a package)
from helpers import head_reference as reference
from helpers.imports import import_file
from mmcma.registry import MODELS

# A layer of our transformers -> the same part of CLIP4Clip's.
PARTS = dict(self_attn='attn', linear1='mlp.c_fc', linear2='mlp.c_proj', norm1='ln_1', norm2='ln_2')
# Parts of our XPool -> of the released one.
POOL = {'query': 'cross_attn.q_proj', 'key': 'cross_attn.k_proj', 'value': 'cross_attn.v_proj',
        'out': 'cross_attn.out_proj', 'linear': 'linear_proj', 'norm_in': 'layer_norm1', 'norm_pooled': 'layer_norm2',
        'norm_out': 'layer_norm3'}


def ours(case: str) -> nn.Module:
    """Our similarity with its weights."""
    similarity = MODELS.build(reference.CASES[case])
    similarity.bind(reference.DIM)
    return reference.fill(similarity)


def copy(source: nn.Module, target: nn.Module) -> None:
    """Copies a part's weights; a last bias that ours does not have is zero."""
    state = source.state_dict()
    if getattr(target, 'bias', None) is not None and 'bias' not in state:
        state['bias'] = torch.zeros_like(target.bias)
    target.load_state_dict(state)


def copy_layers(source: nn.Module, target: nn.Module) -> None:
    for layer, block in zip(source.layers.layers, target.resblocks):
        for mine, theirs in PARTS.items():
            copy(layer.get_submodule(mine), block.get_submodule(theirs))


def clip4clip(checkout: Path) -> dict[str, Tensor]:
    """``seqTransf``, ``seqLSTM`` and ``tightTransf`` of CLIP4Clip's model."""
    sys.path.insert(0, str(checkout))
    for downloader in ('boto3', 'botocore', 'botocore.exceptions', 'requests'):  # imported there, not needed here
        sys.modules.setdefault(downloader, MagicMock(__spec__=ModuleSpec(downloader, None)))
    from modules import module_cross
    from modules.modeling import CLIP4Clip
    width, heads = reference.DIM, reference.DIM // 64
    model = SimpleNamespace(training=False, task_config=None, clip=SimpleNamespace(logit_scale=torch.zeros(())))
    for name in ('_mean_pooling_for_similarity_visual', '_get_cross_output'):
        setattr(model, name, lambda *args, name=name: getattr(CLIP4Clip, name)(model, *args))
    mine = ours('SeqTransformer')
    model.transformerClip = module_cross.Transformer(width=width, layers=reference.LAYERS, heads=heads)
    copy_layers(mine, model.transformerClip)
    model.frame_position_embeddings = nn.Embedding.from_pretrained(mine.positions.detach())
    model.lstm_visual = ours('SeqLSTM').lstm
    mine = ours('TightTransformer')
    config = module_cross.CrossConfig(512)
    vars(config).update(hidden_size=width, num_hidden_layers=reference.LAYERS, num_attention_heads=heads,
                        max_position_embeddings=1 + reference.FRAMES, hidden_dropout_prob=0.1, initializer_range=0.02)
    model.cross, model.similarity_dense = module_cross.CrossModel(config).eval(), nn.Linear(width, 1)
    copy_layers(mine, model.cross.transformer)
    model.cross.embeddings.position_embeddings = nn.Embedding.from_pretrained(mine.positions.detach())
    copy(mine.scorer[0], model.cross.pooler.ln_pool)
    copy(mine.scorer[1], model.cross.pooler.dense)
    copy(mine.scorer[3], model.similarity_dense)

    def scores(case: str, score, **kwargs) -> Tensor:
        text, visual = reference.features(case)
        return score(model, text.pooled[:, None], visual.tokens, torch.ones(reference.TEXTS, 1), visual.mask.long(),
                     **kwargs)
    return {'SeqTransformer': scores('SeqTransformer', CLIP4Clip._loose_similarity, sim_header='seqTransf'),
            'SeqLSTM': scores('SeqLSTM', CLIP4Clip._loose_similarity, sim_header='seqLSTM'),
            'TightTransformer': scores('TightTransformer', CLIP4Clip._cross_similarity)}


def drl(checkout: Path) -> dict[str, Tensor]:
    """The weighted token-wise interaction of DRL's model, which is cut out of its class."""
    text = (checkout / 'tvr' / 'models' / 'modeling.py').read_text()
    start = text.index('    def wti_interaction')
    end = text.find('\n    def ', start + 1)
    names: dict = dict(torch=torch)
    exec('class Model:\n' + text[start:end], names)
    mine = ours('TokenWise')
    model = SimpleNamespace(training=False, config=SimpleNamespace(interaction='wti', cdcr=0),
                            text_weight_fc=mine.word_weight, video_weight_fc=mine.frame_weight)
    words, frames = reference.features('TokenWise')
    return {'TokenWise': names['Model'].wti_interaction(
        model, words.tokens, frames.tokens, words.mask.float(), frames.mask.float())[0]}


def xpool(checkout: Path) -> dict[str, Tensor]:
    """X-Pool's transformer and its matrix of similarities."""
    mine = ours('XPool')
    for name in ('config', 'config.base_config', 'scipy', 'scipy.stats'):  # imported there, not needed here
        sys.modules.setdefault(name, MagicMock(__spec__=ModuleSpec(name, None)))
    theirs = import_file(checkout / 'modules' / 'transformer.py').Transformer(SimpleNamespace(
        embed_dim=reference.DIM, num_mha_heads=1, transformer_dropout=0.3)).eval()
    for name, other in POOL.items():
        copy(mine.get_submodule(name), theirs.get_submodule(other))
    text, visual = reference.features('XPool')
    pooled = theirs(text.pooled, visual.tokens)
    metrics = import_file(checkout / 'modules' / 'metrics.py')
    return {'XPool': metrics.sim_matrix_training(text.pooled, pooled, 'transformer')}


def main() -> None:
    with torch.no_grad():
        found = {**xpool(Path(sys.argv[3])), **drl(Path(sys.argv[2])), **clip4clip(Path(sys.argv[1]))}
    golden = {case: [[round(x, 7) for x in row] for row in scores.tolist()] for case, scores in sorted(found.items())}
    source = 'ArrowLuo/CLIP4Clip, foolwood/DRL and layer6ai-labs/xpool, run by tests/helpers/make_head_golden.py'
    reference.GOLDEN.write_text(json.dumps(dict(source=source, **golden)) + '\n')


if __name__ == '__main__':
    main()
