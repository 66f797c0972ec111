"""Images become 8-bit RGB as they are meant to be seen, whatever holds them."""
import os

import numpy as np
import pytest
from helpers.media import write_image
from PIL import Image

from mmcma.utils.errors import MediaError
from mmcma.utils.images import read_image

#: 16-bit greys in two rows, and the 8-bit ones that are as bright.
VALUES = np.array([[0, 257, 32768], [65535, 65278, 128]], dtype=np.uint16)
GREYS = np.array([[0, 1, 128], [255, 254, 0]])
PHOTOMETRIC, ORIENTATION = 262, 274


def save(path, values, **options):
    image = Image.fromarray(values)
    image.save(path, **options)
    return path


@pytest.mark.parametrize('name, options', [
    ('a.png', {}), ('a.tif', {}), ('a.tif', dict(compression='tiff_lzw')), ('a.tif', dict(big_tiff=True)),
    ('a.jpg', dict(format='PNG'))])
def test_16_bit_greys_are_scaled(tmp_path, name, options):
    image = read_image(save(tmp_path / name, VALUES, **options))
    assert image.dtype == np.uint8 and (image == GREYS[..., None]).all()


def test_16_bit_greys_of_the_other_byte_order(tmp_path):
    Image.frombytes('I;16B', (3, 2), VALUES.astype('>u2').tobytes()).save(tmp_path / 'a.tif')
    assert (read_image(tmp_path / 'a.tif') == GREYS[..., None]).all()


def test_16_bit_greys_from_white_to_black(tmp_path):
    save(tmp_path / 'a.tif', VALUES, tiffinfo={PHOTOMETRIC: 0})
    data = (tmp_path / 'a.tif').read_bytes()
    place = data.index(PHOTOMETRIC.to_bytes(2, 'little') + b'\3\0\1\0\0\0')
    (tmp_path / 'a.tif').write_bytes(data[:place + 8] + b'\0\0' + data[place + 10:])
    assert (read_image(tmp_path / 'a.tif') == 255 - GREYS[..., None]).all()


@pytest.mark.parametrize('name', ['a.png', 'a.tif'])
def test_16_bit_greys_are_turned_upright(tmp_path, name):
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # turn by 90 degrees
    image = read_image(save(tmp_path / name, VALUES, exif=exif))
    assert (image == np.rot90(GREYS, k=-1)[..., None]).all()


@pytest.mark.parametrize('orientation, turned', [
    (2, np.fliplr), (3, lambda image: np.rot90(image, 2)), (4, np.flipud), (5, np.transpose),
    (6, lambda image: np.rot90(image, -1)), (7, lambda image: np.rot90(image, 2).T), (8, np.rot90)])
def test_tiff_is_turned_upright(tmp_path, orientation, turned):
    greys = np.arange(12, dtype=np.uint8).reshape(3, 4)
    for values, compression in ((greys, None), (greys, 'tiff_lzw'), (greys * np.uint16(257), None)):
        path = save(tmp_path / 'a.tif', values, tiffinfo={ORIENTATION: orientation}, compression=compression)
        assert (read_image(path) == turned(greys)[..., None]).all()


def test_photographs_are_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    Image.new('RGB', (20, 10)).save(tmp_path / 'a.jpg', exif=exif)
    assert read_image(tmp_path / 'a.jpg').shape == (20, 10, 3)


def test_broken_image(tmp_path):
    (tmp_path / 'a.jpg').write_bytes(write_image(tmp_path / 'b.jpg').read_bytes()[:300])
    with pytest.raises(MediaError, match='a.jpg: not a readable image'):
        read_image(tmp_path / 'a.jpg')
    with pytest.raises(MediaError, match='c.jpg: no such file'):
        read_image(tmp_path / 'c.jpg')


@pytest.mark.parametrize('values, name', [
    (np.full((2, 3), 0.5, dtype=np.float32), 'floating-point numbers'),
    (np.full((2, 3), 70000, dtype=np.int32), '32-bit or signed integers')])
def test_values_without_black_and_white_are_refused(tmp_path, values, name):
    path = save(tmp_path / 'a.tif', values)
    with pytest.raises(MediaError, match=rf'a\.tif: not a readable image \(its values are {name}; save'):
        read_image(path)


@pytest.mark.parametrize('mode, pixel, seen', [
    ('1', 1, (255, 255, 255)), ('L', 70, (70, 70, 70)), ('LA', (70, 9), (70, 70, 70)),
    ('RGBA', (1, 2, 3, 0), (1, 2, 3)), ('P', 0, (9, 8, 7)),
    ('CMYK', (0, 255, 255, 0), (255, 0, 0))])
def test_other_kinds_of_pixels(tmp_path, mode, pixel, seen):
    image = Image.new(mode, (4, 4), pixel)
    if mode == 'P':
        image.putpalette([9, 8, 7])
    image.save(tmp_path / 'a.tif')
    assert (read_image(tmp_path / 'a.tif') == seen).all()


@pytest.mark.parametrize('kind', ['JPEG', 'PNG', 'WEBP', 'BMP', 'GIF', 'TIFF', 'MPO'])
def test_the_content_decides_and_not_the_name(tmp_path, kind):
    more = dict(save_all=True, append_images=[Image.new('RGB', (8, 6), 'blue')]) if kind == 'MPO' else {}
    Image.new('RGB', (8, 6), 'red').save(tmp_path / 'a.jpg', kind, **more)
    image = read_image(tmp_path / 'a.jpg')
    assert image.shape == (6, 8, 3) and np.abs(image[3, 4].astype(int) - (255, 0, 0)).max() < 5


@pytest.mark.parametrize('content', [
    b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n', b'%PDF-1.4\n',
    b'P6 1 1 255 abc', b'\0\0\2\0' + bytes(40)])
def test_other_formats_are_not_even_tried(tmp_path, monkeypatch, content):
    """Pillow reads PostScript by Ghostscript: a program of that name on the path must not be started."""
    gs = tmp_path / 'gs'
    gs.write_text(f'#!/bin/sh\ntouch {tmp_path}/started\necho 10.0\n')
    gs.chmod(0o755)
    monkeypatch.setenv('PATH', f"{tmp_path}:{os.environ['PATH']}")
    (tmp_path / 'a.jpg').write_bytes(content)
    with pytest.raises(MediaError, match=r'a\.jpg: not a readable image'):
        read_image(tmp_path / 'a.jpg')
    assert not (tmp_path / 'started').exists()
