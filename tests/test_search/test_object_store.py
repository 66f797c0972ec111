"""A gallery in an object store."""
from dataclasses import replace

import numpy as np
import pytest
from helpers.galleries import StandIn, contents, index, moments_of, write_folder
from helpers.media import write_image

from mmcma.search import Gallery, indexing, lock, vector_index
from mmcma.search.manifest import FORM, GalleryManifest, find_manifest, read_manifest
from mmcma.search.moment_table import MomentTable
from mmcma.search.rows import first_stage_vectors
from mmcma.search.tables import lance
from mmcma.search.writer import GalleryWriter
from mmcma.utils.errors import DataError

URI = 's3://bucket/somewhere/gallery'


@pytest.fixture(scope='module')
def bucket():
    """A server with the interface of S3 on the loopback, whose bucket is 'bucket'."""
    boto3, moto = pytest.importorskip('boto3'), pytest.importorskip('moto.server')
    server = moto.ThreadedMotoServer('127.0.0.1', port=0, verbose=False)
    server.start()
    address = 'http://{}:{}'.format(*server.get_host_and_port())
    with pytest.MonkeyPatch.context() as patch:
        for name, value in dict(ACCESS_KEY_ID='key', SECRET_ACCESS_KEY='secret', REGION='us-east-1', ENDPOINT=address,
                                ALLOW_HTTP='true').items():
            patch.setenv(f'AWS_{name}', value)
        boto3.client('s3', endpoint_url=address, region_name='us-east-1').create_bucket(Bucket='bucket')
        yield
    server.stop()


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp('media'), 3, 1)


def test_it_is_the_same_gallery(bucket, folder, tmp_path):
    assert find_manifest(URI) is None
    assert index(folder, URI).added == 4
    index(folder, tmp_path / 'gallery')
    assert contents(URI) == contents(tmp_path / 'gallery')
    reader = Gallery(URI, StandIn())
    write_image(folder / 'images' / '0.png', grey=200)
    assert index(folder, URI).updated == 1
    assert reader.search_text('200', k=1)[0].score < 0.99 and reader.refresh()
    assert reader.search_text('200', k=1)[0].score > 0.99


def test_repair(bucket, folder):
    index(folder, f'{URI}/repair')
    before = contents(f'{URI}/repair')
    broken = lance.dataset(f'{URI}/repair/moments.lance')
    lance.LanceDataset.drop(broken.uri)
    with pytest.raises(DataError, match=f'{URI}/repair/moments.lance.*--repair'):
        Gallery(f'{URI}/repair', StandIn())
    assert index(folder, f'{URI}/repair', repair=True).added == 4
    assert contents(f'{URI}/repair') == before


def test_an_index_of_vectors(bucket, monkeypatch):
    """Its files are compared there too."""
    monkeypatch.setattr(vector_index, 'INDEXED_FROM', 300)
    frames = np.random.default_rng(0).standard_normal((300, 2, 32)).astype(np.float16)
    writer = GalleryWriter(f'{URI}/large', GalleryManifest(FORM, '/videos', 'tiny', None, 'f' * 32))
    writer.add(moments_of(frames))
    writer.finish({})
    table = MomentTable(writer.gallery, writer.manifest)
    table.verify(writer.manifest)
    assert table.search(first_stage_vectors(frames)[7], 1)[0].path == '1/007.mp4'
    with pytest.raises(DataError, match='_indices: the index of vectors is not what was written'):
        table.verify(replace(writer.manifest, index=writer.manifest.index + 1))


def test_two_writers(bucket, folder, monkeypatch):
    uri = f'{URI}/two'
    index(folder, uri)
    manifest, before = read_manifest(uri), contents(uri)
    first = GalleryWriter(uri, manifest)
    with pytest.raises(DataError, match=r'written \d+ s ago by an indexing that is not at its end'):
        indexing.check_request(folder, uri)
    monkeypatch.setattr(lock, 'SILENCE', 0)  # the first one is taken for dead, and is not
    second = GalleryWriter(uri, read_manifest(uri))
    moments = second.read('v0.mp4')
    for paths in (['v0.mp4'], []):
        with pytest.raises(DataError, match='another process has written it meanwhile'):
            first.add([moment._replace(path='w.mp4') for moment in moments]) if paths else first.remove(['v0.mp4'])
    del manifest, second
    index(folder, uri)
    assert contents(uri) == before


def test_a_store_that_does_not_answer(bucket, monkeypatch):
    with pytest.raises(DataError, match='^s3://no-such-bucket/gallery'):
        Gallery('s3://no-such-bucket/gallery', StandIn())
    with pytest.raises(DataError, match='ftp://a/gallery.lance: .*ftp'):
        Gallery('ftp://a', StandIn())
