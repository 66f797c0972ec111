"""Opening a video file as one of the containers that are meant, and choosing its track."""
import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream
from PIL import Image

from mmcma.utils.images import IMAGE_FORMATS

#: Names of FFmpeg's demuxers that read one file and no other. It probes files whatever they are called, and would
#: follow playlists (HLS, DASH, concat) to whatever they name.
CONTAINERS = ('mov', 'matroska', 'avi', 'asf', 'flv', 'mpegts', 'mpeg', 'mpegvideo', 'm4v', 'h264', 'hevc', 'obu',
              'ivf', 'ogg', 'gif', 'apng', 'mxf', 'nut', 'rm', 'dv', 'vc1', 'yuv4mpegpipe')
#: Of HEIF files that hold a picture, maybe as tiles that are streams of their own.
PICTURE_BRANDS = ('heic', 'heix', 'mif1', 'avif')
#: How text files begin that name other files.
PLAYLISTS = {b'#EXTM3U': 'an HLS playlist', b'ffconcat': 'a list of files', b'<?xml': 'an XML file (a DASH playlist?)'}


def open_container(path: str) -> InputContainer:
    """A file as one of ``CONTAINERS``; what it names is never opened.

    Raises:
        ValueError: When it is none of them; the message says what it is instead, where that is known.
    """
    try:
        container = av.open(f'file:{path}', options=dict(
            protocol_whitelist='file', format_whitelist=','.join(CONTAINERS)))
    except av.FFmpegError as error:
        raise ValueError(_other_kind(path) or f'no video container ({error.strerror})') from error
    if container.metadata.get('major_brand') in PICTURE_BRANDS:
        container.close()
        raise ValueError('it is an image (HEIF or AVIF), not a video')
    return container


def choose_track(container: InputContainer) -> VideoStream:
    """The video track marked as default, else the first; never a cover picture or thumbnail.

    Raises:
        ValueError: When there is none.
    """
    tracks = [stream for stream in container.streams.video
              if not stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails)]
    if not tracks:
        raise ValueError('no video stream' + (' but a cover picture' if container.streams.video else ''))
    return next((track for track in tracks if track.disposition & Disposition.default), tracks[0])


def _other_kind(path: str) -> str | None:
    """What a file is that is no video, for a message."""
    with open(path, 'rb') as file:
        head = file.read(16)
    for beginning, name in PLAYLISTS.items():
        if head.startswith(beginning):
            return f'it is {name}, not a video'
    try:
        with Image.open(path, formats=IMAGE_FORMATS) as image:
            kind = f"{'animated ' if getattr(image, 'is_animated', False) else ''}{image.format}"
            return f'it is an image ({kind}), not a video; save it as an image file, or convert it to MP4'
    except Exception:  # Pillow's plugins raise many kinds
        return None
