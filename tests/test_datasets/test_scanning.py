"""One pass over a video, against the reader that decodes each frame for itself."""
import gc
import random

import numpy as np
import pytest
from helpers.media import write_image, write_video
from helpers.streams import COUNT, STREAMS, X264, decode_all, remux, write_stream

from mmcma.datasets import open_video
from mmcma.datasets.video.key_frame_reader import KeyFrameReader
from mmcma.datasets.video.pyav_reader import PyAVReader
from mmcma.utils.errors import MediaError

#: Streams whose key frames are those of the encoder: every twelfth frame.
DAMAGED = ['closed', 'closed, AVI', 'open', 'fields', 'HEVC, open', 'HEVC, closed, leading pictures', 'MPEG-2, open',
           'MPEG-4, AVI', 'VP9']


@pytest.fixture(scope='module', params=STREAMS)
def stream(request, streams):
    path = streams(request.param)
    return path, decode_all(path)


@pytest.mark.parametrize('indices', [range(COUNT), range(0, COUNT, 7), [59], [5, 6, 40]])
def test_frames_are_those_of_decoding_all(stream, indices):
    path, whole = stream
    with open_video(path) as video:
        found = list(video.scan(indices, np.copy))
    assert [index for index, _ in found] == list(indices)
    assert all(np.array_equal(frame, whole[index]) for index, frame in found)


def test_key_frames_alone(stream):
    path, whole = stream
    with open_video(path) as full, open_video(path, key_frames=True) as video:
        assert 1 <= video.num_frames <= COUNT and video.duration == full.duration
        numbers = np.searchsorted(full.timestamps, video.timestamps)
        late = 3 if path.suffix == '.avi' else 0  # B-frames before it
        for index, frame in video.scan(range(video.num_frames), np.copy):
            if isinstance(frame, MediaError):  # of a gradual refresh nothing stands for itself
                assert 'does not stand for itself' in str(frame) or 'Invalid data' in str(frame)
            else:
                first = numbers[index]
                assert any(np.array_equal(frame, one) for one in whole[first:first + 1 + late]), index


@pytest.mark.parametrize('name', ['closed', 'closed, AVI', 'HEVC, open', 'VP9'])
def test_key_frames_are_the_encoders(name, streams):
    path = streams(name)
    whole = decode_all(path)
    with open_video(path, key_frames=True) as video:
        assert np.allclose(video.timestamps, np.arange(5) * 1.2, atol=1e-3)
        assert np.array_equal(video.get_batch([3, 0, 3]), whole[[36, 0, 36]])


class CountingReader(PyAVReader):
    decoded = 0

    def _wanted_frames(self, wanted, start, skip=False):
        decode = self._decoder.decode

        def counting(packet):
            self.decoded += packet is not None and packet.size > 0
            return decode(packet)
        self._decoder.decode = counting
        yield from super()._wanted_frames(wanted, start, skip)
        self._decoder.decode = decode


@pytest.mark.parametrize('name, most', [('closed', 24), ('closed, matroska', 24), ('HEVC, open', 23), ('VP9', 40)])
def test_what_nothing_refers_to_is_not_decoded(name, most, streams):
    path = streams(name)
    with CountingReader(str(path)) as video:
        next(video.scan([0, 59], np.copy))
        assert video.decoded < 10  # frames come as they are decoded
    with CountingReader(str(path)) as video:
        found = dict(video.scan([0, 23, 59], np.copy))
        assert video.decoded <= most
        assert np.array_equal(np.stack(list(found.values())), decode_all(path)[[0, 23, 59]])


def test_decoded_frames_do_not_wait_for_the_garbage_collector(tmp_path):
    """They are large, and it counts objects: some hundred megabytes of them gathered."""
    def frames():
        return sum(type(held).__name__ == 'VideoFrame' for held in gc.get_objects())

    path = write_video(tmp_path / 'a.mp4', num_frames=60)
    gc.collect()
    before = frames()
    gc.disable()
    try:
        with open_video(path) as video:
            for _ in video.scan(range(60), np.copy):
                pass
            assert frames() - before < 10
    finally:
        gc.enable()


def damage(path, target, packet, seed):
    """Flips bits of one packet."""
    bits = random.Random(seed)

    def change(number, data):
        data = bytearray(data)
        if number == packet:
            for _ in range(20):
                data[bits.randrange(min(len(data), 60), len(data)) if len(data) > 60 else -1] ^= 1 << bits.randrange(8)
        return bytes(data)
    return remux(path, target, change=change)


@pytest.mark.parametrize('name', DAMAGED)
def test_damage_costs_what_it_reaches(name, streams, tmp_path):
    """What the plain reader finds in the damaged file, the pass finds too; what it does not is an error or right."""
    path = streams(name)
    for packet in (0, 13, 17, 47):
        broken = damage(path, tmp_path / f'broken{packet}-{path.name}', packet, packet)
        with open_video(broken) as video, open_video(broken) as plain:
            for index, frame in video.scan(range(0, COUNT, 3), np.copy):
                try:
                    expected = plain.get_batch([index])[0]
                except MediaError:
                    continue
                assert np.array_equal(frame, expected), (packet, index)


def test_damage_is_named_by_file_and_time(streams, tmp_path):
    path = damage(streams('closed'), tmp_path / 'broken.mp4', 27, 0)
    with open_video(path) as video:
        found = dict(video.scan(range(COUNT), np.copy))
        failed = [index for index, frame in found.items() if isinstance(frame, MediaError)]
        assert failed and 24 <= min(failed) and failed[-1] == 35
        assert str(found[35]).startswith(f'{path}: cannot be read at 0:00:03 (pyav: damaged at frame ')
    with open_video(path, key_frames=True) as video:
        assert not any(isinstance(frame, MediaError) for _, frame in video.scan(range(5), np.copy))
    path = damage(streams('closed'), tmp_path / 'broken.mp4', 24, 0)
    with open_video(path, key_frames=True) as video:
        found = [frame for _, frame in video.scan(range(5), np.copy)]
        assert [isinstance(frame, MediaError) for frame in found] == [False, False, True, False, False]
        with pytest.raises(MediaError, match='damaged|Invalid'):
            video.get_batch([1, 2])


def test_no_key_frame_stands_for_itself_in_a_gradual_refresh(tmp_path):
    path = write_stream(tmp_path / 'a.ts', 'libx264', {'x264-params': X264 + ':intra-refresh=1:bframes=0'})
    with KeyFrameReader(str(path)) as video:
        later = [frame for index, frame in video.scan(range(video.num_frames), np.copy) if index]
    assert all(isinstance(frame, ValueError) for frame in later)


def test_folders_and_decord_are_scanned_too(tmp_path):
    for number in range(4):
        write_image(tmp_path / 'frames' / f'{number}.png', grey=40 * number)
    with open_video(tmp_path / 'frames') as video:
        assert [(index, frame[0, 0, 0]) for index, frame in video.scan([1, 3], np.copy)] == [(1, 40), (3, 120)]
    (tmp_path / 'frames' / '3.png').write_bytes(b'torn')
    with open_video(tmp_path / 'frames') as video:
        assert [isinstance(frame, MediaError) for _, frame in video.scan([1, 3], np.copy)] == [False, True]
    with open_video(write_video(tmp_path / 'a.mp4'), 'decord') as video:
        found = dict(video.scan([3, 20], np.copy))
        assert np.array_equal(np.stack(list(found.values())), video.get_batch([3, 20]))
