import sys

import av
import numpy as np
import pytest
from media_files import SHARED, needs_shared_data, shade, write_picture, write_video

from mmcma.datasets import open_video, video_reader
from mmcma.datasets.frame_sampling import sample_frames
from mmcma.errors import ConfigError, MediaError


def greys(frames):
    return frames.astype(int).mean(axis=(1, 2, 3)).round()


def assert_frames(frames, indices, tolerance=4):
    assert frames.dtype == np.uint8 and frames.shape[-1] == 3
    assert np.abs(greys(frames) - [shade(i) for i in indices]).max() <= tolerance


@pytest.mark.parametrize('name, codec', [
    ('a.mp4', 'libx264'), ('a.avi', 'libx264'), ('a.mkv', 'libx264'), ('a.mov', 'mpeg4'), ('a.avi', 'mpeg4'),
    ('a.mp4', 'mpeg4'), ('a.webm', 'libvpx-vp9')])
def test_each_frame_is_the_one_asked_for(tmp_path, name, codec):
    path = write_video(tmp_path / name, codec=codec, num_frames=40)
    with open_video(path) as video:
        assert video.num_frames == 40
        assert video.fps == pytest.approx(10, rel=0.01) and video.duration == pytest.approx(4, rel=0.01)
        for indices in ([0, 10, 20, 30], [39], [5], [3, 4, 38, 2, 2], list(range(40))):
            assert_frames(video.get_batch(indices), indices)


def test_decord_agrees_on_h264_mp4(tmp_path):
    path = write_video(tmp_path / 'a.mp4')
    batches = []
    for backend in ('pyav', 'decord'):
        with open_video(path, backend) as video:
            batches.append(video.get_batch([0, 9, 18, 27]).astype(int))
            assert video.num_frames == 30
    assert np.abs(batches[0] - batches[1]).mean() < 2


def test_decord_is_not_imported_before_it_is_needed(tmp_path):
    import subprocess
    path = write_video(tmp_path / 'a.mp4')
    code = (f'import sys; from mmcma.datasets import open_video\n'
            f'with open_video({str(path)!r}) as v: v.get_batch([0])\n'
            'assert "decord" not in sys.modules and "torchvision" not in sys.modules')
    subprocess.run([sys.executable, '-c', code], check=True)


class _Stub(video_reader.VideoReader):
    closed = 0
    num_frames, fps = 20, 10.0

    def __init__(self, path):
        pass

    def get_batch(self, indices):
        raise ValueError('frame 3 is torn')

    def close(self):
        _Stub.closed += 1


def test_a_broken_frame_goes_to_the_next_backend(tmp_path, monkeypatch):
    path = write_video(tmp_path / 'a.mp4', num_frames=40)
    monkeypatch.setattr(video_reader, 'BACKENDS', dict(first=_Stub, pyav=video_reader.PyAVReader))
    _Stub.closed = 0
    with open_video(path) as video:
        # 20 frames for the first backend, 40 for the second: the same places in time.
        assert_frames(video.get_batch([0, 5, 19]), [0, 10, 38])
    assert _Stub.closed == 1

    monkeypatch.setattr(video_reader, 'BACKENDS', dict(first=_Stub, second=_Stub))
    with pytest.raises(MediaError, match=r'a\.mp4: cannot be read \(first: frame 3 is torn; second: frame 3'):
        with open_video(path) as video:
            video.get_batch([0])
    assert _Stub.closed == 3


def test_what_does_not_open(tmp_path):
    with pytest.raises(MediaError, match='nothing.mp4: no such file'):
        open_video(tmp_path / 'nothing.mp4')
    (tmp_path / 'empty.mp4').touch()
    with pytest.raises(MediaError, match='empty.mp4: the file is empty'):
        open_video(tmp_path / 'empty.mp4')
    (tmp_path / 'text.mp4').write_text('<html>404</html>')
    with pytest.raises(MediaError, match='text.mp4: cannot be read .pyav: .*; decord: ') as caught:
        open_video(tmp_path / 'text.mp4')
    assert '\n' not in str(caught.value)
    with pytest.raises(ConfigError, match="Did you mean 'decord'"):
        open_video(tmp_path / 'text.mp4', backend='decrod')


def test_truncated_file(tmp_path):
    whole = write_video(tmp_path / 'a.mkv', num_frames=60).read_bytes()
    (tmp_path / 'cut.mkv').write_bytes(whole[:len(whole) // 2])
    with open_video(tmp_path / 'cut.mkv') as video:
        assert 0 < video.num_frames < 60
        assert_frames(video.get_batch([0, video.num_frames // 2]), [0, video.num_frames // 2])


def test_audio_only(tmp_path):
    path = tmp_path / 'sound.mp4'
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('aac', rate=16000)
        silence = np.zeros((1, 16000), dtype=np.float32)
        frame = av.AudioFrame.from_ndarray(silence, format='fltp', layout='mono')
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(MediaError, match='no video stream'):
        open_video(path)


def test_folder_of_frames(tmp_path):
    for number in (1, 2, 9, 10, 11):
        write_picture(tmp_path / f'frame{number}.png', grey=10 * number)
    (tmp_path / 'notes.txt').write_text('not a picture')
    with open_video(tmp_path, folder_fps=2.0) as video:
        assert (video.num_frames, video.fps, video.duration) == (5, 2.0, 2.5)
        assert greys(video.get_batch([0, 2, 3, 4])).tolist() == [10, 90, 100, 110]


def test_folder_without_frames(tmp_path):
    with pytest.raises(MediaError, match='no pictures'):
        open_video(tmp_path)


def test_picture_is_turned_upright(tmp_path):
    from PIL import Image
    image = Image.new('RGB', (20, 10))
    exif = image.getexif()
    exif[0x0112] = 6  # turn by 90 degrees
    image.save(tmp_path / 'a.jpg', exif=exif)
    assert video_reader.read_image(tmp_path / 'a.jpg').shape == (20, 10, 3)


def test_broken_picture(tmp_path):
    (tmp_path / 'a.jpg').write_bytes(write_picture(tmp_path / 'b.jpg').read_bytes()[:300])
    with pytest.raises(MediaError, match='a.jpg: not a readable picture'):
        video_reader.read_image(tmp_path / 'a.jpg')


@needs_shared_data
class TestBrokenVideos:
    @staticmethod
    def read(name, backend='auto', indices=None):
        with open_video(f'{SHARED}/broken_videos/{name}', backend) as video:
            if indices is None:
                indices = sample_frames(video.num_frames, video.fps, 12)
            return video.get_batch(indices)

    @pytest.mark.parametrize('name, shape', [
        ('animated.gif', (2, 150, 200, 3)), ('clip.webm', (2, 150, 200, 3)),
        ('lowfps.mp4', (12, 1080, 1920, 3)),
        ('rotated_90.mov', (1, 568, 320, 3)), ('unordered.mov', (1, 50, 50, 3))])
    def test_odd_but_readable(self, name, shape):
        assert self.read(name).shape == shape

    @pytest.mark.parametrize('name', ['empty.mp4', 'garbage.mp4'])
    def test_unreadable(self, name):
        with pytest.raises(MediaError, match=name):
            self.read(name)

    def test_what_decord_cannot_read(self):
        with pytest.raises(MediaError, match='decord: '):
            self.read('animated.gif', 'decord')
        with pytest.raises(MediaError, match='decord: '):
            self.read('partly_corrupted.mp4', 'decord', [28])

    def test_partly_corrupted(self):
        assert len(self.read('partly_corrupted.mp4', indices=[0, 28, 40])) == 3
        with pytest.raises(MediaError, match='frame 30 of 50 does not decode; decord: '):
            self.read('partly_corrupted.mp4', indices=[30])

    def test_backends_turn_alike(self):
        pictures = [self.read('rotated_90.mov', backend).astype(int) for backend in ('pyav', 'decord')]
        assert np.abs(pictures[0] - pictures[1]).mean() < 1


@needs_shared_data
@pytest.mark.parametrize('clip', [
    'MSVD/BtQtRGI0F2Q_15_20.avi', 'MSVD/J---aiyznGQ_0_6.avi', 'MSR-VTT/video0.mp4'])
def test_real_clips_frame_by_frame(clip):
    path = f'{SHARED}/clips/{clip}'
    with open_video(path) as video:
        indices = sample_frames(video.num_frames, video.fps, 6)
        frames = video.get_batch(indices)
    with av.open(path) as container:
        whole = [frame.to_ndarray(format='rgb24') for frame in container.decode(video=0)]
    assert len(whole) == video.num_frames
    assert all((frame == whole[index]).all() for frame, index in zip(frames, indices))
