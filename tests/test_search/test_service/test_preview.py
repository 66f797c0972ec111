"""Videos from a moment on, as browsers play them."""
import gc
from fractions import Fraction

import av
import numpy as np
import pytest
from helpers.media import turn_upright_by, write_video

from mmcma.search.service import preview
from mmcma.search.service.preview import Previews, convert, frame_from
from mmcma.utils.errors import MediaError


def converted(source, target, at: float = 0):
    target.write_bytes(b''.join(convert(source, at)))
    return target


def shown(path) -> list[tuple[float, int]]:
    """Times of its frames and their mean grey."""
    with av.open(str(path)) as container:
        return [(round(float(frame.time), 3), round(frame.to_ndarray(format='gray').mean()))
                for frame in container.decode(video=0)]


def write_with_sound(path, seconds: float = 4.0, fps: int = 10):
    """A video of which each frame is a grey, and each second a tone of its own: 400, 600, 800, … Hz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), 'w') as container:
        video, sound = container.add_stream('mpeg4', fps), container.add_stream('aac', 16000, layout='mono')
        video.width, video.height, video.pix_fmt, video.gop_size = 64, 48, 'yuv420p', 12
        rows, place = 1024, 0
        for number in range(round(seconds * fps)):
            image = np.full((48, 64), 20 + 5 * number, dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format='gray').reformat(format='rgb24')
            container.mux(video.encode(frame))
            while place < (number + 1) * 16000 / fps:
                times = np.arange(place, place + rows) / 16000
                wave = np.sin(2 * np.pi * (400 + 200 * np.floor(times)) * times).astype(np.float32)
                tone = av.AudioFrame.from_ndarray(wave[None], format='fltp', layout='mono')
                tone.sample_rate, tone.pts, tone.time_base = 16000, place, Fraction(1, 16000)
                container.mux(sound.encode(tone))
                place += rows
        for stream in (video, sound):
            container.mux(stream.encode())
    return path


def heard(path) -> list[float]:
    """The loudest frequency in the middle half of each second."""
    with av.open(str(path)) as container:
        rate = container.streams.audio[0].rate
        wave = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
        begin = container.streams.audio[0].start_time * container.streams.audio[0].time_base
    wave = wave[max(0, -round(begin * rate)):]
    parts = [wave[second * rate + rate // 4:second * rate + 3 * rate // 4] for second in range(round(len(wave) / rate))]
    return [round(float(np.abs(np.fft.rfft(part)).argmax() * rate / len(part)), -1) for part in parts]


@pytest.mark.parametrize('name, codec, b_frames', [
    ('a.avi', 'mpeg4', 0), ('a.mkv', 'libx264', 2), ('a.ts', 'libx264', 2), ('a.webm', 'libvpx-vp9', 0),
    ('a.mkv', 'libx265', 2)])
@pytest.mark.parametrize('at', [0, 1.5, 3.1])
def test_a_preview_shows_the_same_at_the_same_time(tmp_path, name, codec, b_frames, at):
    source = write_video(tmp_path / name, 40, codec=codec, b_frames=b_frames, paint=lambda number: 5 * number + 20)
    after, expected = shown(converted(source, tmp_path / 'preview.mp4', at)), range(round(10 * at), 40)
    assert [time - after[0][0] for time, _ in after] == pytest.approx([place / 10 - at for place in expected], abs=2e-3)
    assert [grey for _, grey in after] == pytest.approx([5 * place + 20 for place in expected], abs=6)
    assert frame_from(source, at, 360).mean() == pytest.approx(5 * expected[0] + 20, abs=6)


def test_where_frames_have_no_times_it_is_right_to_one_frame(tmp_path):
    source = write_video(tmp_path / 'a.avi', 60, fps=25, codec='mpeg4', paint=lambda number: 4 * number)
    after = shown(converted(source, tmp_path / 'preview.mp4', 1.6))
    assert len(after) == pytest.approx(20, abs=1) and after[0][1] == pytest.approx(160, abs=6)
    assert after[-1][1] == pytest.approx(236, abs=6)


def test_times_that_go_back(tmp_path):
    """As FFmpeg gives them behind a seek in a program stream; no encoder takes such."""
    source = write_video(tmp_path / 'a.mpg', 60, fps=25, codec='mpeg2video', paint=lambda number: 4 * number)
    after = shown(converted(source, tmp_path / 'preview.mp4', 1.6))
    assert len(after) > 5 and after == sorted(after)


@pytest.mark.parametrize('name', ['a.avi', 'a.mkv'])
def test_the_sound_goes_along(tmp_path, name):
    source = write_with_sound(tmp_path / name)
    assert heard(converted(source, tmp_path / 'whole.mp4')) == [400, 600, 800, 1000]
    assert heard(converted(source, tmp_path / 'part.mp4', 2))[:2] == [800, 1000]
    with av.open(str(tmp_path / 'part.mp4')) as container:
        assert {stream.codec_context.name for stream in container.streams} == {'h264', 'aac'}
    assert shown(tmp_path / 'part.mp4')[0][1] == pytest.approx(120, abs=6)


@pytest.mark.parametrize('size, shrunk', [((64, 48), (64, 48)), ((1280, 720), (640, 360)), ((300, 722), (300, 722)),
                                          ((722, 1444), (360, 720))])
def test_size_of_a_preview(tmp_path, size, shrunk):
    preview = converted(write_video(tmp_path / 'a.avi', 2, codec='mpeg4', b_frames=0, size=size), tmp_path / 'a.mp4')
    with av.open(str(preview)) as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == shrunk


def test_a_preview_is_upright(tmp_path):
    left_is_white = np.tile(np.where(np.arange(64) < 32, 255, 0).astype(np.uint8), (48, 1))
    source = write_video(tmp_path / 'a.mp4', 5, paint=lambda number: left_is_white)
    turn_upright_by(source, 90)  # then the top is white
    with av.open(str(converted(source, tmp_path / 'preview.mp4'))) as container:
        image = next(container.decode(video=0)).to_ndarray(format='gray')
    for turned in (image, frame_from(source, 0, 360)[..., 0]):
        assert turned.shape == (64, 48) and turned[:24].mean() > 230 and turned[40:].mean() < 25


def test_no_more_than_two_minutes_from_the_moment_on(tmp_path, monkeypatch):
    monkeypatch.setattr(preview, 'PREVIEW_SECONDS', 2)
    source = write_video(tmp_path / 'a.avi', 100, fps=10, codec='mpeg4', b_frames=0)
    assert len(shown(converted(source, tmp_path / 'a.mp4', 3))) == 20


def test_each_frame_is_let_go_before_the_next(tmp_path):
    """PyAV's frames that were asked for what lies beside them wait for the garbage collector, 12 MB each at 4K."""
    source = write_video(tmp_path / 'a.mkv', 40)
    gc.collect()
    gc.disable()
    try:
        most = 0
        for _ in convert(source, 0):
            most = max(most, sum(isinstance(thing, av.VideoFrame) for thing in gc.get_objects()))
    finally:
        gc.enable()
    assert most <= 4


@pytest.mark.parametrize('at', [4.5, 99])
def test_after_the_end_there_is_nothing(tmp_path, at):
    source = write_video(tmp_path / 'a.avi', 20, fps=10, codec='mpeg4', b_frames=0)
    with pytest.raises(MediaError, match=f'a.avi: cannot be shown .no frame at {at:g} s, it ends at 1.9 s'):
        list(convert(source, at))
    assert frame_from(source, 2.0, 360).mean() == pytest.approx(20 + 19 * 37 % 200, abs=6)  # its last one


def test_what_is_no_video(tmp_path):
    (tmp_path / 'a.mp4').write_text('no video')
    (tmp_path / 'b.mp4').write_text('#EXTM3U\na.mp4')
    (tmp_path / 'previews').mkdir()
    for name in ('a.mp4', 'b.mp4'):
        for attempt in (lambda path: list(convert(path)), lambda path: frame_from(path, 0, 360),
                        lambda path: list(Previews(tmp_path / 'previews').make(path, 0))):
            with pytest.raises(MediaError, match=name):
                attempt(tmp_path / name)
    assert not list((tmp_path / 'previews').iterdir())


def test_damage_ends_no_preview(tmp_path):
    source = write_video(tmp_path / 'a.avi', 60, codec='mpeg4', b_frames=0)
    data = bytearray(source.read_bytes())
    data[len(data) // 2:len(data) // 2 + 300] = bytes(300)
    source.write_bytes(data)
    assert len(shown(converted(source, tmp_path / 'a.mp4'))) > 40


@pytest.fixture
def sources(tmp_path):
    (tmp_path / 'previews').mkdir()
    return [write_video(tmp_path / f'{number}.avi', 12, fps=10, codec='mpeg4', b_frames=0) for number in range(3)]


def test_previews_are_made_once_and_those_not_asked_for_go(tmp_path, sources, monkeypatch):
    previews = Previews(tmp_path / 'previews')
    assert previews.find(sources[0], 0) is None
    made = b''.join(previews.make(sources[0], 0))
    assert previews.find(sources[0], 0).read_bytes() == made
    assert previews.find(sources[0], 0.5) is None and previews.find(sources[1], 0) is None
    monkeypatch.setattr(preview, 'KEPT_BYTES', 2.5 * len(made))
    for source in sources[1:]:
        list(previews.make(source, 0))
        assert previews.find(sources[0], 0)  # asked for, so that it stays
    assert previews.find(sources[1], 0) is None and previews.find(sources[2], 0)
    write_video(sources[2], 9, codec='mpeg4', b_frames=0)
    assert previews.find(sources[2], 0) is None  # changed since


def test_whoever_stops_listening_ends_the_work(tmp_path, sources, monkeypatch):
    monkeypatch.setattr(preview, 'AT_ONCE', 1)
    previews = Previews(tmp_path / 'previews')
    pieces = previews.make(sources[0], 0)
    next(pieces)
    with pytest.raises(BlockingIOError, match='1 previews are being made'):
        next(previews.make(sources[1], 0))
    pieces.close()
    assert not list(previews.folder.iterdir())
    assert list(previews.make(sources[1], 0))
