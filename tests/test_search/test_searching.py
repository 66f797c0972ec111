"""What is found is what the model finds."""
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.galleries import StandIn, index, write_folder
from helpers.media import write_image

from mmcma.cli.search import show
from mmcma.search import Gallery, Hit, Moment
from mmcma.search.gallery import features_of
from mmcma.search.result_page import write_result_page
from mmcma.search.rows import first_stage_vectors
from mmcma.utils.errors import ConfigError, DataError


@pytest.fixture(scope='module')
def gallery(tmp_path_factory):
    """25 images and 8 videos."""
    folder = write_folder(tmp_path_factory.mktemp('media'), images=13, videos=8)
    for number in range(12):
        write_image(folder / 'images_2' / f'{number}.png', grey=7 + 20 * number)
    path = tmp_path_factory.mktemp('gallery')
    index(folder, path)
    return Gallery(path, StandIn())


def all_moments(gallery: Gallery) -> list[Moment]:
    return [moment for path in gallery.paths() for moment in gallery.moments_of(path)]


def brute_force(gallery: Gallery, query: str) -> dict[str, float]:
    """The model's score of every moment, by path."""
    moments = all_moments(gallery)
    scores = gallery.inferencer.similarity(gallery.inferencer.encode_text([query]), features_of(moments))[0]
    return {str(gallery.file(moment.path)): float(score) for moment, score in zip(moments, scores)}


def assert_best(hits: list, expected: dict[str, float]) -> None:
    """The hits are the best of ``expected``, in order; equal ones, but for rounding, in any."""
    scores = [hit.score for hit in hits]
    np.testing.assert_allclose(scores, [expected[hit.path] for hit in hits], atol=1e-6)
    np.testing.assert_allclose(scores, sorted(expected.values(), reverse=True)[:len(hits)], atol=1e-6)
    assert len({hit.path for hit in hits}) == len(hits) and scores == sorted(scores, reverse=True)


@pytest.mark.parametrize('query', ['30', '111', '140', '199'])
def test_reranking_everything_is_brute_force(gallery, query):
    assert_best(gallery.search_text(query, k=33), brute_force(gallery, query))


def test_the_model_orders_what_the_first_stage_found(gallery):
    text = gallery.inferencer.encode_text(['150'])
    items = all_moments(gallery)
    vectors = torch.from_numpy(first_stage_vectors([moment.frames for moment in items]))
    first = (vectors @ text.pooled[0]).argsort(descending=True)[:6].tolist()
    candidates = {str(gallery.file(items[index].path)) for index in first}
    expected = {path: score for path, score in brute_force(gallery, '150').items() if path in candidates}
    assert expected != dict(sorted(brute_force(gallery, '150').items(), key=lambda pair: -pair[1])[:6])
    assert_best(gallery.search_text('150', k=4, rerank=6), expected)


def test_equal_hits_come_by_path_whenever_they_were_indexed(tmp_path):
    for name in ('c', 'a', 'd', 'b'):  # a gallery has its rows in this order
        write_image(tmp_path / 'media' / f'{name}.png', grey=90)
        index(tmp_path / 'media', tmp_path / 'gallery')
    hits = Gallery(tmp_path / 'gallery', StandIn()).search_text('90', k=4)
    assert [Path(hit.path).stem for hit in hits] == ['a', 'b', 'c', 'd'] and len({hit.score for hit in hits}) == 1


def test_a_hit_says_which_frames_matched(gallery):
    hit = next(hit for hit in gallery.search_text('100', k=33) if hit.path.endswith('v3.mp4'))
    assert hit.frame_times == [0.0, 0.5, 1.0, 2.0] and (hit.start, hit.end) == (0.0, 2.5)
    assert sum(hit.frame_weights) == pytest.approx(1) and hit.frame_weights[0] == max(hit.frame_weights)
    image = gallery.search_text('40', k=1)[0]
    assert Path(image.path).name == '2.png' and image.frame_weights == [1.0] and image.end == 0


@pytest.mark.parametrize('weights, best', [
    ([0.1, 0.6, 0.3], 1.5), ([0.2, 0.4, 0.4], 1.5), ([0.4, 0.2, 0.4], 0.0), ([0.5, 0.5], None), ([1.0], None),
    ([], None)])
def test_the_best_moment_is_one_everywhere(weights, best, capsys):
    hit = Hit('a.mp4', 0.5, 0.0, 4.0, weights, [0.0, 1.5, 3.0][:len(weights)])
    assert hit.best_moment == best
    show([hit])
    assert capsys.readouterr().out == '  1   0.500  a.mp4' + ('' if best is None else f'  best at {best} s') + '\n'


def test_an_image_finds_its_like(gallery, tmp_path):
    hits = gallery.search_path(write_image(tmp_path / 'query.png', grey=60), k=2)
    assert Path(hits[0].path).name == '3.png' and hits[0].score == pytest.approx(1, abs=1e-3)
    assert hits[0].frame_weights == []


def test_only_a_folder_or_a_length(gallery):
    inside = gallery.search_text('50', k=33, folder='images')
    assert len(inside) == 13 and all(Path(hit.path).parent.name == 'images' for hit in inside)
    lasting = gallery.search_text('50', k=33, seconds=(1.4, 2.1))
    assert {Path(hit.path).name for hit in lasting} == {'v1.mp4', 'v2.mp4'}
    assert len(gallery.search_text('50', k=33, seconds=(1.4, float('inf')))) == 7
    assert gallery.search_text('50', folder='no "such" {folder}') == []
    assert gallery.search_text('50', folder="it's") == []


def test_queries_that_say_nothing_or_too_much(gallery):
    for query in ('', '  \n'):
        with pytest.raises(DataError, match='query is empty'):
            gallery.search_text(query)
    with pytest.raises(DataError, match=r'10 tokens \(8 words\), and the model reads 8; shorten it to about 4 words'):
        gallery.search_text('1 2 3 4 5 6 7 8')
    for k, rerank in ((0, 100), (-1, 100), (20000, 100), (1, 20000), (1, -5)):
        with pytest.raises(ConfigError, match='must be from 1 to 16,384'):
            gallery.search_text('50', k=k, rerank=rerank)
    for seconds in ((60, 5), (-1, 5), (float('nan'), 5), (5, float('nan'))):
        with pytest.raises(ConfigError, match='no length: the shortest first'):
            gallery.search_text('50', seconds=seconds)


def test_a_path_that_leads_out(gallery):
    for path in ('../secret.png', '/etc/passwd'):
        with pytest.raises(DataError, match='leads out of'):
            gallery.file(path)


def test_a_file_that_is_gone_or_another_is_marked(tmp_path, capsys):
    folder = write_folder(tmp_path / 'media', 5, 0) / 'images'
    index(folder, tmp_path / 'gallery')
    (folder / '1.png').unlink()
    write_image(folder / '2.png', grey=200)
    (folder / '3.png').rename(tmp_path / '3.png')
    (folder / '3.png').symlink_to(tmp_path / '3.png')
    (folder / '4.png').unlink()
    (folder / '4.png').symlink_to('4.png')  # a loop
    hits = Gallery(tmp_path / 'gallery', StandIn()).search_text('50', k=5)
    assert {Path(hit.path).name: hit.mark for hit in hits} == {
        '0.png': None, '1.png': 'missing', '2.png': 'changed', '3.png': 'leads out', '4.png': 'leads out'}
    show(hits)
    assert '1.png  (missing)\n' in capsys.readouterr().out


def test_the_page_shows_scores_and_frames(gallery, tmp_path):
    hits = gallery.search_text('100', k=33)
    write_result_page(tmp_path / 'page.html', '<b>100</b>', hits, gallery)
    page = (tmp_path / 'page.html').read_text()
    even = next(hit for hit in hits if len(hit.frame_times) > 1)
    even = even._replace(frame_weights=[1 / len(even.frame_times)] * len(even.frame_times))
    assert '&lt;b&gt;100' in page and '<b>100' not in page
    assert page.count('<section class="narrow">') == 25 and page.count('<section class="wide">') == 8
    assert f'{hits[0].score:.3f}' in page
    assert page.count('src="data:image/jpeg') == 25 + sum(len(hit.frame_times) for hit in hits if hit.end)
    write_result_page(tmp_path / 'equal.html', 'x', [even], gallery)
    assert 'figure class="best"' in page and 'figure class="best"' not in (tmp_path / 'equal.html').read_text()
    tied = next(hit for hit in hits if len(hit.frame_times) > 2)
    tied = tied._replace(frame_weights=[0.0] * (len(tied.frame_times) - 2) + [0.5, 0.5])
    write_result_page(tmp_path / 'tied.html', 'x', [tied], gallery)
    best = (tmp_path / 'tied.html').read_text().split('figure class="best"')
    assert len(best) == 2 and f'alt="frame {len(tied.frame_times) - 1} of' in best[1].split('>')[1]
    write_result_page(tmp_path / 'gone.html', 'x', [hits[0]._replace(path=f'{hits[0].path}.gone.mp4')], gallery)
    assert 'no such file' in (tmp_path / 'gone.html').read_text()
