"""Where the decoding of a stream can begin: what its packets hold, seen before they are decoded."""
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple


class EntryPoint(NamedTuple):
    """A picture such that no picture shown after it refers to one decoded before it.

    Attributes:
        parameters: What the packet tells the decoder about the stream, ``b''`` for nothing.
        closed: Whether all pictures decoded after it, if shown before it, can be decoded from it too.
    """
    parameters: bytes
    closed: bool


#: Values of nal_unit_type (ITU-T H.264, table 7-1): slices of a picture, and sequence and picture parameter sets.
H264_SLICES, H264_IDR, H264_PARAMETERS = range(1, 6), 5, (7, 8, 13, 15)
#: The same of H.265, table 7-1: random access pictures (BLA, IDR, CRA), and video, sequence, picture parameter sets.
HEVC_SLICES, HEVC_ACCESS, HEVC_IDR, HEVC_PARAMETERS = range(32), range(16, 22), (19, 20), (32, 33, 34)
#: Values of obu_type (AV1 specification, section 6.2.2).
AV1_SEQUENCE, AV1_FRAME_HEADER, AV1_FRAME = 1, 3, 6


def entry_point(codec: str, packet: bytes, extradata: bytes | None) -> EntryPoint | None:
    """That of a packet; None where its picture is none, and for codecs that are not known here.

    Args:
        codec: FFmpeg's name of it.
        packet: All of one picture, or at least its first slice and what precedes it.
        extradata: Of the stream; says how units are told apart.
    """
    read = CODECS.get(codec)
    return read(packet, extradata) if read and packet else None


def is_disposable(codec: str, packet: bytes, extradata: bytes | None) -> bool:
    """Whether it is known that no other picture refers to a packet's, so that it can be left out."""
    if codec == 'h264':  # nal_ref_idc of all slices, ITU-T H.264 section 7.4.1
        slices = [unit[0] for unit in _units(packet, extradata, length_at=4) if unit[0] & 31 in H264_SLICES]
        return bool(slices) and not any(head & 0x60 for head in slices)
    if codec == 'hevc' and _has_one_layer(extradata):  # even types below 16, ITU-T H.265 table 7-1
        slices = [unit[0] >> 1 & 63 for unit in _units(packet, extradata, length_at=21)
                  if unit[0] >> 1 & 63 in HEVC_SLICES]
        return bool(slices) and all(kind < 16 and not kind % 2 for kind in slices)
    return False


def _has_one_layer(extradata: bytes | None) -> bool:
    """Whether no picture of a HEVC stream may be one that only higher temporal layers refer to."""
    if not extradata or len(extradata) <= 21:
        return False
    if extradata[0] == 1:  # numTemporalLayers, ISO 14496-15 section 8.3.3
        return extradata[21] >> 3 & 7 == 1
    sets = [unit for unit in _units(extradata, None, 0) if unit[0] >> 1 & 63 == HEVC_PARAMETERS[1]]
    return bool(sets) and all(len(unit) > 2 and not unit[2] & 14 for unit in sets)  # sps_max_sub_layers_minus1


def _h264(packet: bytes, extradata: bytes | None) -> EntryPoint | None:
    """Nothing refers across an IDR picture; pictures behind a key frame that is none may."""
    found = b''
    for unit in _units(packet, extradata, length_at=4):
        kind = unit[0] & 31
        if kind in H264_SLICES:
            return EntryPoint(found, closed=True) if kind == H264_IDR else None
        if kind in H264_PARAMETERS:
            found += unit
    return None


def _hevc(packet: bytes, extradata: bytes | None) -> EntryPoint | None:
    """The entry point at an IRAP picture; after a CRA or BLA picture what is shown before it may refer back."""
    found = b''
    for unit in _units(packet, extradata, length_at=21):
        kind = unit[0] >> 1 & 63
        if kind in HEVC_SLICES:
            return EntryPoint(found, closed=kind in HEVC_IDR) if kind in HEVC_ACCESS else None
        if kind in HEVC_PARAMETERS:
            found += unit
    return None


def _units(packet: bytes, extradata: bytes | None, length_at: int) -> Iterator[bytes]:
    """NAL units; in MP4 and Matroska byte ``length_at`` of the extradata holds the size of their lengths."""
    if not extradata or extradata[0] != 1 or len(extradata) <= length_at:  # start codes, H.264 annex B
        for unit in re.split(b'\0\0\1', packet)[1:]:
            yield from filter(None, [unit.rstrip(b'\0')])
        return
    size = (extradata[length_at] & 3) + 1  # lengths, ISO 14496-15 sections 5.3.3 and 8.3.3
    place = 0
    while place + size < len(packet):
        end = place + size + int.from_bytes(packet[place:place + size], 'big')
        if end == place + size:
            return
        yield packet[place + size:end]
        place = end


def _vp9(packet: bytes, extradata: bytes | None) -> EntryPoint | None:
    """A key frame that is shown fills all places for references (VP9 specification, section 6.2)."""
    shift = 0 if packet[0] & 0x30 == 0x30 else 1  # profile 3 has one more bit
    marker, existing, inter, shown = packet[0] >> 6, *(packet[0] >> shift + bit & 1 for bit in (2, 1, 0))
    return EntryPoint(b'', closed=True) if marker == 2 and not existing and not inter and shown else None


def _av1(packet: bytes, extradata: bytes | None) -> EntryPoint | None:
    """As in VP9: a key frame that is shown at once (AV1 specification, section 5.9.2)."""
    found = b''
    for kind, content in _av1_units(packet):
        if kind == AV1_SEQUENCE:
            found += content
            if content[:1] and content[0] & 8:  # reduced headers of a still picture
                return None
        elif kind in (AV1_FRAME_HEADER, AV1_FRAME):  # not of an existing frame, of type key, shown
            return EntryPoint(found, closed=True) if content[:1] and content[0] >> 4 == 1 else None
    return None


def _av1_units(packet: bytes) -> Iterator[tuple[int, bytes]]:
    place = 0
    while place < len(packet):
        header = packet[place]
        place += 2 if header & 4 else 1
        size, end = len(packet) - place, len(packet)
        if header & 2:  # its size stands in groups of 7 bits, the least first
            size = shift = 0
            for byte in packet[place:place + 8]:
                place, size, shift = place + 1, size | (byte & 127) << shift, shift + 7
                if byte < 128:
                    break
            end = place + size
        yield header >> 3 & 15, packet[place:end]
        place = end


def _mpeg4(packet: bytes, extradata: bytes | None) -> EntryPoint | None:
    """An I-VOP: B-VOPs behind it refer back if they are shown before it (ISO 14496-2, section 6.3.5).

    What stands before it counts as parameters, with the encoder's name, by which FFmpeg decodes differently; only the
    time of a group does not.
    """
    before, *pictures = packet.split(b'\0\0\1\xb6')
    if len(pictures) != 1 or not pictures[0] or pictures[0][0] >> 6:  # packed with another, or no I-VOP
        return None
    return EntryPoint(re.sub(b'\0\0\1\xb3.{3}', b'', before, flags=re.DOTALL), closed=False)


#: By FFmpeg's name of the codec.
CODECS: dict[str, Callable[[bytes, bytes | None], EntryPoint | None]] = dict(
    h264=_h264, hevc=_hevc, vp9=_vp9, av1=_av1, mpeg4=_mpeg4)
