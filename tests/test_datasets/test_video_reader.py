import os
import sys

import av
import numpy as np
import pytest
from helpers.media import shade, turn_upright_by, write_image, write_sound, write_video

from mmcma.datasets import open_video
from mmcma.utils.errors import ConfigError, MediaError


def greys(frames):
    return frames.astype(int).mean(axis=(1, 2, 3)).round()


def assert_frames(frames, indices, tolerance=4):
    assert frames.dtype == np.uint8 and frames.shape[-1] == 3
    assert np.abs(greys(frames) - [shade(i) for i in indices]).max() <= tolerance


FORMATS = [('a.mp4', 'libx264'), ('a.avi', 'libx264'), ('a.mkv', 'libx264'), ('a.mov', 'mpeg4'), ('a.avi', 'mpeg4'),
           ('a.mp4', 'mpeg4'), ('a.mkv', 'mpeg4'), ('a.mp4', 'mpeg2video'), ('a.webm', 'libvpx-vp9')]


@pytest.mark.parametrize('backend', ['pyav', 'decord'])
@pytest.mark.parametrize('name, codec', FORMATS)
def test_each_frame_is_the_one_asked_for(tmp_path, name, codec, backend):
    """With B-frames where the codec has them; decord's own skipping returns others in half of these."""
    path = write_video(tmp_path / name, codec=codec, num_frames=40)
    with open_video(path, backend) as video:
        assert video.num_frames == 40
        assert video.fps == pytest.approx(10, rel=0.01) and video.duration == pytest.approx(4, rel=0.01)
        assert np.allclose(video.timestamps, np.arange(40) / 10, atol=1e-3)
        for indices in ([0, 10, 20, 30], [39], [5], [3, 4, 38, 2, 2], list(range(40))):
            assert_frames(video.get_batch(indices), indices)


def test_transport_stream(tmp_path):
    """A seek to its first frame lands behind it."""
    path = write_video(tmp_path / 'a.ts', num_frames=40)
    with open_video(path) as video:
        assert_frames(video.get_batch([0, 1, 17, 39]), [0, 1, 17, 39], tolerance=8)
    with pytest.raises(MediaError, match='decord: MPEG transport streams come out wrong'):
        open_video(path, 'decord')


def test_images_that_are_never_shown(tmp_path):
    """VP8 keeps some as packets of their own, only to refer to them: they are no frames."""
    shown = write_video(tmp_path / 'shown.webm', codec='libvpx', num_frames=20, b_frames=0)
    with av.open(str(shown)) as source, av.open(str(tmp_path / 'a.webm'), 'w') as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if not packet.size:
                continue
            hidden = bytearray(bytes(packet))
            packet.stream = stream
            target.mux(packet)
            if number == 7:
                hidden[0] &= ~0x10
                extra = av.Packet(bytes(hidden))
                extra.pts = extra.dts = packet.pts + 1
                extra.time_base, extra.stream = packet.time_base, stream
                target.mux(extra)
    with av.open(str(tmp_path / 'a.webm')) as container:
        assert sum(packet.size > 0 for packet in container.demux(video=0)) == 21
    with open_video(tmp_path / 'a.webm', 'pyav') as video:
        assert video.num_frames == 20
        assert_frames(video.get_batch(range(20)), range(20))


@pytest.mark.parametrize('name, codec', [('a.webm', 'libsvtav1'), ('a.gif', 'gif')])
def test_what_pyav_alone_reads(tmp_path, name, codec):
    path = write_video(tmp_path / name, codec=codec, num_frames=20, b_frames=0, size=(64, 64))
    with open_video(path) as video:
        assert video.num_frames == 20
        frames = video.get_batch([0, 7, 19])
    assert frames.shape == (3, 64, 64, 3)
    assert_frames(frames, [0, 7, 19], tolerance=20)  # a GIF has few greys
    with pytest.raises(MediaError, match='decord: '):
        with open_video(path, 'decord') as video:
            video.get_batch([0])


@pytest.mark.parametrize('backend', ['pyav', 'decord'])
def test_a_rate_that_varies(tmp_path, backend):
    times = [0, 1, 2, 3, 30, 31, 32, 70, 71, 72]  # tenths of a second
    path = write_video(tmp_path / 'a.mp4', num_frames=10, times=times)
    with open_video(path, backend) as video:
        assert np.allclose(video.timestamps, np.array(times) / 10, atol=1e-5)
        assert video.duration >= 7.3
        assert_frames(video.get_batch([0, 3, 4, 9]), [0, 3, 4, 9])


@pytest.mark.parametrize('backend', ['pyav', 'decord'])
@pytest.mark.parametrize('degrees', [90, 180, 270])
def test_frames_are_turned_upright(tmp_path, backend, degrees):
    stored = np.zeros((64, 128), dtype=int)
    stored[32:] = 235
    path = write_video(tmp_path / 'a.mp4', num_frames=3, size=(128, 64), paint=lambda number: stored)
    turn_upright_by(path, degrees)
    with open_video(path, backend) as video:
        frame = video.get_batch([0])[0]
    assert np.abs(frame.mean(axis=-1) - np.rot90(stored, k=-degrees // 90)).mean() < 12


def test_decord_is_not_imported_before_it_is_needed(tmp_path):
    import subprocess
    path = write_video(tmp_path / 'a.mp4')
    code = (f'import sys; from mmcma.datasets import open_video\n'
            f'with open_video({str(path)!r}) as v: v.get_batch([0])\n'
            'assert "decord" not in sys.modules and "torchvision" not in sys.modules')
    subprocess.run([sys.executable, '-c', code], check=True)


@pytest.mark.parametrize('content', [b'', b'<html>404</html>', b'RIFF    AVI '])
def test_what_pyav_refuses_no_other_decoder_sees(tmp_path, monkeypatch, content):
    whole = write_video(tmp_path / 'a.mp4').read_bytes()
    (tmp_path / 'a.mp4').write_bytes(content or whole[:len(whole) // 2])
    monkeypatch.setitem(sys.modules, 'decord', None)  # an import would fail otherwise than below
    for backend in ('auto', 'decord'):
        with pytest.raises(MediaError, match=r'a\.mp4: cannot be read \(\w+: no video container'):
            open_video(tmp_path / 'a.mp4', backend)


def test_what_does_not_open(tmp_path):
    with pytest.raises(MediaError, match='nothing.mp4: no such file'):
        open_video(tmp_path / 'nothing.mp4')
    (tmp_path / 'empty.mp4').touch()
    with pytest.raises(MediaError, match='empty.mp4: the file is empty'):
        open_video(tmp_path / 'empty.mp4')
    (tmp_path / 'text.mp4').write_text('<html>404</html>')
    with pytest.raises(MediaError, match='text.mp4: cannot be read .pyav: no video container .Invalid') as caught:
        open_video(tmp_path / 'text.mp4')
    assert '\n' not in str(caught.value)
    with pytest.raises(ConfigError, match="Did you mean 'decord'"):
        open_video(tmp_path / 'text.mp4', backend='decrod')


@pytest.mark.parametrize('backend, name', [('pyav', 'cut.mkv'), ('pyav', 'cut.avi'), ('auto', 'cut.mkv')])
def test_truncated_file(tmp_path, backend, name):
    noise = np.random.default_rng(0).integers(-9, 10, (60, 48, 64))  # so that the frames outweigh the header
    whole = write_video(tmp_path / f'whole{name[-4:]}', num_frames=60,
                        paint=lambda number: shade(number) + noise[number]).read_bytes()
    (tmp_path / name).write_bytes(whole[:len(whole) // 2])
    with open_video(tmp_path / name, backend) as video:
        assert 10 < video.num_frames < 50
        assert_frames(video.get_batch([0, video.num_frames // 2]), [0, video.num_frames // 2])


def test_truncated_mp4(tmp_path):
    """Its index stands at the end."""
    whole = write_video(tmp_path / 'whole.mp4').read_bytes()
    (tmp_path / 'cut.mp4').write_bytes(whole[:len(whole) // 2])
    with pytest.raises(MediaError, match='cut.mp4: cannot be read .pyav: no video container'):
        open_video(tmp_path / 'cut.mp4')


def test_one_thread(tmp_path):
    """Neither the decoder nor the conversion to RGB, which would start one for each core, takes more."""
    path = write_video(tmp_path / 'a.mp4', num_frames=60)
    before = len(os.listdir('/proc/self/task'))
    with open_video(path, 'pyav') as video:
        video.get_batch([0, 50])
        assert len(os.listdir('/proc/self/task')) == before


@pytest.mark.parametrize('name', ['a.mp4', 'a.avi'])
def test_a_fault_in_the_middle(tmp_path, name):
    """Frames before it are read; those that build on it are not; behind an entry point all is well again."""
    path = write_video(tmp_path / name, num_frames=60, b_frames=0,
                       paint=lambda number: np.random.default_rng(number).integers(0, 256, (48, 64)))
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    keys = [number for number, packet in enumerate(packets) if packet.is_keyframe]
    assert keys[:4] == [0, 12, 24, 36]
    with open_video(path) as video:
        whole = video.get_batch(range(60))
    broken = bytearray(path.read_bytes())
    place = broken.index(bytes(packets[15])) + 5
    broken[place:place + packets[15].size - 5] = b'\xff' * (packets[15].size - 5)
    path.write_bytes(broken)
    with open_video(path, 'pyav') as video:
        assert (video.get_batch([0, 14]) == whole[[0, 14]]).all()
    for frame in (15, 20, 23):
        with pytest.raises(MediaError, match=rf'{name}: cannot be read \(pyav: damaged at frame 15 of 60\)'):
            with open_video(path, 'pyav') as video:
                video.get_batch([0, frame])
    with open_video(path, 'pyav') as video:
        assert (video.get_batch([24, 59]) == whole[[24, 59]]).all()


def test_nothing_to_see(tmp_path):
    with pytest.raises(MediaError, match='sound.mp4: cannot be read .pyav: no video stream.'):
        open_video(write_sound(tmp_path / 'sound.mp4'))
    with pytest.raises(MediaError, match='none.mp4: cannot be read .pyav: no '):
        open_video(write_video(tmp_path / 'none.mp4', num_frames=0))


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / 'pipe.mp4')
    with pytest.raises(MediaError, match='pipe.mp4: neither a file nor a folder'):
        open_video(tmp_path / 'pipe.mp4')


def test_files_are_closed(tmp_path):
    good = write_video(tmp_path / 'a.mp4', num_frames=3)
    (tmp_path / 'text.mp4').write_text('<html>404</html>')
    (tmp_path / 'cut.mp4').write_bytes(good.read_bytes()[:-200])
    sound, cut = write_sound(tmp_path / 'sound.mp4'), tmp_path / 'cut.mp4'

    def read(path, backend):
        try:
            with open_video(path, backend) as video:
                video.get_batch([0, video.num_frames - 1])
                raise KeyError('an error of the caller')
        except (MediaError, KeyError):
            pass

    def open_files():
        return len(os.listdir('/proc/self/fd'))

    def read_all():
        for path in (good, cut, sound, tmp_path / 'text.mp4'):
            for backend in ('auto', 'pyav', 'decord'):
                read(path, backend)

    read_all()  # what the libraries keep open once
    before = open_files()
    for _ in range(17):  # 204 times
        read_all()
    assert open_files() == before


def test_folder_of_frames(tmp_path):
    for number in (1, 2, 9, 10, 11):
        write_image(tmp_path / f'frame{number}.png', grey=10 * number)
    (tmp_path / 'notes.txt').write_text('not an image')
    with open_video(tmp_path, folder_fps=2.0) as video:
        assert (video.num_frames, video.fps, video.duration) == (5, 2.0, 2.5)
        assert greys(video.get_batch([0, 2, 3, 4])).tolist() == [10, 90, 100, 110]


def test_folder_without_frames(tmp_path):
    with pytest.raises(MediaError, match='no images'):
        open_video(tmp_path)


def test_a_broken_image_in_a_folder(tmp_path):
    for number in range(3):
        write_image(tmp_path / f'{number}.png')
    (tmp_path / '1.png').write_bytes(b'no image')
    with open_video(tmp_path) as video:
        assert len(video.get_batch([0, 2])) == 2
        with pytest.raises(MediaError, match=r'folder: .*1\.png: not a readable image'):
            video.get_batch([0, 1])
