"""Streams of every codec whose frames build on each other, so that a wrong reference shows."""
import av
import numpy as np

COUNT = 60
X264 = 'scenecut=0:keyint=12:min-keyint=1:bframes=3:b-pyramid=normal:threads=1'
X265 = 'scenecut=0:keyint=12:min-keyint=12:bframes=3:pools=1:frame-threads=1:log-level=none'
#: Name: file, codec, its options, and whether parts of the file can be skipped.
STREAMS = {
    'closed': ('a.mp4', 'libx264', {'x264-params': X264}, True),
    'closed, matroska': ('a.mkv', 'libx264', {'x264-params': X264}, True),
    'closed, transport stream': ('a.ts', 'libx264', {'x264-params': X264}, True),
    'closed, AVI': ('a.avi', 'libx264', {'x264-params': X264}, True),
    'no B-frames, AVI': ('a.avi', 'libx264', {'x264-params': X264 + ':bframes=0'}, True),
    'bare': ('a.h264', 'libx264', {'x264-params': X264}, False),
    'all key frames': ('a.mp4', 'libx264', {'x264-params': X264 + ':keyint=1'}, True),
    'fields': ('a.mp4', 'libx264', {'x264-params': X264 + ':tff=1'}, True),
    'fields, AVI': ('a.avi', 'libx264', {'x264-params': X264 + ':tff=1'}, True),
    'open': ('a.mp4', 'libx264', {'x264-params': X264 + ':open-gop=1'}, False),
    'open, matroska': ('a.mkv', 'libx264', {'x264-params': X264 + ':open-gop=1'}, False),
    'open, transport stream': ('a.ts', 'libx264', {'x264-params': X264 + ':open-gop=1'}, False),
    'open, AVI': ('a.avi', 'libx264', {'x264-params': X264 + ':open-gop=1'}, False),
    'gradual refresh': ('a.mp4', 'libx264', {'x264-params': X264 + ':intra-refresh=1:bframes=0'}, False),
    'HEVC, open': ('a.mp4', 'libx265', {'x265-params': X265 + ':open-gop=1'}, True),
    'HEVC, open, matroska': ('a.mkv', 'libx265', {'x265-params': X265 + ':open-gop=1'}, True),
    'HEVC, open, transport stream': ('a.ts', 'libx265', {'x265-params': X265 + ':open-gop=1'}, True),
    'HEVC, closed': ('a.mkv', 'libx265', {'x265-params': X265 + ':open-gop=0'}, True),
    'HEVC, closed, leading pictures': ('a.mp4', 'libx265', {'x265-params': X265 + ':open-gop=0:radl=2'}, True),
    'HEVC, gradual refresh': ('a.mp4', 'libx265', {'x265-params': X265 + ':intra-refresh=1:bframes=0'}, False),
    'HEVC, all key frames': ('a.mp4', 'libx265', {'x265-params': X265 + ':keyint=1'}, True),
    'MPEG-2, open': ('a.mp4', 'mpeg2video', {}, False),
    'MPEG-2, transport stream': ('a.ts', 'mpeg2video', {}, False),
    'MPEG-4': ('a.mp4', 'mpeg4', {}, True),
    'MPEG-4, matroska': ('a.mkv', 'mpeg4', {}, True),
    'MPEG-4, quarter samples': ('a.mov', 'mpeg4', {'flags': '+qpel+mv4', 'trellis': '1'}, True),
    'MPEG-4, AVI': ('a.avi', 'mpeg4', {}, False),
    'VP9': ('a.webm', 'libvpx-vp9', {'auto-alt-ref': '1', 'lag-in-frames': '8', 'cpu-used': '8'}, True),
    'VP9, MP4': ('a.mp4', 'libvpx-vp9', {'auto-alt-ref': '6', 'lag-in-frames': '20', 'cpu-used': '8'}, True),
    'VP9, error resilient': ('a.mkv', 'libvpx-vp9', {'error-resilient': '1', 'cpu-used': '8'}, True),
    'AV1': ('a.mp4', 'libsvtav1', {'preset': '10', 'svtav1-params': 'keyint=12:lp=1'}, True),
    'AV1, open': ('a.webm', 'libsvtav1', {'preset': '8', 'svtav1-params': 'keyint=12:lp=1:irefresh-type=1'}, True),
    'VP8': ('a.webm', 'libvpx', {'auto-alt-ref': '1', 'lag-in-frames': '8', 'cpu-used': '8'}, False),
}


def write_stream(path, codec, options, closed=()):
    """An image of noise that moves, so that frames refer to each other and a wrong reference shows."""
    noise = np.random.default_rng(0).integers(0, 256, (96, 400, 3), dtype=np.uint8)
    with av.open(str(path), 'w') as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 128, 96, 'yuv420p'
        stream.gop_size, stream.bit_rate = 12, 600_000
        if codec != 'libsvtav1':  # refuses to hear of them
            stream.codec_context.max_b_frames = 0 if 'vpx' in codec else 2
        stream.codec_context.thread_count = 1
        stream.options = options
        for number in range(COUNT):
            image = noise[:, 4 * number:4 * number + 128] // 2 + 2 * number
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format='rgb24')
            if number in closed:
                frame.pict_type = av.video.frame.PictureType.I
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def decode_all(path):
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        return np.stack([frame.to_ndarray(format='rgb24') for frame in container.decode(video=0)])


def remux(source, target, *, change=lambda number, data: data, shift=0):
    """Packets ``number`` with their bytes changed, left out where those are None; shown ``shift`` frames later."""
    with av.open(str(source)) as old, av.open(str(target), 'w') as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        tick = int(1 / (10 * old.streams.video[0].time_base))
        for number, packet in enumerate(packet for packet in old.demux(video=0) if packet.size):
            data = change(number, bytes(packet))
            if data is not None:
                copy = av.Packet(data)
                copy.pts, copy.dts = packet.pts + shift * tick, packet.dts + shift * tick
                copy.time_base, copy.is_keyframe, copy.stream = packet.time_base, packet.is_keyframe, stream
                new.mux(copy)
    return target
