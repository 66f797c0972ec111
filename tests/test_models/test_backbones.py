"""Every architecture of transformers behind the towers' interface."""
import copy
from functools import partial

import pytest
import torch
from helpers.architectures import ARCHITECTURES, CONTEXT, dual_config, write_dual
from helpers.clip import model_config
from torch import nn

from mmcma.models import Neck
from mmcma.structures import RetrievalSample
from mmcma.utils.errors import ConfigError, WeightsError

CAPTIONS = ['a red star', 'snow', 'a small blue moon above the green snow']


@pytest.fixture(scope='module', params=ARCHITECTURES)
def folder(request, tmp_path_factory) -> str:
    return write_dual(tmp_path_factory.mktemp(request.param), request.param)


def retriever(build, folder: str, **changes):
    config = model_config(folder, data_preprocessor=dict(type='RetrievalDataPreprocessor'), **changes)
    return build(config).eval()


def library_inputs(folder: str, captions: list[str]) -> dict:
    """As the library's documents tell to tokenise for this model."""
    from transformers import AutoConfig, AutoTokenizer
    siglip = AutoConfig.from_pretrained(folder).model_type == 'siglip'
    tokens = AutoTokenizer.from_pretrained(folder)(
        captions, padding='max_length' if siglip else True, max_length=CONTEXT, truncation=True, return_tensors='pt')
    return dict(input_ids=tokens.input_ids, **({} if siglip else dict(attention_mask=tokens.attention_mask)))


@torch.no_grad()
def test_features_are_the_library_models(folder, build):
    from transformers import AutoModel
    model, library = retriever(build, folder), AutoModel.from_pretrained(folder).eval()
    frames = torch.randint(0, 256, (3, 1, 3, 32, 32), dtype=torch.uint8)
    with model.zero_shot():
        torch.testing.assert_close(model.encode_visual(frames).pooled,
                                   library.get_image_features((frames[:, 0] / 255 - 0.5) / 0.5).pooler_output,
                                   atol=1e-5, rtol=0)
        torch.testing.assert_close(model.encode_text(CAPTIONS).pooled,
                                   library.get_text_features(**library_inputs(folder, CAPTIONS)).pooler_output,
                                   atol=1e-5, rtol=0)
    assert model.head.logit_scale.item() == pytest.approx(library.logit_scale.item())
    bias = getattr(library, 'logit_bias', None)
    assert model.text_backbone.logit_bias == (None if bias is None else pytest.approx(bias.item()))


@torch.no_grad()
def test_captions_of_different_length_do_not_see_each_other(folder, build):
    model = retriever(build, folder)
    together = model.encode_text(CAPTIONS).pooled
    for caption, row in zip(CAPTIONS, together):
        torch.testing.assert_close(model.encode_text([caption]).pooled[0], row)


@torch.no_grad()
def test_the_pooled_token_is_among_the_tokens(folder, build):
    tower = (model := retriever(build, folder)).text_backbone
    text = tower(*model.data_preprocessor.tokenise(CAPTIONS), with_tokens=True)
    assert text.tokens.shape == (*text.mask.shape, tower.embed_dim)
    place = {'chinese_clip': torch.zeros(3, dtype=int), 'siglip': torch.full((3,), CONTEXT - 1)}.get(
        tower.encoder.config.model_type.removesuffix('_text_model'), text.mask.sum(1) - 1)
    torch.testing.assert_close(text.tokens[torch.arange(3), place], text.pooled)


def test_towers_publish_every_layer(folder, build):
    model = retriever(build, folder)
    for tower, layers, width in ((model.vision_backbone, 3, 32), (model.text_backbone, 2, 24)):
        assert len(tower.blocks) == layers and len({id(site.module) for site in tower.sites}) == 2 * layers
        assert [(site.layer, site.kind) for site in tower.sites] == [
            (layer, kind) for layer in range(layers) for kind in ('attn', 'ffn')]
        assert {site.dim for site in tower.sites} == {tower.width} == {width}
        below = {id(p) for block in tower.blocks for p in block.parameters()}
        assert tower.stem_parameters and below.isdisjoint(map(id, tower.stem_parameters))
    assert model.text_backbone.token_embedding.weight.shape == (20, 24)


class Recorder(Neck):
    """Adds ``shift`` to every branch, and remembers what branches and layers get and give."""

    def attach(self, *, vision, text):
        self.shift, self.seen = 0.0, []
        for tower in (vision, text):
            for site in tower.sites:
                (site.entry or site.module).register_forward_hook(partial(self.note, 'in', site), with_kwargs=True)
                self.rewrite_output(site.module, partial(self.add, site), str(site))
            for block in tower.blocks:
                block.register_forward_hook(partial(self.note, 'layer', block), with_kwargs=True)

    def note(self, what, place, module, args, kwargs, output):
        self.seen.append((what, place, args[0] if args else next(iter(kwargs.values())), output))

    def add(self, site, hidden):
        self.seen.append(('out', site, None, hidden))
        return hidden + self.shift


@torch.no_grad()
def test_sites_are_the_branches_before_the_sum(folder, build):
    """One layer by hand: x + branch, and LayerNorm(x + branch) where the layer normalises after the sum."""
    model = retriever(build, folder, neck=None)
    neck = Recorder()
    neck.attach(vision=model.vision_backbone, text=model.text_backbone)
    neck.shift = 0.3
    frames = torch.randint(0, 256, (1, 1, 3, 32, 32), dtype=torch.uint8)
    for tower, run in ((model.vision_backbone, lambda: model.encode_visual(frames)),
                       (model.text_backbone, lambda: model.encode_text(['a red star']))):
        neck.seen.clear()
        run()
        block, sites = tower.blocks[0], tower.sites[:2]
        entered = {(what, getattr(place, 'kind', None)): x for what, place, x, _ in neck.seen
                   if what == 'in' and place in sites}
        out = {place.kind: left for what, place, _, left in neck.seen if what == 'out' and place in sites}
        x, left = next((x, left) for what, place, x, left in neck.seen if what == 'layer' and place is block)
        if hasattr(block, 'layer_norm1'):
            torch.testing.assert_close(entered['in', 'attn'], block.layer_norm1(x))
            x = x + out['attn'] + 0.3
            torch.testing.assert_close(entered['in', 'ffn'], block.layer_norm2(x))
            x = x + out['ffn'] + 0.3
        else:
            torch.testing.assert_close(entered['in', 'attn'], x)
            x = block.attention.output.LayerNorm(x + out['attn'] + 0.3)
            torch.testing.assert_close(entered['in', 'ffn'], x)
            x = block.output.LayerNorm(x + out['ffn'] + 0.3)
        torch.testing.assert_close(left, x)


def test_two_steps_train_the_adapters_alone(folder, build):
    model = retriever(build, folder).train()
    assert sum(slot.shared is not None for slot in model.neck.slots) == 4  # two text layers, two sites each
    before = copy.deepcopy(model.state_dict())
    optimizer = torch.optim.SGD(model.trainable_parameters().values(), lr=0.1)
    samples = [RetrievalSample(item_id=str(i), item_index=i, captions=[caption], frame_mask=torch.ones(2, dtype=bool))
               for i, caption in enumerate(CAPTIONS)]
    data = dict(inputs=[torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8) for _ in samples],
                data_samples=samples)
    for _ in range(2):
        optimizer.zero_grad()
        model(**model.data_preprocessor(data), mode='loss')['loss'].backward()
        assert all(p.grad is not None and p.grad.any() for p in model.neck.parameters())
        optimizer.step()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]) != name.startswith('neck.'), name


@torch.no_grad()
def test_adapters_change_both_sides(folder, build):
    model = retriever(build, folder)
    for parameter in model.neck.parameters():
        nn.init.normal_(parameter, std=0.3)
    frames = torch.randint(0, 256, (1, 1, 3, 32, 32), dtype=torch.uint8)
    adapted = model.encode_visual(frames).pooled, model.encode_text(['a star']).pooled
    with model.zero_shot():
        plain = model.encode_visual(frames).pooled, model.encode_text(['a star']).pooled
    assert all((a - p).abs().max() > 1e-3 for a, p in zip(adapted, plain))


@pytest.mark.parametrize('part', [True, 'bias', 'norm', 'last_1_layers'])
def test_named_parts_train(folder, build, part):
    model = retriever(build, folder, neck=None, text_backbone=dict(
        type='HFTextTower', pretrained=folder, trainable=part))
    names = set(model.trainable_parameters())
    assert names and (part is True) == any('embeddings' in name and 'LayerNorm' not in name and 'bias' not in name
                                           for name in names)


@pytest.fixture(scope='module')
def siglip(tmp_path_factory) -> str:
    return write_dual(tmp_path_factory.mktemp('siglip'), 'siglip')


def test_siglip_reads_lower_case_captions_of_its_full_length(siglip, build):
    model = retriever(build, siglip)
    ids, mask = model.data_preprocessor.tokenise(['A Red STAR', 'a ' * 20])
    assert ids.shape == (2, CONTEXT) and torch.equal(ids[0], model.data_preprocessor.tokenise(['a red star'])[0][0])
    assert mask.sum(1).tolist() == [4, CONTEXT] and ids[1, -1] == model.text_backbone.tokenizer.eos_token_id


def test_a_tokenizer_that_lacks_its_package_says_so(siglip, build, monkeypatch):
    from transformers import AutoTokenizer

    def missing(source, **kwargs):
        raise ImportError('SiglipTokenizer requires the SentencePiece library')
    monkeypatch.setattr(AutoTokenizer, 'from_pretrained', missing)
    with pytest.raises(WeightsError, match='tokenizer=.*pip install sentencepiece protobuf'):
        build(dict(type='HFTextTower', pretrained=siglip))


def test_siglip_takes_no_shorter_captions_unless_prompts_fill_the_rest(siglip, build):
    with pytest.raises(ConfigError, match=r'max_words=8 .* 12 tokens; set it to None'):
        build(model_config(siglip, data_preprocessor=dict(type='RetrievalDataPreprocessor', max_words=8)))
    model = retriever(build, siglip, neck=dict(type='CoOp', num_prompts=3)).eval()
    assert model.data_preprocessor.tokenise(['a star'])[0].shape == (1, CONTEXT - 3)
    with torch.no_grad(), model.zero_shot():  # switched off, the prompts leave no gap
        plain = retriever(build, siglip, neck=None).eval()
        assert torch.equal(model.encode_text(['a star']).pooled, plain.encode_text(['a star']).pooled)
    assert not torch.equal(model.encode_text(['a star']).pooled, plain.encode_text(['a star']).pooled)


def test_siglip_has_no_projection_to_train(siglip, build):
    with pytest.raises(ConfigError, match="trainable='projection'.*nothing of the kind"):
        retriever(build, siglip, vision_backbone=dict(type='HFVisionTower', pretrained=siglip, trainable='projection'))


@pytest.mark.parametrize('model_type, said', [
    ('siglip2', 'NaFlex .* such as .google/siglip2-base-patch16-224'),
    ('bert', r"model_type='bert' is no dual encoder .*'chinese_clip', 'clip', 'metaclip_2', 'siglip'")])
def test_other_models_are_refused_before_their_weights_are_read(tmp_path, build, model_type, said):
    (tmp_path / 'config.json').write_text(f'{{"model_type": "{model_type}"}}')
    with pytest.raises(WeightsError, match=f'pretrained=.*{said}'):
        build(dict(type='HFVisionTower', pretrained=str(tmp_path)))


def test_from_scratch(siglip, build):
    text = build(dict(type='HFTextTower', config=dual_config('siglip'), tokenizer=siglip, trainable=True))
    assert text.embed_dim == 32 and text.source is None
