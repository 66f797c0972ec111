"""A table that is large enough has an index, which finds nearly what comparing every row finds."""
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.galleries import moments_of

from mmcma.search import moment_table, vector_index
from mmcma.search.manifest import FORM, GalleryManifest
from mmcma.search.moment_table import MomentTable
from mmcma.search.repair import repaired
from mmcma.search.rows import first_stage_vectors
from mmcma.search.writer import GalleryWriter
from mmcma.utils.errors import DataError

ROWS, DIM = 600, 32


FRAMES = np.random.default_rng(0).standard_normal((ROWS, 2, DIM)).astype(np.float16)


@pytest.fixture(scope='module')
def writers(tmp_path_factory) -> list[GalleryWriter]:
    """Of the same random rows with and without an index."""
    moments = moments_of(FRAMES)
    made = []
    with pytest.MonkeyPatch.context() as patch:
        for rows in (400, 10**6):
            patch.setattr(vector_index, 'INDEXED_FROM', rows)
            gallery = str(tmp_path_factory.mktemp('gallery'))
            writer = GalleryWriter(gallery, GalleryManifest(FORM, '/videos', 'tiny', None, 'f' * 32))
            writer.add(moments[:500])
            writer.finish({})
            writer.add(moments[500:])  # not in the index yet
            made.append(writer)
    return made


@pytest.fixture
def tables(writers, monkeypatch) -> tuple[MomentTable, MomentTable, np.ndarray]:
    """With and without an index, and the rows' vectors."""
    monkeypatch.setattr(moment_table, '_PROBES', ROWS)
    return (*(MomentTable(writer.gallery, writer.manifest) for writer in writers), first_stage_vectors(FRAMES))


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
    assert indexed.search(vectors[0], 50, folder='absent') == []


def test_lost_rows_are_noticed(tables, writers):
    for table, writer in zip(tables, writers):
        table.verify(writer.manifest)
        with pytest.raises(DataError, match='600 rows where there were 599'):
            table.verify(replace(writer.manifest, rows=599))


@pytest.mark.parametrize('pattern', ['_indices/*/auxiliary.idx', '_indices/*/index.idx', 'data/*'])
def test_damage_is_told_before_it_costs_a_hit(tables, writers, pattern, tmp_path):
    """In the index and in rows behind it when the gallery is opened; in a vector that it finds by the query."""
    gallery = str(shutil.copytree(writers[0].gallery, tmp_path / 'gallery'))
    vector = tables[2][7]
    for path in Path(gallery, 'moments.lance').glob(pattern):
        content = bytearray(path.read_bytes())
        place = content.find(vector.tobytes()) if pattern == 'data/*' else len(content) // 2
        if place >= 0:
            content[place:place + 4 * DIM] = bytes(4 * DIM)  # as a vector, it would be far from the query
            path.write_bytes(content)
    with pytest.raises(DataError, match='_indices: the index.*--repair|row of .1/007.mp4. is not what was written'):
        damaged = MomentTable(gallery, writers[0].manifest)
        damaged.verify(writers[0].manifest)
        damaged.search(vector, 20)


def test_a_damaged_index_is_made_anew(writers, tmp_path, monkeypatch):
    gallery = str(shutil.copytree(writers[0].gallery, tmp_path / 'gallery'))
    monkeypatch.setattr(vector_index, 'INDEXED_FROM', 400)
    next(Path(gallery).glob('moments.lance/_indices/*/auxiliary.idx')).unlink()
    manifest = repaired(gallery, writers[0].manifest)
    assert (manifest.rows, manifest.checksum, manifest.index) == (ROWS, writers[0].manifest.checksum, 0)
    writer = GalleryWriter(gallery, manifest)
    writer.finish({})
    table = MomentTable(gallery, writer.manifest)
    table.verify(writer.manifest)
    assert writer.manifest.index and table.search(first_stage_vectors(FRAMES)[550], 1)[0].path == '1/550.mp4'
