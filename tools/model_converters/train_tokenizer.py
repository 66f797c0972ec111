"""Trains the byte-level BPE tokenizer of the small CLIP.

    python tools/model_converters/train_tokenizer.py mmcma/pretrained/clip-tiny-glyphs

Its words come from the captions of GlyphPictures and a list of everyday
English words; anything else falls to smaller pieces, down to bytes. The pieces
are the same in every run, their ids are not where pieces are equally frequent:
weights belong to the tokenizer that they were trained with.
"""
import argparse
import json
from pathlib import Path

from mmcma.cli.arguments import check_at_least, check_can_be_folder, run_tool

EVERYDAY = """
a an the this that these those it its he she they we you his her their there here is are was be been being has have
having do does doing can will and or but not no with without of in on at to from into onto over under by for near
next beside behind between through across around along up down out off away back again then while as after before
until first last second once twice one two three four five six many several some all both each other another same
man woman boy girl child children kid baby people person someone group crowd player dog cat horse bird cow mouse
monkey animal car bus bike bicycle truck train boat plane ball food water grass tree flower snow sand street road
field beach park house building room kitchen table chair wall window door stage game song music guitar piano shirt
dress hat jacket hand hands face head hair picture photo video clip scene screen thing shape symbol colour color
light dark bright white gray brown crimson scarlet small little big large tiny huge long short old young new
goes going go moves moving move runs running run walks walking walk jumps jumping jump plays playing play sits
sitting sit stands standing stand looks looking look holds holding hold rides riding ride turns turning turn spins
spinning spin rotates rotating blinks blinking flashes flashing changes changing change stays staying stay still
grows growing grow shrinks shrinking shrink appears appearing appear vanishes vanishing vanish fades fading shows
showing show comes coming come leaves leaving drifts slides sliding slide bounces bouncing bounce touches touching
touch meets meeting meet falls falling rises rising climbs climbing talks talking eats eating cuts cutting cooks
cooking dances dancing sings singing swims swimming throws catches kicks makes making puts takes taking gets smiles
left right top bottom middle centre side front upwards downwards towards backwards forwards larger smaller bigger
""".split()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('out', type=Path, help='folder for the tokenizer files')
    parser.add_argument('--vocab-size', type=int, default=1536)
    args = parser.parse_args()
    check_can_be_folder(args.out, 'OUT')
    check_at_least(args, vocab_size=2 * 256 + 2)  # every byte in both forms, start and end

    from mmcma.datasets.glyph_motion.glyph_pictures import GlyphPictures
    images = GlyphPictures(length=20000)
    corpus = [images.draw(index)[1] for index in range(len(images))] + EVERYDAY * 20
    tokenizer = train(corpus, args.vocab_size)
    tokenizer.save_pretrained(args.out)
    print(f'{len(tokenizer)} tokens in {args.out}')


def train(corpus: list[str], vocab_size: int):
    """A CLIP tokenizer with its vocabulary in OpenAI's order: bytes, bytes that end a word, merges, specials.

    Both forms of every byte are there, so that no text meets the unknown
    token, which is CLIP's end token and would cut the caption short.
    """
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import CLIPTokenizer

    learned = CLIPTokenizer().train_new_from_iterator(corpus, vocab_size=vocab_size)
    merges = [tuple(pair) for pair in json.loads(learned.backend_tokenizer.to_str())['model']['merges']]
    alphabet = sorted(ByteLevel.alphabet())
    tokens = [*alphabet, *(byte + '</w>' for byte in alphabet), *(left + right for left, right in merges),
              '<|startoftext|>', '<|endoftext|>']
    vocabulary = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
    return CLIPTokenizer(vocab=vocabulary, merges=merges)


if __name__ == '__main__':
    run_tool(main)
