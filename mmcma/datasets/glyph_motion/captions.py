"""The captions of GlyphMotion: what a person might say of a scene, in several wordings.

Siblings get the same wordings and differ in their verbs alone, so the k-th
captions of a mirrored pair are each other's mirror.
"""
from random import Random

from mmcma.datasets.glyph_motion.events import Actor
from mmcma.datasets.glyph_motion.scenes import Scene

CAPTIONS_PER_CLIP = 5

_SYNONYM_SHARE = 0.3

#: Other words for a colour or a glyph; no two share one.
SYNONYMS = {
    'red': ('crimson', 'scarlet'), 'orange': ('tangerine',), 'yellow': ('golden', 'lemon'),
    'green': ('emerald',), 'blue': ('azure', 'cobalt'), 'purple': ('violet',), 'pink': ('rose',),
    'black': ('ebony', 'jet black'),
    'house': ('home',), 'cloud': ('rain cloud',), 'umbrella': ('brolly', 'parasol'),
    'star': ('five pointed star',),
    'telephone': ('phone',), 'cup of tea': ('teacup', 'hot drink'), 'pointing hand': ('pointing finger',),
    'skull': ('death head',), 'radioactive sign': ('radiation sign',),
    'biohazard sign': ('biohazard symbol',),
    'peace symbol': ('peace sign',), 'frowning face': ('sad face',), 'smiling face': ('happy face', 'smiley'),
    'crescent moon': ('moon',), 'chess king': ('king',), 'chess queen': ('queen',), 'chess rook': ('castle',),
    'chess bishop': ('bishop',), 'chess knight': ('chess horse',), 'chess pawn': ('pawn',),
    'heart': ('love heart',), 'eighth note': ('quaver', 'single note'),
    'recycling symbol': ('recycling sign',),
    'wheelchair': ('wheelchair sign',), 'die': ('game cube',), 'flag': ('banner',), 'alembic': ('retort',),
    'gear': ('cog', 'cogwheel'), 'atom symbol': ('atom',), 'fleur de lis': ('lily emblem',),
    'warning sign': ('caution sign',), 'lightning': ('lightning bolt', 'thunderbolt'),
    'tape drive': ('tape reel',),
    'airplane': ('plane', 'aircraft', 'jet'), 'envelope': ('letter',), 'victory hand': ('v sign',),
    'pencil': ('crayon',), 'check mark': ('tick',), 'ballot x': ('x mark',), 'snowflake': ('snow crystal',),
    'arrow': ('arrow sign',), 'mouse face': ('mouse',), 'cow face': ('cow',), 'cat face': ('cat', 'kitten'),
    'monkey face': ('monkey', 'ape'), 'urn': ('vase',), 'spade': ('spade suit',), 'club': ('club suit',),
}
#: Names in the plural, with the words that let them follow 'a red ...'.
_PLURALS = {
    'crossed swords': 'pair of crossed swords', 'scales': 'pair of scales', 'scissors': 'pair of scissors',
    'beamed notes': 'pair of beamed notes', 'hot springs': 'hot springs sign',
}

#: Event -> wordings after 'a red umbrella'. The wordings of two mirrored events are parallel.
VERBS = {
    'stays still': ('stays still', 'does not move', 'rests in place', 'stands motionless', 'does nothing'),
    'spins': ('spins', 'spins around', 'keeps turning', 'whirls round and round', 'rotates on the spot'),
    'blinks': ('blinks', 'comes and goes', 'flickers on and off', 'keeps coming and going', 'keeps blinking'),
    'pulses': ('pulses', 'throbs', 'keeps swelling and shrinking', 'keeps changing size',
               'beats like a pulse'),
    'bounces': ('bounces', 'jumps up and down', 'bounces up and down', 'keeps hopping', 'hops up and down'),
    'sways': ('sways', 'swings from side to side', 'goes back and forth', 'slides from side to side',
              'keeps swaying'),
    'circles': ('circles', 'moves in circles', 'goes round in a ring', 'runs in circles',
                'travels around a circle'),
    'moves left': ('moves left', 'moves to the left', 'slides from right to left', 'travels leftwards',
                   'ends up on the left'),
    'moves right': ('moves right', 'moves to the right', 'slides from left to right', 'travels rightwards',
                    'ends up on the right'),
    'moves up': ('moves up', 'rises', 'slides from bottom to top', 'climbs upwards', 'ends up at the top'),
    'moves down': ('moves down', 'sinks', 'slides from top to bottom', 'drops downwards',
                   'ends up at the bottom'),
    'grows': ('grows', 'gets bigger', 'becomes large', 'goes from small to large', 'ends up big'),
    'shrinks': ('shrinks', 'gets smaller', 'becomes small', 'goes from large to small', 'ends up tiny'),
    'appears': ('appears', 'fades in', 'comes into view', 'slowly becomes visible', 'turns up'),
    'vanishes': ('vanishes', 'fades away', 'goes out of view', 'slowly becomes invisible', 'disappears'),
}

# {a} and {b}: the actors; {v} and {w}: what they do.
_SOLO = ('{a} {v}', 'a clip of {a} that {v}', 'in this video {a} {v}', 'you can see how {a} {v}',
         'here {a} {v}', 'there is {a} that {v}', 'watch {a} that {v}')
_DIFFERENT = ('{a} {v} while {b} {w}', '{a} {v} and {b} {w}', 'as {b} {w} {a} {v}',
              'next to {b} that {w} {a} {v}', 'in this video {a} {v} but {b} {w}',
              'there is {a} that {v} and {b} that {w}')
_ALIKE = ('{a} {v} and so does {b}', '{a} {v} and {b} does the same', '{a} {v} just like {b}',
          '{a} {v} and {b} {v}', 'in this video {a} {v} and {b} {v} too',
          'there is {a} that {v} with {b} that {v}')
_FLASHES = ('flashes {c} and {d}', 'changes colour between {c} and {d}', 'blinks in {c} and {d}',
            'alternates between {c} and {d}', 'keeps switching between {c} and {d}')
_TOGETHER = {
    'touches': ('{a} and {b} touch', '{a} and {b} meet in the middle again and again', '{a} bumps into {b}',
                '{a} and {b} keep touching each other', '{a} and {b} bounce off each other', '{a} hits {b}'),
    'approaches': ('{a} and {b} come together', '{a} and {b} approach each other', '{a} gets closer to {b}',
                   'the gap between {a} and {b} closes', '{a} and {b} end up close together',
                   'in this video {a} comes near {b}'),
    'parts': ('{a} and {b} come apart', '{a} and {b} leave each other', '{a} gets farther from {b}',
              'the gap between {a} and {b} opens', '{a} and {b} end up far apart',
              'in this video {a} moves away from {b}'),
    'comes first': ('first {a} and then {b}', '{a} shows up before {b}', 'after {a} comes {b}',
                    '{b} follows {a}', 'you see {a} first and {b} second', '{a} is followed by {b}'),
}
_LOOKS = dict(
    solo=('{a}', 'a video of {a}', 'there is {a}', 'this clip shows {a}', 'you can see {a} here',
          '{a} on a patterned background'),
    row=('{a} and {b}', '{a} together with {b}', '{a} to the left of {b}', '{b} to the right of {a}',
         'a video with both {a} and {b}', 'this clip shows {a} beside {b}'),
    column=('{a} and {b}', '{a} together with {b}', '{a} above {b}', '{b} below {a}',
            'a video with both {a} and {b}', 'this clip shows {a} over {b}'))


def write_captions(scene: Scene) -> list[str]:
    """:data:`CAPTIONS_PER_CLIP` different captions, lower case, the first in the plainest words."""
    # Siblings share group and backdrop, hence every draw below.
    rng = Random(f'{scene.kind} {scene.group} {scene.backdrop}')
    frames = _sentence_frames(scene)
    chosen = [0] + rng.sample(range(1, len(frames)), CAPTIONS_PER_CLIP - 1)
    wordings = [0] + rng.sample(range(1, 5), 4)
    captions = []
    for frame, wording in zip(chosen, wordings):
        # Each has a stream of its own: what one draws must not depend on the sentence before it.
        rng = Random(f'{scene.group} {scene.backdrop} {wording}')
        captions.append(_say(scene, frames[frame], wording, rng))
    return captions


def _sentence_frames(scene: Scene) -> tuple[str, ...]:
    events = {actor.event for actor in scene.actors}
    if scene.kind == 'appearance':
        return _LOOKS[scene.layout]
    if scene.layout == 'solo':
        return _SOLO
    for event, frames in _TOGETHER.items():
        if event in events:
            return frames
    return _ALIKE if len(events) == 1 else _DIFFERENT


def _say(scene: Scene, frame: str, wording: int, rng: Random) -> str:
    # Names are drawn in the actors' order, before any change of places.
    swap = rng.random() < 0.5
    share = 0.0 if wording == 0 else _SYNONYM_SHARE
    words = [(_name(actor, share, rng), _verb(actor, wording, rng)) for actor in scene.actors]
    events = [actor.event for actor in scene.actors]
    if 'comes first' in events:
        swap = events[0] == 'comes second'
    elif scene.kind == 'appearance':
        swap = False  # the relation in the sentence tells the places apart
    if swap:
        words.reverse()
    (a, v), (b, w) = words[0], words[-1]
    return frame.format(a=a, b=b, v=v, w=w)


def _verb(actor: Actor, wording: int, rng: Random) -> str:
    colours = [actor.colour, actor.other_colour]
    rng.shuffle(colours)
    if actor.event == 'flashes':
        return _FLASHES[wording].format(c=colours[0], d=colours[1])
    return VERBS.get(actor.event, [''] * 5)[wording]


def _name(actor: Actor, share: float, rng: Random) -> str:
    """'a crimson brolly'; one that flashes is named without its colour."""
    colour, glyph = (rng.choice(SYNONYMS.get(word, (word,))) if rng.random() < share else word
                     for word in (actor.colour, actor.glyph))
    words = _PLURALS.get(glyph, glyph)
    if actor.event != 'flashes':
        words = f'{colour} {words}'
    return with_article(words)


def with_article(words: str) -> str:
    """'a red star', 'an orange star'."""
    return f'{"an" if words[0] in "aeiou" else "a"} {words}'
