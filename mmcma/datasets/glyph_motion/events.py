"""What the actors of a GlyphMotion clip can do, and how each deed looks over time.

Lengths are fractions of the frame's side, x to the right and y downwards.
Speeds are chosen for clips seen through 8 evenly spaced frames: a blink
alternates from one to the next, and nothing else repeats in step with them.
"""
from collections.abc import Callable
from dataclasses import dataclass
from math import copysign, cos, pi, sin
from typing import NamedTuple

#: Event -> the event that the same frames show in reverse order.
REVERSE = {
    'moves left': 'moves right', 'moves up': 'moves down', 'grows': 'shrinks', 'appears': 'vanishes',
    'comes first': 'comes second', 'approaches': 'parts',
}
REVERSE |= {backward: forward for forward, backward in REVERSE.items()} | {'stays still': 'stays still'}

#: Glyphs that look much the same after part of a turn; they never spin.
ROUND_GLYPHS = frozenset({
    'sun', 'radioactive sign', 'wheel of dharma', 'die', 'gear', 'snowflake', 'florette', 'maltese cross',
    'star of david', 'recycling symbol', 'biohazard sign', 'diamond', 'benzene ring', 'atom symbol', 'star',
    'ballot x', 'club', 'tape drive', 'smiling face', 'frowning face',
})


@dataclass(frozen=True)
class Actor:
    """One glyph of a clip and what it does.

    Attributes:
        glyph: Key of ``GLYPHS``.
        colour: Key of ``COLOURS``.
        event: Key of :data:`PATHS` or of :data:`REVERSE`.
        home: Resting place ``(x, y)`` of its centre.
        cell: ``(x0, y0, x1, y1)``, the part of the frame that it keeps to.
        size: Its longer side.
        phase: 0 to 1; where in their cycle repeated movements start.
        other_colour: The second colour of one that flashes.
    """
    glyph: str
    colour: str
    event: str
    home: tuple[float, float]
    cell: tuple[float, float, float, float]
    size: float
    phase: float
    other_colour: str | None = None

    @property
    def middle(self) -> tuple[float, float]:
        """Centre of its cell."""
        x0, y0, x1, y1 = self.cell
        return (x0 + x1) / 2, (y0 + y1) / 2

    @property
    def room(self) -> tuple[float, float]:
        """How far it can go from the middle of its cell, along x and along y."""
        x0, y0, x1, y1 = self.cell
        return (x1 - x0 - self.size) / 2, (y1 - y0 - self.size) / 2


class Look(NamedTuple):
    """How an actor looks in one frame; ``angle`` in degrees, ``cover`` 0 (gone) to 1."""
    x: float
    y: float
    size: float
    colour: str
    angle: int = 0
    cover: float = 1.0


def _at_home(actor: Actor, **changes) -> Look:
    x, y = actor.home
    return Look(x, y, actor.size, actor.colour)._replace(**changes)


def _off_middle(actor: Actor, right: float, down: float) -> Look:
    """``right`` and ``down`` from -1 to 1, in units of the room there is."""
    (x, y), (wide, high) = actor.middle, actor.room
    return _at_home(actor, x=x + right * wide, y=y + down * high)


def _drifts(actor: Actor, t: float) -> Look:
    x, y = actor.home
    turn = 2 * pi * actor.phase
    return _at_home(actor, x=x + 0.06 * sin(turn + 2.6 * t), y=y + 0.06 * cos(2 * turn + 1.9 * t))


def _spins(actor: Actor, t: float) -> Look:
    return _at_home(actor, angle=round(330 * t) * (1 if actor.phase < 0.5 else -1))


def _on_beat(actor: Actor, t: float) -> bool:
    return (3.5 * t + actor.phase) % 1 < 0.5


def _blinks(actor: Actor, t: float) -> Look:
    return _at_home(actor, cover=float(_on_beat(actor, t)))


def _flashes(actor: Actor, t: float) -> Look:
    return _at_home(actor, colour=actor.colour if _on_beat(actor, t) else actor.other_colour)


def _bounces(actor: Actor, t: float) -> Look:
    height = abs(sin(pi * (2.6 * t + actor.phase)))
    return _off_middle(actor, 0, 0.9 - 1.8 * height)


def _sways(actor: Actor, t: float) -> Look:
    return _off_middle(actor, 0.9 * sin(2 * pi * (2.6 * t + actor.phase)), 0)


def _circles(actor: Actor, t: float) -> Look:
    turn = 2 * pi * (1.6 * t + actor.phase)
    return _off_middle(actor, 0.8 * cos(turn), 0.8 * sin(turn))


def _pulses(actor: Actor, t: float) -> Look:
    return _at_home(actor, size=actor.size * (0.9 + 0.4 * sin(2 * pi * (2.4 * t + actor.phase))))


def _beside_partner(actor: Actor, gap: float) -> Look:
    """On the line through both cells; ``gap`` 0 touches the partner, 1 is as far away as can be."""
    near, far = 0.38 * actor.size, 0.5 - actor.size / 2
    distance = near + gap * (far - near)
    if actor.room[0] < actor.room[1]:  # the cells lie side by side
        return _at_home(actor, x=0.5 + copysign(distance, actor.middle[0] - 0.5), y=0.5)
    return _at_home(actor, x=0.5, y=0.5 + copysign(distance, actor.middle[1] - 0.5))


def _touches(actor: Actor, t: float) -> Look:
    return _beside_partner(actor, max(0.0, 1.5 * abs(cos(2 * pi * t)) - 0.5))


def _fades(cover: float) -> float:
    return min(1.0, max(0.0, cover))


#: Event -> ``(actor, t) -> Look``, with t from 0 in the first frame to 1 in the last one.
#: Of two events that mirror each other only one is here.
PATHS: dict[str, Callable[[Actor, float], Look]] = {
    'drifts': _drifts,  # the movement of clips that are about appearance: never named
    'stays still': lambda actor, t: _at_home(actor),
    'spins': _spins,
    'blinks': _blinks,
    'flashes': _flashes,
    'bounces': _bounces,
    'sways': _sways,
    'circles': _circles,
    'pulses': _pulses,
    'touches': _touches,
    'moves left': lambda actor, t: _off_middle(actor, 1 - 2 * t, 0),
    'moves up': lambda actor, t: _off_middle(actor, 0, 1 - 2 * t),
    'grows': lambda actor, t: _at_home(actor, size=actor.size * (0.35 + 0.95 * t)),
    'appears': lambda actor, t: _at_home(actor, cover=_fades((t - 0.1) / 0.7)),
    'comes first': lambda actor, t: _at_home(actor, cover=_fades((0.5 - t) / 0.04)),
    'approaches': lambda actor, t: _beside_partner(actor, 1 - t),
}


def look_at(actor: Actor, frame: int, num_frames: int) -> Look:
    """How ``actor`` looks in a frame; mirrored events run their twin's path from the end."""
    path = PATHS.get(actor.event)
    if path is None:
        path, frame = PATHS[REVERSE[actor.event]], num_frames - 1 - frame
    return path(actor, frame / (num_frames - 1))
