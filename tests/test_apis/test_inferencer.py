"""The inferencer gives what a test computes, for texts, videos, images and folders of frames."""
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.checkpoints import PIPELINE, retrieval_config, trained_checkpoint
from helpers.media import write_video
from helpers.tiny_run import read_config
from mmengine.runner import Runner
from PIL import Image

from mmcma.apis import RetrievalInferencer, init_model
from mmcma.apis.media import frame_pipeline
from mmcma.evaluation import RetrievalMetric
from mmcma.registry import TRANSFORMS
from mmcma.structures import Features
from mmcma.utils.errors import ConfigError, DataError, MediaError

CAPTIONS = ['a red star', 'the blue moon grows and grows', 'a king', 'an airplane', 'sun', 'a heart turns']


def image(path: Path, seed: int) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture(scope='module')
def media(tmp_path_factory) -> list[str]:
    """Folders of 1 to 4 frames and two images, in turns; three frames are a clip's."""
    root = tmp_path_factory.mktemp('media')
    for item, length in enumerate([4, 2, 1, 3]):
        for frame in range(length):
            image(root / f'clip{item}' / f'{frame:03}.png', 10 * item + frame)
    images = [image(root / f'{name}.png', seed) for seed, name in enumerate('ab', start=100)]
    return [str(path) for path in (root / 'clip0', images[0], root / 'clip1', root / 'clip2', images[1],
                                   root / 'clip3')]


@pytest.fixture(scope='module')
def inferencer(tiny_clip, tmp_path_factory) -> RetrievalInferencer:
    model = init_model(trained_checkpoint(tmp_path_factory.mktemp('model'), retrieval_config(tiny_clip)), device='cpu')
    return RetrievalInferencer(model, batch_size=4)


def close(one: Features, other: Features) -> None:
    for ours, theirs in zip(one, other):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


def test_features_are_those_of_the_test_loop(tiny_clip, media, tmp_path, monkeypatch):
    """tools/test.py with the same checkpoint, on a set that lists the same files and captions."""
    clips = [path for path in media if Path(path).is_dir()]
    root = Path(clips[0]).parent
    captions = [CAPTIONS[index:index + 2] for index in range(len(clips))]
    lines = [json.dumps(dict(path=Path(path).name, captions=own)) for path, own in zip(clips, captions)]
    (root / 'list.jsonl').write_text('\n'.join(lines))
    cfg = read_config(tmp_path, tiny_clip)
    cfg.test_dataloader.dataset = dict(type='CaptionedFiles', data_root=str(root), ann_file='list.jsonl',
                                       test_mode=True, pipeline=PIPELINE)
    cfg.load_from = str(trained_checkpoint(tmp_path, cfg))
    seen = []
    process = RetrievalMetric.process
    monkeypatch.setattr(RetrievalMetric, 'process', lambda self, batch, samples: (
        seen.extend(samples), process(self, batch, samples)))
    Runner.from_cfg(cfg).test()

    inferencer = RetrievalInferencer(init_model(cfg.load_from, device='cpu'), batch_size=4)
    visual = inferencer.encode_visual(clips)
    torch.testing.assert_close(visual.tokens, torch.stack([sample['visual_tokens'] for sample in seen]))
    assert torch.equal(visual.mask, torch.stack([sample['frame_mask'] for sample in seen]))
    text = inferencer.encode_text([caption for own in captions for caption in own])
    torch.testing.assert_close(text.pooled, torch.cat([sample['text_pooled'] for sample in seen]))


def test_a_mixed_gallery_is_encoded_as_each_item_alone(inferencer, media):
    whole = inferencer.encode_visual(media)
    assert whole.tokens.shape == (6, 3, 32) and whole.mask.sum(1).tolist() == [3, 1, 2, 1, 1, 3]
    assert whole.pooled.dtype == whole.tokens.dtype == torch.float32
    for row, path in enumerate(media):
        alone = inferencer.encode_visual([path])
        length = alone.tokens.shape[1]
        close(alone, Features(whole.pooled[row:row + 1], whole.tokens[row:row + 1, :length],
                              whole.mask[row:row + 1, :length]))


def test_decoded_clips_are_encoded_as_their_files(inferencer, media):
    paths = [path for path in media if not path.endswith('clip0')]  # of that one the model takes 3 frames of 4
    clips = [np.stack([np.asarray(Image.open(file)) for file in (
        sorted(Path(path).iterdir()) if Path(path).is_dir() else [path])]) for path in paths]
    assert {len(clip) for clip in clips} == {1, 2, 3}
    decoded, read = inferencer.encode_frames(clips), inferencer.encode_visual(paths)
    assert torch.equal(decoded.mask, read.mask) and decoded.mask.sum(1).tolist() == [1, 2, 1, 1, 3]
    for features in (decoded, read):
        features.tokens[~features.mask] = 0
    close(decoded, read)
    close(inferencer.encode_frames([torch.from_numpy(clips[0])]), inferencer.encode_visual(paths[:1]))


@pytest.mark.parametrize('clips, message', [
    ([], 'there are no clips'), ([np.zeros((2, 9, 9, 3))], r'a clip is float64 of shape \(2, 9, 9, 3\)'),
    ([np.zeros((9, 9, 3), np.uint8)], 'must be uint8 RGB'), ([np.zeros((0, 9, 9, 3), np.uint8)], 'must be uint8 RGB')])
def test_what_is_no_decoded_clip(inferencer, clips, message):
    with pytest.raises(DataError, match=message):
        inferencer.encode_frames(clips)


def test_worker_processes_change_nothing(inferencer, media):
    parallel = RetrievalInferencer(inferencer.model, batch_size=4, num_workers=2)
    close(parallel.encode_visual(media), inferencer.encode_visual(media))


def test_similarities(inferencer, media, monkeypatch):
    text, visual = inferencer.encode_text(CAPTIONS), inferencer.encode_visual(media)
    whole = inferencer.model.similarity(text, visual)
    monkeypatch.setattr('mmcma.apis.inferencer._TILE', 4)
    torch.testing.assert_close(inferencer.similarity(text, visual), whole.detach())
    cosines = inferencer.visual_similarity(visual, visual)
    expected = torch.nn.functional.cosine_similarity(visual.pooled[:, None], visual.pooled[None], dim=-1)
    torch.testing.assert_close(cosines, expected)


def test_words_of_batches_of_different_length(tiny_clip, tmp_path):
    config = retrieval_config(tiny_clip, head=dict(
        type='RetrievalHead', similarity=dict(type='TokenWise'), loss=dict(type='SymmetricInfoNCE')))
    model = init_model(trained_checkpoint(tmp_path, config), device='cpu')
    whole = RetrievalInferencer(model).encode_text(CAPTIONS)
    parts = RetrievalInferencer(model, batch_size=1).encode_text(CAPTIONS)
    assert torch.equal(whole.mask, parts.mask)
    torch.testing.assert_close(whole.tokens[whole.mask], parts.tokens[parts.mask], rtol=0, atol=1e-5)


def test_joined_pads_and_marks():
    short = Features(torch.zeros(1, 2), torch.ones(1, 1, 2))
    long = Features(torch.ones(1, 2), torch.ones(1, 3, 2), torch.tensor([[True, True, False]]))
    both = Features.join([short, long])
    assert both.tokens.sum(-1).tolist() == [[2, 0, 0], [2, 2, 2]]
    assert both.mask.tolist() == [[True, False, False], [True, True, False]]


def test_rank_in_all_directions(inferencer, media):
    text, visual = inferencer.encode_text(CAPTIONS), inferencer.encode_visual(media)
    scores = inferencer.similarity(text, visual)
    ranked = inferencer.rank(CAPTIONS[1], [Path(path) for path in media], k=3)
    best = scores[1].topk(3)
    assert [match.item for match in ranked] == [media[index] for index in best.indices]
    assert [match.score for match in ranked] == pytest.approx(best.values.tolist(), abs=1e-5)
    ranked = inferencer.rank(media[1], CAPTIONS)  # an image
    assert [match.item for match in ranked] == [CAPTIONS[index] for index in scores[:, 1].argsort(descending=True)]
    ranked = inferencer.rank(Path(media[0]), [Path(path) for path in media], k=1)  # a folder of frames
    assert ranked[0].item == media[0] and ranked[0].score == pytest.approx(1, abs=1e-5)


def test_files_that_cannot_be_read(inferencer, media, tmp_path):
    broken = tmp_path / 'broken.mp4'
    broken.write_bytes(b'no video')
    paths = [media[0], str(broken), media[1]]
    with pytest.raises(MediaError, match=r'broken\.mp4: cannot be read'):
        inferencer.encode_visual(paths)
    close(inferencer.encode_visual(paths, on_error='skip'), inferencer.encode_visual([media[0], media[1]]))
    batch, = inferencer.visual_batches(paths)
    assert batch.paths == [media[0], media[1]] and list(batch.failures) == [str(broken)]
    assert [match.item for match in inferencer.rank('a star', [broken, Path(media[1])])] == [media[1]]
    with pytest.raises(MediaError, match='none of the 1 files can be read; the first: .*broken'):
        inferencer.encode_visual([broken], on_error='skip')


@pytest.mark.parametrize('call, error, message', [
    (lambda i: i.encode_text('a star'), DataError, 'texts must be a list'),
    (lambda i: i.encode_text([]), DataError, 'there are no texts'),
    (lambda i: i.encode_text(['a star', ' ']), DataError, "text 1 is ' '"),
    (lambda i: i.encode_visual([]), DataError, 'there are no paths'),
    (lambda i: i.encode_visual(['a.png'], on_error='ignore'), ConfigError, "on_error='ignore'"),
    (lambda i: i.rank('a star', ['a king', 'a.mp4']), DataError, 'both texts and files'),
    (lambda i: i.rank('a star', ['a king']), DataError, 'one of them must be files'),
    (lambda i: i.rank('a star', ['a.mp4'], k=0), ConfigError, 'k=0'),
    (lambda i: RetrievalInferencer(i.model, batch_size=0), ConfigError, 'batch_size=0'),
])
def test_wrong_calls(inferencer, call, error, message):
    with pytest.raises(error, match=message):
        call(inferencer)


def test_a_text_that_is_too_long_is_cut_with_a_warning(inferencer, monkeypatch):
    said = []
    monkeypatch.setattr('mmcma.apis.inferencer.print_log', lambda message, **kwargs: said.append(message))
    inferencer.encode_text(['a star', 'star ' * 50])
    assert len(said) == 1 and 'has 52 tokens and is cut to 32' in said[0]


def test_a_model_that_does_not_know_how_to_read_files(inferencer, tiny_clip, build):
    config = retrieval_config(tiny_clip)
    with pytest.raises(ConfigError, match='does not know its config'):
        RetrievalInferencer(build(config.model))
    config.pop('test_dataloader')
    with pytest.raises(ConfigError, match=r"must begin with one of \['LoadVideoFrames', 'LoadImage'\]"):
        RetrievalInferencer(init_model(config, device='cpu'))


def test_the_fingerprint_names_all_that_matters(tiny_clip, tmp_path, inferencer):
    """Backbone, trained weights, similarity, words and frames: each changes it; the place of the files does not."""
    def fingerprint(seed: int = 0, frames: int = 3, timeout: float = 60.0, words: int = 32, temperature: float = 5.0):
        config = retrieval_config(
            tiny_clip, data_preprocessor=dict(type='RetrievalDataPreprocessor', max_words=words),
            head=dict(type='RetrievalHead', similarity=dict(type='QueryScore', temperature=temperature),
                      loss=dict(type='SymmetricInfoNCE')))
        config.test_dataloader.dataset.pipeline[0].update(num_frames=frames, timeout=timeout)
        path = trained_checkpoint(tmp_path, config, seed=seed)
        return RetrievalInferencer(init_model(path, device='cpu')).fingerprint

    same = fingerprint()
    assert len(same) == 32 and same == fingerprint(timeout=1.0)
    others = [fingerprint(seed=1), fingerprint(frames=4), fingerprint(words=16), fingerprint(temperature=1.0)]
    with inferencer.model.zero_shot():
        others.append(inferencer.fingerprint)
    assert len({same, *others}) == 6


def test_moments_are_those_of_encoding_each_apart(inferencer, tmp_path):
    """The plain way: each window cut out of the file, ranked among all, without what overlaps a better one."""
    frames = np.random.default_rng(0).integers(0, 256, (60, 48, 64), dtype=np.uint8)
    path = write_video(tmp_path / 'a.mp4', num_frames=60, paint=frames.__getitem__)
    for query in (CAPTIONS[0], str(path)):
        found = inferencer.moments(query, path, k=10, cut=2)
        loads = [TRANSFORMS.build(dict(step)) for step in frame_pipeline(inferencer.model.cfg)]
        clips = []
        for start in range(5):
            results = dict(path=str(path), start=float(start), end=min(start + 2.0, 6.0))
            for step in loads:
                results = step(results)
            clips.append((torch.from_numpy(results['frames']), torch.from_numpy(results['frame_mask'])))
        visual = inferencer._encode_clips(clips)
        scores = (inferencer.visual_similarity(inferencer.encode_visual([query]), visual) if query == str(path) else
                  inferencer.similarity(inferencer.encode_text([query]), visual))[0]
        expected = []
        for start in scores.argsort(descending=True).tolist():
            if all(abs(start - other) >= 2 for other in expected):
                expected.append(start)
        assert [match.start for match in found] == expected and len(found) <= 3
        assert [match.score for match in found] == pytest.approx(scores[expected].tolist(), abs=1e-6)
        assert all(match.end - match.start == pytest.approx(2, abs=1e-3) and match.path == str(path) for match in found)


def test_moments_that_cannot_be_asked_for(inferencer, tmp_path):
    path = write_video(tmp_path / 'a.mp4')
    for options, message in ((dict(k=0), 'k=0'), (dict(cut='shot'), "moments 'shot'"), (dict(cut=0.2), 'moments 0.2')):
        with pytest.raises(ConfigError, match=message):
            inferencer.moments('a star', path, **options)
    with pytest.raises(MediaError, match='no such file'):
        inferencer.moments('a star', tmp_path / 'b.mp4')
    assert len(inferencer.moments('a star', path, key_frames=True)) == 1
