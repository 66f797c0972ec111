"""Where the decoding of H.264 can begin: what its packets hold, seen before they are decoded."""
import re
from collections.abc import Iterator

#: Values of nal_unit_type (ITU-T H.264, table 7-1): slices of a picture, and sequence and picture parameter sets.
SLICES, IDR_SLICE, PARAMETER_SETS = range(1, 6), 5, (7, 8, 13, 15)


def parameters_of_start(packet: bytes, extradata: bytes | None) -> bytes | None:
    """The parameter sets before an IDR picture, ``b''`` where it has none; None for every other picture.

    No picture after an IDR picture refers to one before it, in decoding order, nor is shown before it. A key frame that
    is none promises less: pictures behind it may be shown before it and refer to the time before it (an open group).

    Args:
        packet: All of one picture, or at least its first slice and what precedes it.
        extradata: The stream's; says how units are told apart.
    """
    found = b''
    for unit in _units(packet, extradata):
        kind = unit[0] & 31
        if kind in SLICES:
            return found if kind == IDR_SLICE else None
        if kind in PARAMETER_SETS:
            found += unit
    return None


def _units(packet: bytes, extradata: bytes | None) -> Iterator[bytes]:
    if not extradata or extradata[0] != 1 or len(extradata) < 5:  # start codes, H.264 annex B
        for unit in re.split(b'\0\0\1', packet)[1:]:
            yield from filter(None, [unit.rstrip(b'\0')])
        return
    size = (extradata[4] & 3) + 1  # lengths, ISO 14496-15 section 5.3.3
    place = 0
    while place + size < len(packet):
        end = place + size + int.from_bytes(packet[place:place + size], 'big')
        if end == place + size:
            return
        yield packet[place + size:end]
        place = end
