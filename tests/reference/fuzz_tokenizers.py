#!/usr/bin/env python3
"""Compare weft's tokenizers with the tokenizers package, or with LlamaTokenizer, on random texts.

    python fuzz_tokenizers.py --program dump_tokens [--count 60000] [--seed 1] TOKENIZER...

TOKENIZER is a directory with tokenizer.json, which the tokenizers package reads, or else with tokenizer.model, which
LlamaTokenizer of transformers 4 reads through the SentencePiece package and of which ids alone are compared. The texts are of all scripts, sequences of emoji,
combining marks, white space of every kind, very long words, numbers, code, parts of the vocabulary, added tokens whole
and cut, characters of any number, and bytes that are no UTF-8; of the last, the package gets U+FFFD for every byte that
belongs to no character. The same seed gives the same texts.

What becomes of as many lists of random ids when they are decoded, with and without special tokens, is compared with
the tokenizers package as well.

Prints how many texts were compared and the first differences, cut down to the shortest text that shows them. The exit
status is 1 where something differs. dump_tokens is built from dump_tokens.cpp beside this file (README.md).

Made with: tokenizers 0.23.3; transformers 4.57.6 and sentencepiece 0.2.3 for tokenizer.model
"""

import argparse
import json
import random
import re
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np

# What most of the world writes with, the rest of the planes in larger steps.
BLOCKS = [(0x20, 0x7F), (0xA0, 0x250), (0x250, 0x370), (0x370, 0x400), (0x400, 0x530), (0x530, 0x590), (0x590, 0x600),
          (0x600, 0x700), (0x700, 0x860), (0x900, 0x980), (0x980, 0xA00), (0xA00, 0xB00), (0xB00, 0xC00),
          (0xC00, 0xD00), (0xD00, 0xE00), (0xE00, 0xE80), (0xE80, 0xF00), (0xF00, 0x1000), (0x1000, 0x10A0),
          (0x10A0, 0x1100), (0x1100, 0x1200), (0x1200, 0x13A0), (0x13A0, 0x1400), (0x1400, 0x1680), (0x1680, 0x1700),
          (0x1700, 0x1780), (0x1780, 0x1800), (0x1800, 0x18B0), (0x18B0, 0x1D00), (0x1D00, 0x1E00), (0x1E00, 0x2000),
          (0x2000, 0x2070), (0x2070, 0x2100), (0x2100, 0x2200), (0x2200, 0x2C00), (0x2C00, 0x2E00), (0x2E00, 0x3040),
          (0x3040, 0x3100), (0x3100, 0x3400), (0x3400, 0x4E00), (0x4E00, 0xA000), (0xA000, 0xA500), (0xA500, 0xAC00),
          (0xAC00, 0xD7B0), (0xD7B0, 0xD800), (0xE000, 0xF900), (0xF900, 0xFB00), (0xFB00, 0xFE00), (0xFE00, 0xFF00),
          (0xFF00, 0x10000), (0x10000, 0x10400), (0x10400, 0x11000), (0x11000, 0x12000), (0x12000, 0x16000),
          (0x16000, 0x1D000), (0x1D000, 0x1F000), (0x1F000, 0x1FC00), (0x20000, 0x2FA20), (0xE0000, 0xE01F0)]
SPACES = [chr(c) for c in (*range(0x09, 0x0E), *range(0x1C, 0x21), 0x85, 0xA0, 0x1680, 0x180E, *range(0x2000, 0x2010),
                           0x2028, 0x2029, 0x202F, 0x205F, 0x2060, 0x2581, 0x3000, 0xFEFF)]
WORDS = ("the fox ran It's DON'T we'll I'Ve '\u017f '\u212A they'Re naïve CAFÉ Straße ẞ İstanbul ΌΔΟΣ ǅ Привет мир "
         "여우는 아침마다 日本語 漢字 カタカナ我今天 مرحبا שלום สวัสดี नमस्ते Việt ﬁne ½ ² Ⅷ ٣٤٥ 0xFF a+b=c http://a.b/c?d=e me@b.c "
         "C++ ... !!! ---- \"q\" “q” '' `` <b> &nbsp; _x_ __init__ x1y2 12345678 3.14 1,000 -5 # $ % \u2581 ##a Ġ </w>").split(" ")
EMOJI = ["😀", "👍", "👍🏽", "👨‍👩‍👧‍👦", "🏳️‍🌈", "🇰🇷", "🇩", "1️⃣", "❤️", "☺", "🏴\U000E0067\U000E0062\U000E0065\U000E007F",
         "\u200D", "\uFE0F", "\uFE0E", "🏽", "\u20E3", "🦙", "🫠", "✅"]
MARKS = [chr(c) for c in (*range(0x300, 0x370), 0x483, 0x591, 0x5BF, 0x64B, 0x651, 0x670, 0x93C, 0x94D, 0x9BE, 0xDCA,
                          0xDCF, 0xE38, 0xF71, 0xF72, 0x1037, 0x302A, 0x3099, 0x309A, 0xFE20, 0x1D165, 0x11630)]
LETTERS = "aAeEiIoOuUqxKÅé가ㄱ\u1100\u1161\u11A8\u1112\u1175\u11C2かハאשعदཀ"


class Texts:
    """Random texts, as bytes."""

    def __init__(self, seed, vocabulary, added):
        self.random = random.Random(seed)
        self.pieces = [piece for piece in vocabulary if piece]
        self.added = added or ["<s>", "</s>", "<unk>"]
        kinds = [self.script, self.words, self.spaces, self.emoji, self.marks, self.pieces_joined, self.around_added,
                 self.any, self.mixed, self.not_utf8]
        self.kinds = kinds * 9 + [self.long_word, self.long_text]

    def next(self):
        text = self.random.choice(self.kinds)()
        return text if isinstance(text, bytes) else text.encode()

    def some(self, low, high):
        return range(self.random.randint(low, high))

    def character(self):
        while True:
            c = self.random.choice((self.random.randrange(0x3000), self.random.randrange(0x20000),
                                    self.random.randrange(0x110000)))
            if not 0xD800 <= c < 0xE000:
                return chr(c)

    def script(self):
        low, high = self.random.choice(BLOCKS)
        letters = (chr(self.random.randrange(low, high)) for _ in self.some(1, 25))
        return "".join(c + (" " if self.random.random() < 0.15 else "") for c in letters)

    def words(self):
        return "".join(self.random.choice(WORDS) + self.random.choice(("", " ", " ", " ", "  ", "\n", "-"))
                       for _ in self.some(1, 12))

    def spaces(self):
        return "".join(self.random.choice(SPACES) if self.random.random() < 0.7 else self.random.choice(WORDS)
                       for _ in self.some(1, 16))

    def emoji(self):
        return "".join(self.random.choice(EMOJI) if self.random.random() < 0.8 else self.random.choice("a 1.")
                       for _ in self.some(1, 12))

    def marks(self):
        return "".join(self.random.choice(MARKS if self.random.random() < 0.6 else LETTERS) for _ in self.some(1, 16))

    def pieces_joined(self):
        return "".join(self.random.choice(self.pieces) + self.random.choice(("", "", " ")) for _ in self.some(1, 10))

    def around_added(self):
        parts = []
        for _ in self.some(1, 6):
            token = self.random.choice(self.added)
            if self.random.random() < 0.2:
                token = token[:self.random.randint(0, len(token))]
            parts += [self.random.choice(("", " ", "  ", "\u3000", "\n", "a", "é", "_", self.random.choice(WORDS))), token]
        return "".join(parts) + self.random.choice(("", " ", "b"))

    def any(self):
        return "".join(self.character() for _ in self.some(0, 12))

    def mixed(self):
        kinds = [self.script, self.words, self.spaces, self.emoji, self.marks, self.pieces_joined, self.any]
        return "".join(self.random.choice(kinds)()[:8] for _ in self.some(1, 8))

    def not_utf8(self):
        text = bytearray(self.mixed().encode())
        for _ in self.some(1, 4):
            at = self.random.randint(0, len(text))
            text[at:at + self.random.randint(0, 2)] = self.random.choice(
                (b"", b"\xff", b"\xc3", b"\xe2\x96", b"\xed\xa0\x80", b"\xf0\x9f\x98", b"\xc0\x80", b"\x80",
                 bytes([self.random.randrange(256)])))
        return bytes(text)

    def long_word(self):
        alphabet = self.random.choice(("ab", "the", "xX1", "가나", "é\u0301", "0123456789", "a\u0300", "!?.", "😀", " ",
                                       "\u3000 ", "".join(LETTERS)))
        return "".join(self.random.choice(alphabet) for _ in self.some(95, 2000))

    def long_text(self):
        return " ".join(self.mixed() for _ in self.some(5, 40))


def repaired(text):
    """Every byte that belongs to no character becomes U+FFFD."""
    return re.sub("[\udc80-\udcff]", "\ufffd", text.decode("utf-8", "surrogateescape"))


class Weft:
    def __init__(self, program, directory):
        self.command = [program, str(directory)]

    def __call__(self, texts):
        message = b"".join(struct.pack("<I", len(text)) + text for text in texts)
        done = subprocess.run(self.command, input=message, stdout=subprocess.PIPE, check=True)
        numbers = np.frombuffer(done.stdout, dtype="<i4")
        at = 0
        for _ in texts:
            count = int(numbers[at])
            yield None if count < 0 else numbers[at + 1:at + 1 + 3 * count].reshape(count, 3).tolist()
            at += 1 + 3 * max(count, 0)


    def decode(self, lists):
        message = b"".join(struct.pack(f"<{2 + len(ids)}I", skip, len(ids), *ids) for skip, ids in lists)
        done = subprocess.run([*self.command, "decode"], input=message, stdout=subprocess.PIPE, check=True)
        at = 0
        for _ in lists:
            size = struct.unpack_from("<I", done.stdout, at)[0]
            yield done.stdout[at + 4:at + 4 + size].decode()
            at += 4 + size


class TokenizersPackage:
    def __init__(self, directory):
        import tokenizers
        self.tokenizer = tokenizers.Tokenizer.from_file(str(directory / "tokenizer.json"))
        content = json.loads((directory / "tokenizer.json").read_text())
        byte_level = "Ġ" in self.tokenizer.get_vocab()
        self.added = [token["content"] for token in content["added_tokens"]]
        self.suffix = content["model"].get("end_of_word_suffix")
        self.vocabulary = [spelled_out(token) if byte_level else token for token in sorted(self.tokenizer.get_vocab())]

    def one(self, text):
        try:
            encoding = self.tokenizer.encode(repaired(text))
        except Exception:  # the package's errors have no type of their own
            return None
        return [[id, *offsets] for id, offsets in zip(encoding.ids, encoding.offsets)]

    def __call__(self, texts):
        for begin in range(0, len(texts), 2000):
            try:
                batch = self.tokenizer.encode_batch([repaired(text) for text in texts[begin:begin + 2000]])
            except Exception:
                yield from map(self.one, texts[begin:begin + 2000])
                continue
            for encoding in batch:
                yield [[id, *offsets] for id, offsets in zip(encoding.ids, encoding.offsets)]


    def decode(self, lists):
        for skip, ids in lists:
            yield self.tokenizer.decode(ids, skip_special_tokens=bool(skip)) if ids else ""


def spelled_out(token):
    """The text of a token of a byte-level vocabulary."""
    alphabet = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in alphabet]
    byte_of = {chr(byte): byte for byte in alphabet} | {chr(256 + i): byte for i, byte in enumerate(others)}
    return bytes(byte_of.get(c, 0x20) for c in token).decode(errors="ignore")


class LlamaTokenizerPackage:
    def __init__(self, directory):
        import transformers
        self.tokenizer = transformers.LlamaTokenizer.from_pretrained(str(directory))
        self.vocabulary = self.tokenizer.convert_ids_to_tokens(range(3, self.tokenizer.vocab_size))
        self.added = [str(token) for token in self.tokenizer.added_tokens_decoder.values()]

    def __call__(self, texts):
        for text in texts:
            yield [[id, 0, 0] for id in self.tokenizer.encode(repaired(text))]


def minimised(text, differs):
    """The shortest text found by leaving out parts that still differs."""
    size = max(len(text) // 2, 1)
    while True:
        shorter = [text[:at] + text[at + size:] for at in range(0, len(text), size)]
        found = next((short for short, different in zip(shorter, differs(shorter)) if different), None)
        if found is not None:
            text = found
            size = min(size, max(len(text) // 2, 1))
        elif size == 1:
            return text
        else:
            size = size // 2


def compare_decoding(directory, weft, package, args):
    """Lists of ids of which a quarter are bytes or the like, the first of the vocabulary."""
    choose = random.Random(args.seed)
    ids = sorted(package.tokenizer.get_vocab().values())
    lists = [(choose.randrange(2), [choose.choice(ids if choose.random() < 0.75 else ids[:300])
                                    for _ in range(choose.randrange(12))]) for _ in range(args.count)]
    pairs = list(zip(lists, weft.decode(lists), package.decode(lists)))
    different = [(ids, ours, theirs) for ids, ours, theirs in pairs if ours != theirs]
    print(f"{directory.name}: {len(lists)} lists of ids, {len(different)} differ", flush=True)
    for (skip, ids), ours, theirs in sorted(different, key=lambda found: len(found[0][1]))[:args.show]:
        print(f"  {skip} {ids} {list(map(package.tokenizer.id_to_token, ids))}\n    weft    {ours!r}\n    package {theirs!r}",
              flush=True)
    return not different


def compare(directory, args):
    weft = Weft(args.program, directory)
    is_json = (directory / "tokenizer.json").exists()
    package = TokenizersPackage(directory) if is_json else LlamaTokenizerPackage(directory)

    def differs(texts):
        return [ours != theirs for ours, theirs in zip(weft(texts), package(texts))]

    generator = Texts(args.seed, package.vocabulary, package.added)
    texts = [generator.next() for _ in range(args.count)]
    different = [text for text, differ in zip(texts, differs(texts)) if differ]
    print(f"{directory.name}: {len(texts)} texts, {sum(map(len, texts))} bytes, {len(different)} differ", flush=True)
    seen = set()
    for text in different[:args.show * 4]:
        short = minimised(text, differs)
        if short in seen or len(seen) >= args.show:
            continue
        seen.add(short)
        names = " ".join(f"U+{ord(c):04X}" for c in repaired(short))
        print(f"  {short!r} {names}\n    weft    {next(weft([short]))}\n"
              f"    package {next(package([short]))}", flush=True)
    # What CLIP's decoder leaves of the suffix of words, CLIPTokenizer takes away.
    decodes = is_json and (not package.suffix or "ByteLevel" not in str(package.tokenizer.decoder))
    return not different and (not decodes or compare_decoding(directory, weft, package, args))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tokenizers", metavar="TOKENIZER", nargs="+", type=Path)
    parser.add_argument("--program", required=True, help="dump_tokens")
    parser.add_argument("--count", type=int, default=60000, help="texts for each tokenizer")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=5, help="differences that are shown for each tokenizer")
    args = parser.parse_args()
    same = [compare(directory, args) for directory in args.tokenizers]
    sys.exit(0 if all(same) else 1)


if __name__ == "__main__":
    main()
