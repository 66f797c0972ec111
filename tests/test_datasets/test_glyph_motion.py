"""GlyphMotion: what its splits promise, its captions, its files, and how they come to be."""
import json
import multiprocessing
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config

from mmcma.datasets import GlyphMotion
from mmcma.datasets.glyph_motion import clips
from mmcma.datasets.glyph_motion.backdrops import draw_backdrop
from mmcma.datasets.glyph_motion.captions import CAPTIONS_PER_CLIP, SYNONYMS, VERBS, write_captions
from mmcma.datasets.glyph_motion.clips import Recipe, ensure_rendered, render_frames, write_clip
from mmcma.datasets.glyph_motion.events import PATHS, REVERSE
from mmcma.datasets.glyph_motion.glyphs import COLOURS, GLYPHS
from mmcma.datasets.glyph_motion.scenes import KINDS, SPLITS, count_kinds, plan_scenes
from mmcma.datasets.video.sampling import thin_uniformly
from mmcma.registry import DATASETS
from mmcma.utils.errors import ConfigError, DataError

SMALL = Recipe(train=12, val=8, test=8)


@pytest.fixture(scope='module')
def scenes():
    """The default recipe's scenes by split."""
    return {split: plan_scenes(split, getattr(Recipe(), split), seed=0) for split in SPLITS}


@pytest.fixture(scope='module')
def data_root(tmp_path_factory):
    """A root with a small rendered recipe."""
    root = tmp_path_factory.mktemp('glyphmotion')
    ensure_rendered(SMALL, str(root))
    return root


def read_clip(path) -> np.ndarray:
    decord = pytest.importorskip('decord')
    reader = decord.VideoReader(str(path), num_threads=1)
    return reader.get_batch(range(len(reader))).asnumpy()


def build(split, root, **kwargs):
    cfg = Config.fromfile(Path(__file__).parents[2] / 'configs/_base_/datasets/glyphmotion.py')
    sizes = {name: getattr(SMALL, name) for name in SPLITS}
    return DATASETS.build(dict(type='GlyphMotion', split=split, data_root=str(root), num_clips=sizes,
                               pipeline=cfg.pipeline, **kwargs))


def groups_of(scenes, kind):
    groups = {}
    for scene in scenes:
        if scene.kind == kind:
            groups.setdefault(scene.group, []).append(scene)
    return list(groups.values())


# What the splits promise

def test_sizes_and_thirds(scenes):
    assert {split: len(planned) for split, planned in scenes.items()} == dict(train=2000, val=200, test=400)
    for planned in scenes.values():
        counts = Counter(scene.kind for scene in planned)
        assert set(counts) == set(KINDS)
        assert all(abs(count - len(planned) / 3) <= 3 for count in counts.values())


@pytest.mark.parametrize('num_clips', [8, 9, 10, 11, 12, 13, 25, 100])
def test_any_size_has_all_kinds_in_whole_groups(num_clips):
    counts = count_kinds(num_clips)
    assert sum(counts.values()) == num_clips and min(counts.values()) >= 1
    assert counts['event'] % 4 == 0 and counts['order'] % 2 == 0
    assert Counter(scene.kind for scene in plan_scenes('val', num_clips, seed=1)) == counts


def test_no_triple_of_one_split_is_in_another(scenes):
    triples = {split: set().union(*(scene.triples for scene in planned)) for split, planned in scenes.items()}
    assert not triples['train'] & triples['val']
    assert not triples['train'] & triples['test']
    assert not triples['val'] & triples['test']


def test_train_knows_every_glyph_colour_and_event(scenes):
    glyphs, colours, events = zip(*set().union(*(scene.triples for scene in scenes['train'])))
    assert set(glyphs) == set(GLYPHS)
    assert set(colours) == set(COLOURS)
    assert set(events) == set(PATHS) | set(REVERSE)


@pytest.mark.parametrize('split', SPLITS)
def test_each_clip_has_a_meaning_and_captions_of_its_own(scenes, split):
    assert len({scene.meaning for scene in scenes[split]}) == len(scenes[split])
    owners = {}
    for number, scene in enumerate(scenes[split]):
        for caption in write_captions(scene):
            assert owners.setdefault(caption, number) == number


@pytest.mark.parametrize('split', ['val', 'test'])
def test_who_appears_alone_appears_in_no_other_group(scenes, split):
    groups_by_look = {}
    for scene in scenes[split]:
        for glyph, colour, _ in scene.triples:
            groups_by_look.setdefault((glyph, colour), set()).add(scene.group)
    for scene in scenes[split]:
        if scene.layout == 'solo':
            assert all(groups_by_look[triple[:2]] == {scene.group} for triple in scene.triples)


def test_looks_are_unique_to_a_group(scenes):
    for planned in scenes.values():
        looks = [frozenset((a.glyph, a.colour) for a in scene.actors) for scene in planned]
        assert len(set(zip(looks, (scene.group for scene in planned)))) == len(set(looks))


def test_siblings_differ_in_what_happens_alone(scenes):
    for group in groups_of(scenes['test'], 'event'):
        assert len(group) == 4
        undone = {replace(scene, actors=tuple(replace(actor, event='', other_colour=None)
                                              for actor in scene.actors)) for scene in group}
        assert len(undone) == 1


# What a clip shows and says

def test_a_mirrored_pair_is_one_reversal_away(scenes):
    recipe = Recipe()
    for scene, sibling in groups_of(scenes['test'], 'order'):
        assert scene.reverse() == sibling and sibling.reverse() == scene
        pairs = list(zip(write_captions(scene), write_captions(sibling)))
        assert all(caption != mirrored for caption, mirrored in pairs)
    for scene, sibling in groups_of(scenes['test'], 'order')[::6]:
        assert np.array_equal(render_frames(scene, recipe), render_frames(sibling, recipe)[::-1])


def test_mirrored_captions_differ_in_the_verb_alone(scenes):
    for scene, sibling in groups_of(scenes['test'], 'order'):
        if scene.layout != 'solo':
            continue
        (actor,), (mirrored,) = scene.actors, sibling.actors
        verbs = dict(zip(VERBS[actor.event], VERBS[mirrored.event]))
        for caption, twin in zip(write_captions(scene), write_captions(sibling)):
            verb = max((verb for verb in verbs if caption.endswith(verb)), key=len)
            assert twin == caption.removesuffix(verb) + verbs[verb]


def test_a_sample_of_eight_frames_mirrors(scenes):
    recipe = Recipe()
    picked = thin_uniformly(recipe.num_frames, 8)
    assert len(picked) == 8
    assert np.array_equal(recipe.num_frames - 1 - picked[::-1], picked)


def test_eight_frames_show_what_happens(scenes):
    """Stillness looks the same in all of them, everything else does not."""
    recipe = Recipe()
    picked = thin_uniformly(recipe.num_frames, 8)
    seen = set()
    for scene in scenes['test']:
        events = {actor.event for actor in scene.actors}
        if events <= seen:
            continue
        seen |= events
        frames = render_frames(scene, recipe)[picked].astype(int)
        still = events == {'stays still'}
        assert (np.abs(frames - frames[0]).max() < 1) == still
    assert seen == set(PATHS) | set(REVERSE)


@pytest.mark.parametrize('seed', range(20))
def test_actors_stand_out_from_every_backdrop(seed):
    pixels = draw_backdrop(seed, 64).reshape(-1, 1, 3).astype(int)
    distance = np.linalg.norm(pixels - np.array(list(COLOURS.values())), axis=2)
    assert distance.min() > 60


def test_captions_are_plain_text(scenes):
    for scene in scenes['test']:
        captions = write_captions(scene)
        assert len(set(captions)) == CAPTIONS_PER_CLIP
        for caption in captions:
            assert caption and caption == caption.lower().strip() and '  ' not in caption
            assert len(caption.split()) <= 26
            assert not any(f' {a} {word}' in f' {caption}' for a, word in
                           (('a', 'a '), ('an', 'a '), ('a', 'orange'), ('a', 'umbrella'), ('an', 'red')))


def test_captions_of_appearance_name_no_movement(scenes):
    verbs = {verb for wordings in VERBS.values() for verb in wordings}
    for scene in scenes['train']:
        if scene.kind == 'appearance':
            text = f" {' | '.join(write_captions(scene))} "
            assert not any(f' {verb} ' in text for verb in verbs)


def test_no_two_things_share_a_word():
    assert SYNONYMS.keys() <= GLYPHS.keys() | COLOURS.keys()
    words = [word for synonyms in SYNONYMS.values() for word in synonyms]
    assert len(set(words) | GLYPHS.keys() | COLOURS.keys()) == len(words) + len(GLYPHS) + len(COLOURS)
    verbs = [verb for wordings in VERBS.values() for verb in wordings]
    assert len(set(verbs)) == len(verbs)


# Files

def test_rendering_is_deterministic(scenes):
    assert plan_scenes('val', 40, seed=0) == plan_scenes('val', 40, seed=0)
    assert plan_scenes('val', 40, seed=0) != plan_scenes('val', 40, seed=1)
    scene = scenes['test'][0]
    assert np.array_equal(render_frames(scene, Recipe()), render_frames(scene, Recipe()))
    assert write_captions(scene) == write_captions(scene)


def test_files_are_real_videos_whose_pairs_decode_to_reversals(data_root):
    folder = data_root / SMALL.checksum
    items = {split: json.loads((folder / f'{split}.json').read_text()) for split in SPLITS}
    assert {split: len(listed) for split, listed in items.items()} == dict(train=12, val=8, test=8)
    for split, listed in items.items():
        for item in listed:
            assert item['path'].startswith(f'{split}/') and item['id'].startswith(split)
            assert item['caption_kinds'] == [item['caption_kinds'][0]] * len(item['captions'])
    mirrored = [item['path'] for item in items['test'] if item['caption_kinds'][0] == 'order']
    first, second = (read_clip(folder / path) for path in mirrored)
    assert first.shape == (SMALL.num_frames, 64, 64, 3)
    assert np.array_equal(first, second[::-1])


def test_compression_keeps_the_glyphs(scenes, tmp_path):
    frames = render_frames(scenes['test'][0], Recipe())
    write_clip(tmp_path / 'clip.mp4', frames, fps=11)
    assert np.abs(read_clip(tmp_path / 'clip.mp4').astype(int) - frames).mean() < 5


def test_a_finished_folder_is_reused(data_root, monkeypatch):
    monkeypatch.setattr(clips, 'write_clip', None)
    assert ensure_rendered(SMALL, str(data_root)) == data_root / SMALL.checksum


def test_another_recipe_gets_another_folder(monkeypatch):
    recipes = [SMALL, replace(SMALL, seed=1), replace(SMALL, train=16), replace(SMALL, fps=12)]
    checksums = {recipe.checksum for recipe in recipes}
    assert len(checksums) == 4 and replace(SMALL).checksum in checksums
    monkeypatch.setattr(clips, 'GENERATOR_VERSION', clips.GENERATOR_VERSION + 1)
    assert SMALL.checksum not in checksums


def test_an_interrupted_rendering_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(path, frames, fps):
        path.write_bytes(b'half a clip')
        raise KeyboardInterrupt
    monkeypatch.setattr(clips, 'write_clip', interrupt)
    with pytest.raises(KeyboardInterrupt):
        ensure_rendered(SMALL, str(tmp_path))
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []


def test_what_a_killed_run_left_is_removed(tmp_path):
    abandoned = tmp_path / f'.{SMALL.checksum}.partial-killed'
    (abandoned / 'train').mkdir(parents=True)
    (abandoned / 'train' / '0000.mp4').write_bytes(b'half a clip')
    folder = ensure_rendered(SMALL, str(tmp_path))
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == [folder]
    assert len(list(folder.glob('*/*.mp4'))) == 28


def _render(root, start, log):
    write = clips.write_clip

    def counted(path, frames, fps):
        with open(log, 'a') as file:
            file.write('x')
        write(path, frames, fps)
    clips.write_clip = counted
    start.wait()
    ensure_rendered(SMALL, root)


def test_processes_that_start_together_render_once(tmp_path):
    context = multiprocessing.get_context('fork')
    start = context.Barrier(2)
    log = tmp_path / 'log'
    args = str(tmp_path / 'data'), start, str(log)
    racers = [context.Process(target=_render, args=args) for _ in range(2)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join(60)
    assert [racer.exitcode for racer in racers] == [0, 0]
    assert len(log.read_text()) == 28
    assert [path.name for path in (tmp_path / 'data').iterdir() if path.is_dir()] == [SMALL.checksum]


# The data set

def test_samples_in_training_are_pairs_and_in_test_items(data_root):
    train, test = build('train', data_root), build('test', data_root, test_mode=True)
    assert (len(train), train.gallery, train.metainfo['split']) == (60, (12, 12), 'train')
    assert (len(test), test.gallery, test.metainfo['dataset']) == (8, (8, 8), 'GlyphMotion')
    sample = train[7]['data_samples']
    assert sample.item_index == 1 and len(sample.captions) == len(sample.caption_kinds) == 1
    sample = test[0]['data_samples']
    assert len(sample.captions) == len(sample.caption_kinds) == CAPTIONS_PER_CLIP
    assert {kind for item in test.items for kind in item['caption_kinds']} == set(KINDS)


def test_what_the_model_sees_of_a_pair_is_reversed(data_root):
    test = build('test', data_root, test_mode=True)
    first, second = (sample['inputs'] for sample in test
                     if sample['data_samples'].caption_kinds[0] == 'order')
    assert first.shape == (8, 3, 64, 64)
    assert first.equal(second.flip(0)) and not first.equal(second)


def test_a_wrong_split_is_named(data_root):
    with pytest.raises(ConfigError, match="split='valid'.*Did you mean 'val'"):
        build('valid', data_root)
    with pytest.raises(ConfigError, match="num_clips='tset'.*Did you mean 'test'"):
        DATASETS.build(dict(type='GlyphMotion', num_clips=dict(tset=8), data_root=str(data_root)))
    for num_clips in (100, dict(train=8.5)):
        with pytest.raises(ConfigError, match='num_clips=.*(no dict of whole numbers|must be dict)'):
            DATASETS.build(dict(type='GlyphMotion', num_clips=num_clips, data_root=str(data_root)))


def test_the_usual_sizes_are_the_recipes():
    assert {split: tuple(standard) for split, standard in GlyphMotion.SPLITS.items()} == dict(
        train=(2000, 10000), val=(200, 1000), test=(400, 2000))


def test_sizes_that_cannot_work_are_named(tmp_path):
    with pytest.raises(ConfigError, match=r"num_clips\['val'\]=3 .*at least 8"):
        ensure_rendered(replace(SMALL, val=3), str(tmp_path))
    with pytest.raises(ConfigError, match=r"num_clips\['val'\].*too large"):
        plan_scenes('val', 20000, seed=0)
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == []


def test_a_root_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(DataError, match='data_root=.*file.*writable'):
        ensure_rendered(SMALL, str(tmp_path / 'file'))
