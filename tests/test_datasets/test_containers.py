"""What a file is decides whether it is read, and no name; nothing that it names is opened."""
import struct
import sys
from fractions import Fraction
from io import BytesIO

import av
import numpy as np
import pytest
from helpers.media import shade, write_image, write_sound, write_video
from PIL import Image

from mmcma.datasets import open_video
from mmcma.utils.errors import MediaError


def grey(path, index=0):
    with open_video(path) as video:
        return round(float(video.get_batch([index]).mean()))


# ---- what is no video ----

@pytest.mark.parametrize('backend', ['auto', 'pyav', 'decord'])
@pytest.mark.parametrize('list_of', [
    '#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:5,\n{}\n#EXT-X-ENDLIST\n', "ffconcat version 1.0\nfile '{}'\n",
    '<?xml version="1.0"?><MPD type="static"><BaseURL>{}</BaseURL></MPD>',
    'v=0\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n'])
def test_lists_of_other_files_are_not_followed(tmp_path, backend, list_of):
    secret = write_video(tmp_path / 'outside' / 'secret.ts')
    for name in (str(secret), f'file://{secret}', '../outside/secret.ts'):
        inside = tmp_path / 'videos' / 'a.mp4'
        inside.parent.mkdir(exist_ok=True)
        inside.write_text(list_of.format(name))
        with pytest.raises(MediaError, match=r'a\.mp4: cannot be read \(\w+: (it is an? |no video container)'):
            open_video(inside, backend)


@pytest.mark.parametrize('kind, told', [('WEBP', 'animated WEBP'), ('JPEG', 'JPEG'), ('PNG', 'PNG'), ('BMP', 'BMP')])
def test_images_are_told_by_name(tmp_path, kind, told):
    image, more = Image.new('RGB', (32, 24), 'red'), {}
    if told.startswith('animated'):
        more = dict(save_all=True, append_images=[Image.new('RGB', (32, 24), 'blue')], duration=100)
    image.save(tmp_path / 'a.mp4', kind, **more)
    with pytest.raises(MediaError, match=rf'a\.mp4: cannot be read \(pyav: it is an image \({told}\), not a video; '):
        open_video(tmp_path / 'a.mp4')


def test_still_images_in_a_container_of_videos(tmp_path):
    """A photograph of a phone may lie in tiles, each a stream."""
    data = bytearray(write_video(tmp_path / 'a.mp4').read_bytes())
    data[8:12] = b'heic'
    (tmp_path / 'a.mp4').write_bytes(data)
    with pytest.raises(MediaError, match='it is an image .HEIF or AVIF., not a video'):
        open_video(tmp_path / 'a.mp4')


def test_a_name_is_no_protocol(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ('http:a.mp4', 'concat:a|b.mp4', 'pipe:0', 'a%d.mp4', 'é ü.mp4'):
        (tmp_path / 'a.mp4').unlink(missing_ok=True)
        write_video(tmp_path / 'a.mp4', num_frames=3).rename(tmp_path / name)
        assert abs(grey(name) - shade(0)) < 4


# ---- which track ----

COVER = (255, 0, 255)


def with_cover(path, first):
    """An MP4 with a cover picture, in front of its tracks or behind them."""
    data, picture = path.read_bytes(), BytesIO()
    Image.new('RGB', (64, 64), COVER).save(picture, 'JPEG')
    value = box(b'covr', box(b'data', struct.pack('>II', 13, 0) + picture.getvalue()))
    handler = box(b'hdlr', bytes(8) + b'mdirappl' + bytes(9))
    udta = box(b'udta', box(b'meta', bytes(4) + handler + box(b'ilst', value)))
    place = data.index(b'moov') - 4
    size = int.from_bytes(data[place:place + 4], 'big')
    header, tracks = data[place + 8:place + 8 + 108], data[place + 8 + 108:place + size]
    assert header[4:8] == b'mvhd' and data.index(b'mdat') < place  # the places of frames stay what they are
    tracks = tracks[:tracks.index(b'udta') - 4] if b'udta' in tracks else tracks
    moov = box(b'moov', header + udta + tracks if first else header + tracks + udta)
    path.write_bytes(data[:place] + moov + data[place + size:])
    return path


def box(kind, content):
    return struct.pack('>I', 8 + len(content)) + kind + content


@pytest.mark.parametrize('first', [True, False])
def test_a_cover_is_not_the_video(tmp_path, first):
    path = with_cover(write_video(tmp_path / 'a.mp4', num_frames=12), first)
    with av.open(str(path)) as container:
        covers = [bool(stream.disposition & av.stream.Disposition.attached_pic) for stream in container.streams.video]
    assert covers == [first, not first]
    with open_video(path) as video:
        assert video.num_frames == 12
    for index in (0, 7):
        assert abs(grey(path, index) - shade(index)) < 4


def test_a_song_with_a_cover_is_no_video(tmp_path):
    with pytest.raises(MediaError, match='no video stream but a cover picture'):
        open_video(with_cover(write_sound(tmp_path / 'a.mp4'), first=True))


@pytest.mark.parametrize('default', [0, 1])
def test_the_default_track_is_taken(tmp_path, default):
    path = tmp_path / 'a.mkv'
    with av.open(str(path), 'w') as container:
        for number in (0, 1):
            stream = container.add_stream('libx264', rate=10)
            stream.width, stream.height, stream.pix_fmt = 64, 48, 'yuv420p'
            stream.disposition = av.stream.Disposition.default if number == default else 0
        for level, stream in zip((40, 200), container.streams.video):
            for _ in range(5):
                image = np.full((48, 64, 3), level, dtype=np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format='rgb24')))
            container.mux(stream.encode())
    assert abs(grey(path) - (40, 200)[default]) < 4


# ---- one size ----

@pytest.mark.parametrize('name', ['a.h264', 'a.ts', 'a.mkv'])
def test_a_video_that_changes_its_size_is_refused(tmp_path, name):
    parts = [write_video(tmp_path / f'{size[0]}.h264', size=size, num_frames=25, b_frames=0)
             for size in ((64, 48), (96, 80))]
    (tmp_path / 'a.h264').write_bytes(b''.join(part.read_bytes() for part in parts))
    if name != 'a.h264':
        with av.open(str(tmp_path / 'a.h264')) as old, av.open(str(tmp_path / name), 'w') as new:
            stream = new.add_stream_from_template(old.streams.video[0])
            for number, packet in enumerate(packet for packet in old.demux(video=0) if packet.size):
                packet.pts = packet.dts = number
                packet.time_base, packet.stream = Fraction(1, 10), stream
                new.mux(packet)
    with open_video(tmp_path / name) as video:
        assert video.num_frames == 50
        for indices in ([0, 40], [40, 0]):
            with pytest.raises(MediaError, match=rf'{name}: .*changes its size from \d+x\d+ to \d+x\d+; cut it'):
                video.get_batch(indices)


def test_a_folder_of_images_of_two_sizes_is_refused(tmp_path):
    write_image(tmp_path / '1.png')
    write_image(tmp_path / '2.png', size=(32, 24))
    with open_video(tmp_path) as video:
        assert video.get_batch([1]).shape == (1, 24, 32, 3)
        with pytest.raises(MediaError, match=r'folder: 2\.png is 32x24, others are 64x48; a clip has one size'):
            video.get_batch([0, 1])


def test_decord_is_asked_only_after_pyav_could_open(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'decord', None)
    write_image(tmp_path / 'a.png').rename(tmp_path / 'a.mp4')
    with pytest.raises(MediaError, match='decord: it is an image .PNG.'):
        open_video(tmp_path / 'a.mp4', 'decord')
