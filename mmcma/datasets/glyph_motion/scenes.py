"""The scenes of GlyphMotion: who is in a clip, what happens, and which split it belongs to.

What makes the data set a fair test is decided here:

* Each (glyph, colour) is dealt to one split for clips in which something
  happens, and independently to one split for clips about appearance, so no
  (glyph, colour, event) of a validation or test clip is ever seen in training.
* Every clip has a meaning of its own within its split. In validation and test
  an actor that appears alone appears nowhere else, so a caption of a lone
  actor does not fit a clip with two.
* Events come in groups of siblings that look the same and differ in what
  happens; orders come in pairs whose frames are each other's reversal.
"""
from dataclasses import dataclass, replace
from random import Random

from mmcma.datasets.glyph_motion.events import REVERSE, ROUND_GLYPHS, Actor
from mmcma.datasets.glyph_motion.glyphs import COLOURS, GLYPHS
from mmcma.utils.errors import ConfigError

KINDS = ('appearance', 'event', 'order')
SPLITS = ('train', 'val', 'test')
SIBLINGS = 4  # clips in a group of kind 'event'
SMALLEST_SPLIT = 8  # two clips about appearance, one group of siblings, one mirrored pair

_SOLO_SHARE = 0.25
_TRIES = 2000
#: Colours of each glyph that a split gets, of the eight there are.
_COLOURS_PER_GLYPH = dict(train=4, val=2, test=2)

#: What an actor can do where; 'row' and 'column' are two actors beside and above each other.
_EVENTS = dict(
    solo=('stays still', 'spins', 'blinks', 'flashes', 'pulses', 'bounces', 'sways', 'circles'),
    row=('spins', 'blinks', 'flashes', 'pulses', 'bounces'),
    column=('spins', 'blinks', 'flashes', 'pulses', 'sways'))
_ORDERS: dict[str, list[tuple[str, ...]]] = dict(
    solo=[('moves left',), ('moves up',), ('grows',), ('appears',)],
    row=[('moves up', 'stays still'), ('moves up', 'moves down')],
    column=[('moves left', 'stays still'), ('moves left', 'moves right')])
_ORDERS_OF_TWO: list[tuple[str, ...]] = [
    ('grows', 'stays still'), ('grows', 'shrinks'), ('appears', 'stays still'), ('appears', 'vanishes'),
    ('comes first', 'comes second'), ('approaches', 'approaches')]
_CELLS = dict(
    solo=[(0.0, 0.0, 1.0, 1.0)],
    row=[(0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0)],
    column=[(0.0, 0.0, 1.0, 0.5), (0.0, 0.5, 1.0, 1.0)])

Thing = tuple[str, str]  # (glyph, colour)


@dataclass(frozen=True)
class Scene:
    """All that a clip shows and says, before a pixel is drawn.

    Attributes:
        kind: One of :data:`KINDS`.
        group: Number within the split, shared by siblings.
        layout: ``'solo'``, ``'row'`` or ``'column'``.
        backdrop: Seed of the background and its distractors, shared by siblings.
        actors: One or two; in a row from left to right, in a column from the top.
    """
    kind: str
    group: int
    layout: str
    backdrop: int
    actors: tuple[Actor, ...]

    @property
    def meaning(self) -> frozenset:
        """What the captions say: unique within a split."""
        return frozenset(
            (a.glyph, frozenset({a.colour, a.other_colour} - {None}), a.event) for a in self.actors)

    @property
    def triples(self) -> set[tuple[str, str, str]]:
        """``(glyph, colour, event)`` of all actors."""
        return {(a.glyph, colour, a.event)
                for a in self.actors for colour in (a.colour, a.other_colour) if colour}

    def reverse(self) -> 'Scene':
        """The scene that the same frames show in reverse order."""
        return replace(self, actors=tuple(replace(a, event=REVERSE[a.event]) for a in self.actors))


def count_kinds(num_clips: int) -> dict[str, int]:
    """Clips of each kind: about a third each, in whole groups."""
    event = SIBLINGS * max(1, round(num_clips / 3 / SIBLINGS))
    order = 2 * max(1, round(num_clips / 3 / 2))
    return dict(appearance=num_clips - event - order, event=event, order=order)


def plan_scenes(split: str, num_clips: int, seed: int) -> list[Scene]:
    """The scenes of a split, siblings next to each other.

    Raises:
        ConfigError: ``num_clips`` is too small for all kinds or too large for
            meanings to stay unique.
    """
    if num_clips < SMALLEST_SPLIT:
        raise ConfigError(f'num_clips[{split!r}]={num_clips} of GlyphMotion is too small: a split needs at '
                          f'least {SMALLEST_SPLIT} clips to have all kinds')
    planner = _Planner(split, seed)
    counts = count_kinds(num_clips)
    groups = [(kind, number < round(_SOLO_SHARE * total)) for kind, total in (
        ('appearance', counts['appearance']), ('event', counts['event'] // SIBLINGS),
        ('order', counts['order'] // 2)) for number in range(total)]
    # Lone actors are cast first, while none is taken by a pair.
    planned = {number: planner.plan(*groups[number], group=number)
               for number in sorted(range(len(groups)), key=lambda number: not groups[number][1])}
    return [scene for number in range(len(groups)) for scene in planned[number]]


def deal_colours(purpose: str, split: str, seed: int) -> dict[str, list[str]]:
    """Glyph -> the colours that ``split`` may show it in for ``purpose`` ('looks' or 'deeds')."""
    start = sum(_COLOURS_PER_GLYPH[name] for name in SPLITS[:SPLITS.index(split)])
    rng = Random(f'glyphmotion {purpose} {seed}')
    dealt = {glyph: rng.sample(list(COLOURS), len(COLOURS)) for glyph in GLYPHS}
    return {glyph: colours[start:start + _COLOURS_PER_GLYPH[split]] for glyph, colours in dealt.items()}


class _Planner:
    """Casts scene after scene and keeps the books that make meanings unique."""

    def __init__(self, split: str, seed: int) -> None:
        self.split = split
        self.rng = Random(f'glyphmotion {split} {seed}')
        self.colours = {purpose: deal_colours(purpose, split, seed) for purpose in ('looks', 'deeds')}
        self.casts: set[frozenset[Thing]] = set()
        self.meanings: set[frozenset] = set()
        self.alone: set[Thing] = set()
        self.shown: set[Thing] = set()

    def plan(self, kind: str, solo: bool, group: int) -> list[Scene]:
        """The scenes of one group: one, a group of siblings, or a mirrored pair."""
        for _ in range(_TRIES):
            layout = 'solo' if solo else self.rng.choice(['row', 'column'])
            draft = Scene(kind, group, layout, self.rng.randrange(2 ** 31), self._cast(kind, layout))
            scenes = getattr(self, f'_{kind}')(draft)
            if self._admit(draft, scenes):
                return scenes
        raise ConfigError(f'num_clips[{self.split!r}] of GlyphMotion is too large: no further {kind} scene '
                          f'has a meaning of its own after {len(self.casts)} groups; lower it')

    def _admit(self, draft: Scene, scenes: list[Scene]) -> bool:
        cast = frozenset((a.glyph, a.colour) for a in draft.actors)
        meanings = {scene.meaning for scene in scenes}
        looks = {triple[:2] for scene in scenes for triple in scene.triples}
        if cast in self.casts or len(meanings) < len(scenes) or meanings & self.meanings:
            return False
        if self.split != 'train' and looks & (self.shown if draft.layout == 'solo' else self.alone):
            return False
        self.casts.add(cast)
        self.meanings |= meanings
        self.shown |= looks
        if draft.layout == 'solo':
            self.alone |= looks
        return True

    def _cast(self, kind: str, layout: str) -> tuple[Actor, ...]:
        colours = self.colours['looks' if kind == 'appearance' else 'deeds']
        cells = _CELLS[layout]
        size = self.rng.uniform(0.42, 0.52) if layout == 'solo' else self.rng.uniform(0.32, 0.4)
        actors = []
        for cell, glyph in zip(cells, self.rng.sample(list(GLYPHS), len(cells))):
            colour = self.rng.choice(colours[glyph])
            actor = Actor(glyph, colour, 'drifts', (0.5, 0.5), cell, size, self.rng.random())
            x, y = (middle + self.rng.uniform(-0.8, 0.8) * room for middle, room in zip(actor.middle, actor.room))
            actors.append(replace(actor, home=(x, y)))
        return tuple(actors)

    def _appearance(self, draft: Scene) -> list[Scene]:
        return [draft]

    def _event(self, draft: Scene) -> list[Scene]:
        """Siblings: the same cast, four different happenings."""
        events = _EVENTS[draft.layout]
        if draft.layout == 'solo':
            happenings: list[tuple[str, ...]] = [(event,) for event in events]
        else:
            happenings = [('touches', 'touches'), ('stays still', 'stays still')]
            happenings += [(event, 'stays still') for event in events]
            happenings += [('stays still', event) for event in events]
            happenings += [(event, event) for event in events if event != 'flashes']
        scenes = [self._stage(draft, happening) for happening in happenings
                  if not any(event == 'spins' and actor.glyph in ROUND_GLYPHS
                             for event, actor in zip(happening, draft.actors))]
        return self.rng.sample(scenes, SIBLINGS)

    def _order(self, draft: Scene) -> list[Scene]:
        """A scene and its reversal, in either order."""
        orders = _ORDERS[draft.layout] + ([] if draft.layout == 'solo' else _ORDERS_OF_TWO)
        events = self.rng.choice(orders)
        # Which actor does what, so that 'first' is not always the left one.
        events = tuple(self.rng.sample(events, len(events)))
        scene = self._stage(draft, events)
        return self.rng.sample([scene, scene.reverse()], 2)

    def _stage(self, draft: Scene, events: tuple[str, ...]) -> Scene:
        """``draft`` with each actor's event."""
        actors = []
        for event, actor in zip(events, draft.actors):
            others = [c for c in self.colours['deeds'][actor.glyph] if c != actor.colour]
            other = self.rng.choice(others) if event == 'flashes' else None
            actors.append(replace(actor, event=event, other_colour=other))
        return replace(draft, actors=tuple(actors))
