"""A table that is large enough has an index, which finds nearly what comparing every row finds."""
import numpy as np
import pytest

from mmcma.search import moment_table
from mmcma.search.manifest import FORM, GalleryManifest
from mmcma.search.moment_table import MomentTable
from mmcma.search.rows import Moment, first_stage_vectors
from mmcma.search.writer import GalleryWriter
from mmcma.utils.errors import DataError

ROWS, DIM = 600, 32


@pytest.fixture(scope='module')
def tables(tmp_path_factory) -> tuple[MomentTable, MomentTable, np.ndarray]:
    """The same random rows with and without an index, and their vectors."""
    frames = np.random.default_rng(0).standard_normal((ROWS, 2, DIM)).astype(np.float16)
    moments = [Moment(f'{number % 3}/{number:03}.mp4', 0.0, 4.0, 4.0, [0.0, 1.0], own, 1, 'd', 1, 1)
               for number, own in enumerate(frames)]
    made = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(moment_table, '_PROBES', ROWS)
        for rows in (400, 10**6):
            patch.setattr(moment_table, 'INDEXED_FROM', rows)
            gallery = str(tmp_path_factory.mktemp('gallery'))
            writer = GalleryWriter(gallery, GalleryManifest(FORM, '/videos', 'tiny', None, 'f' * 32))
            writer.add(moments[:500])
            writer.finish({})
            writer.add(moments[500:])  # not in the index yet
            made.append(MomentTable(gallery, writer.manifest))
        yield *made, first_stage_vectors(frames)


def test_it_is_asked_and_finds_nearly_all(tables):
    indexed, exact, vectors = tables
    assert indexed._indexed and not exact._indexed
    shares = []
    for query in vectors[::50]:
        best = [moment.path for moment in exact.search(query, 20)]
        assert best == [f'{number % 3}/{number:03}.mp4' for number in np.argsort(-(vectors @ query))[:20]]
        shares.append(len({moment.path for moment in indexed.search(query, 20)} & set(best)) / 20)
    assert np.mean(shares) > 0.9


def test_rows_behind_it_and_filters_count(tables):
    indexed, _, vectors = tables
    assert indexed.search(vectors[550], 1)[0].path == '1/550.mp4'
    found = indexed.search(vectors[0], 50, folder='2')
    assert len(found) == 50 and all(moment.path.startswith('2/') for moment in found)


def test_lost_rows_are_noticed(tables):
    indexed, exact, _ = tables
    for table, rows in ((indexed, 599), (exact, 599)):
        with pytest.raises(DataError, match='600 rows where there were 599'):
            table.verify(GalleryManifest(FORM, '', '', None, '', rows=rows))
