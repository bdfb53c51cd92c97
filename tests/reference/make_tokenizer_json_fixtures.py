#!/usr/bin/env python3
"""Makes the golden data in tests/fixtures/tokenizer_json: small tokenizers of every kind that tokenizer.json describes,
each with the pipeline that the families of its name publish, and what the tokenizers library makes of some texts.

Needs: pip install -r tests/reference/requirements-v5.txt
Run:   python tests/reference/make_tokenizer_json_fixtures.py

texts.json holds the texts. Every directory holds tokenizer.json, as the library writes it, and expected.json with one
list entry per text:
  ids, offsets, words   of the text, special tokens added and parsed; offsets count characters
  plain                 ids with special tokens neither added nor parsed
  text, shown           the ids decoded without and with special tokens
  random                random ids, and what they are decoded to without and with special tokens
  pair                  ids, types and offsets of the text and its successor, for every tenth text
"""

import collections
import json
import pathlib
import random
import shutil
import sys
import tempfile

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (AlbertTokenizer, BertTokenizer, CLIPTokenizer, GemmaTokenizer, GPT2Tokenizer,
                          GPTNeoXTokenizer, LlamaTokenizer, MBartTokenizer, MPNetTokenizer, NllbTokenizer,
                          Qwen2Tokenizer, RobertaTokenizer, T5Tokenizer, XLMRobertaTokenizer)

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE.parent / "fixtures" / "tokenizer_json"
sys.path.insert(0, str(HERE))
from make_tokenizer_fixtures import CODE, ENGLISH, KOREAN, OTHER  # noqa: E402

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
BLOOM = r" ?[^(\s|[.,!?…。，、।۔،])]+"
DEEPSEEK = ("[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
            "| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+")

TEXTS = [
    "", " ", "  ", "\n", "a", " a", "a ", "  a  b  ", "\t\ttabs\tand\n\n\nlines\r\n", "Hello, world!", "HELLO World's",
    "It's 12:45 already, isn't it? We've walked 3.5 miles and spent $20.17.", "1234567890 12,345.67 ¼ ² Ⅷ ٣٤٥",
    "def main(argv: list[str]) -> int:\n    return 0  # done", "if (a != b && c <= d || !e) { x ^= 0xFF; }",
    "여우는 아침마다 강가로 내려가 차가운 물을 마셨습니다.", "옛날 옛적에 ㄱㄴㄷ ㅏㅑ", "日本語のテキスト、漢字とカタカナ。", "我今天能为你做什么？",
    "مرحبا بالعالم، كيف حالك؟", "שלום עולם", "สวัสดีชาวโลก", "Привет, мир! Ёжик в тумане.", "नमस्ते दुनिया।",
    "😀😃 smile", "👍🏽 thumbs 👨‍👩‍👧‍👦 family 🏳️‍🌈", "🇰🇷🇩🇪", "e\u0301 \u00e9 A\u030a \u1e9b\u0323 q\u0323\u0307",
    "naïve café ﬁne ℃ Å ½ … “q”",
    "ＦＵＬＬ ｗｉｄｔｈ １２３", "İstanbul ẞtraße ΌΔΟΣ", "\u0000\u0001\u0002 control \u007f\u0080\u009f",
    "zero\u200Bwidth \u200D soft\u00ADhyphen \uFEFFbom",
    "a\u00A0b\u3000c\u2028d\u0085e\u180Ef", "\u2581under\u2581\u2581score \u2581", "<s>", "a</s>b", "<unk> x<unk>y",
    "[CLS] a [SEP]b[PAD]", "a <mask> b", "a  <mask>b", "[MASK]",
    "<|endoftext|>a <|endoftext|> b<|endoftext|>", "<|user|>", "< |user| > <|user", "<|word|> a<|word|>b c <|word|> d",
    "x <|left|> y", "x <|right|>  y", "x   <|both|>   y", "<|left|><|right|> <|both|>", "NORMAL Normal normal é Ƃ",
    "don't can't I'll you're DON'T WE'LL we'Ve", "x" * 60, "가" * 30, "😀" * 12, " " * 20 + "end",
    "ab " * 20, "......!!!???",
    "`` quotes '' and \"more\" -- dashes", "C++ C# F# a+b=c <tag attr=\"v\">&nbsp;</tag>",
    "http://a.example/b?c=d#e me@b.example", "\u212B\u2126 \u1100\u1161\u11A8",
    "mixedCASEWordsAndÜmlauteÄÖ", "tokenization retokenizing untokenizable", "\uFFFD \uE000 \U0010FFFF", "ﷺ ㌀ ㍿",
    "a\u0300\u0301\u0302\u0303 x\u0338",
    "The fox ran.\n\n  Then it slept.\n", "0 00 000 0000 00000 000000", " \n \n x", "\r\n\r\n a", "…。，、।۔،",
    "<0x41><0x0A>", "hello</w>world", "##ing ##", "Ġhello Ċ",
    "<R>  fox", "<R>   a <R>\t b", "a  <L> b   <L>", "<R>  <L>", "\t \t<R>\t\t", "<Named> <named> the<NAMED>", "\u3000漢\u3000 漢 \u3000",
]

TOKENS = [AddedToken("<|user|>", special=True, normalized=False),
          AddedToken("<|word|>", special=True, normalized=False, single_word=True),
          AddedToken("<|left|>", special=True, normalized=False, lstrip=True),
          AddedToken("<|right|>", special=True, normalized=False, rstrip=True),
          AddedToken("<|both|>", special=False, normalized=False, lstrip=True, rstrip=True),
          AddedToken("Normal", special=False, normalized=True)]


class Corpus:
    """The lines to train on and the models trained on them."""

    def __init__(self, lines, size):
        self.lines = lines
        self.size = size
        self.folder = pathlib.Path(tempfile.mkdtemp())

    def byte_level(self, specials=(), pattern=None):
        """Vocabulary and merges of byte-level BPE; special tokens come first."""
        tokenizer = Tokenizer(models.BPE())
        byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pattern is None)
        split = [pre_tokenizers.Split(Regex(pattern), "isolated")] if pattern else []
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(split + [byte_level])
        trainer = trainers.BpeTrainer(vocab_size=self.size, show_progress=False, special_tokens=list(specials),
                                      initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
        tokenizer.train_from_iterator(self.lines, trainer)
        model = json.loads(tokenizer.to_str())["model"]
        return model["vocab"], [tuple(merge) for merge in model["merges"]]

    def words(self, pre_tokenizer, normalizer=None):
        """How often each word occurs."""
        lines = (normalizer.normalize_str(line) if normalizer else line for line in self.lines)
        return collections.Counter(word for line in lines for word, _ in pre_tokenizer.pre_tokenize_str(line))

    def suffixed(self, pattern):
        """Byte-level BPE whose words end in </w>. The library's own trainer does not give the same twice."""
        split = pre_tokenizers.Split(Regex(pattern), "removed", invert=True)
        counts = self.words(pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(False, use_regex=False)]))
        words = {word: list(word[:-1]) + [word[-1] + "</w>"] for word in counts}
        merges = []
        while len(merges) < self.size - 512:
            pairs = collections.Counter()
            for word, count in counts.items():
                for pair in zip(words[word], words[word][1:]):
                    pairs[pair] += count
            best = min(pairs, key=lambda pair: (-pairs[pair], pair))
            merges.append(best)
            for symbols in words.values():
                at = 0
                while at + 1 < len(symbols):
                    if (symbols[at], symbols[at + 1]) == best:
                        symbols[at:at + 2] = ["".join(best)]
                    at += 1
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        tokens = alphabet + [character + "</w>" for character in alphabet] + ["".join(merge) for merge in merges]
        return {token: index for index, token in enumerate(tokens)}, merges

    def word_piece(self, specials, lowercase):
        """The pieces that spare most characters. The library's own trainer does not give the same twice."""
        words = self.words(pre_tokenizers.BertPreTokenizer(), normalizers.BertNormalizer(lowercase=lowercase))
        spared = collections.Counter()
        for word, count in words.items():
            for begin in range(len(word)):
                for end in range(begin + 1, min(begin + 9, len(word)) + 1):
                    spared[("##" if begin else "") + word[begin:end]] += count * (end - begin - 1)
        letters = sorted(piece for piece in spared if len(piece.removeprefix("##")) == 1 and ord(piece[-1]) < 0x250)
        longer = sorted(set(spared) - set(letters), key=lambda piece: (-spared[piece], piece))
        tokens = list(specials) + letters + longer
        return {token: index for index, token in enumerate(tokens[:self.size])}

    def sentence_piece(self, model_type, **options):
        """A trained SentencePiece model: pieces with scores, merges, and normalization rules."""
        rules = self.folder / "rules.tsv"
        pairs = [("ﬁ", "fi"), ("½", "1⁄2"), ("\t", " "), ("\n", " "), ("\r", " "), ("\u3000", " "), ("\u00A0", " "),
                 ("Ａ", "A"), ("ｗ", "w"), ("ｉ", "i"), ("…", "..."), ("“", '"'), ("e\u0301", "é"), ("\u0001", ""),
                 ("\u200B", " "), ("㌀", "アパート"), ("A\u030a", "Å"), ("\u1100\u1161\u11A8", "각")]
        rules.write_text("".join(f"{' '.join(f'{ord(c):X}' for c in a)}\t{' '.join(f'{ord(c):X}' for c in b)}\n"
                                 for a, b in pairs))
        named = {"normalization_rule_tsv": str(rules)} if "normalization_rule_name" not in options else {}
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(self.lines), model_prefix=str(self.folder / "model"), vocab_size=self.size,
            hard_vocab_limit=False, num_threads=1, minloglevel=2, model_type=model_type, **named, **options)
        model = sentencepiece_model_pb2.ModelProto.FromString((self.folder / "model.model").read_bytes())
        vocabulary = [(piece.piece, piece.score) for piece in model.pieces]
        known = {piece: index for index, (piece, _) in enumerate(vocabulary)}
        merges = [(piece[:cut], piece[cut:]) for piece, _ in vocabulary for cut in range(1, len(piece))
                  if piece[:cut] in known and piece[cut:] in known]
        return vocabulary, known, merges, model.normalizer_spec.precompiled_charsmap


def fast(tokenizer):
    """The pipeline inside a tokenizer of transformers."""
    return Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())


def add(tokenizer, tokens=TOKENS):
    tokenizer.add_tokens(list(tokens))
    return tokenizer


def gpt2(corpus):
    vocab, merges = corpus.byte_level(["<|endoftext|>"])
    tokenizer = add(fast(GPT2Tokenizer(vocab=vocab, merges=merges)))
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True, add_prefix_space=False)
    return tokenizer


def llama3(corpus):
    vocab, merges = corpus.byte_level(pattern=LLAMA3)
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges[:-40], ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(LLAMA3), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|begin_of_text|>", "<|endoftext|>"])
    add(tokenizer)
    begin = tokenizer.token_to_id("<|begin_of_text|>")
    tokenizer.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=True, add_prefix_space=False),
        processors.TemplateProcessing("<|begin_of_text|> $A", "<|begin_of_text|> $A <|begin_of_text|>:1 $B:1",
                                      [("<|begin_of_text|>", begin)])])
    return tokenizer


def qwen2(corpus):
    vocab, merges = corpus.byte_level()
    return add(fast(Qwen2Tokenizer(vocab=vocab, merges=merges)))


def o200k(corpus):
    vocab, merges = corpus.byte_level(pattern=O200K)
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(O200K), "removed", invert=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return add(tokenizer)


def neox(corpus):
    vocab, merges = corpus.byte_level(["<|endoftext|>", "<|padding|>"])
    tokenizer = add(fast(GPTNeoXTokenizer(vocab=vocab, merges=merges, trim_offsets=True)))
    return add(tokenizer, [AddedToken(" " * spaces, normalized=True) for spaces in (6, 4, 3, 2)])


def bloom(corpus):
    vocab, merges = corpus.byte_level(["<unk>", "<s>", "</s>", "<pad>"], pattern=BLOOM)
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(BLOOM), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel(add_prefix_space=True, trim_offsets=True, use_regex=False)
    tokenizer.post_processor = processors.ByteLevel(add_prefix_space=True, trim_offsets=False)
    return add(tokenizer)


def digit_groups(corpus):
    vocab, merges = corpus.byte_level(["<|endoftext|>"])
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Punctuation("contiguous"), pre_tokenizers.ByteLevel(add_prefix_space=False),
        pre_tokenizers.Digits(individual_digits=False), pre_tokenizers.Split(Regex("[0-9][0-9][0-9]"), "isolated")])
    tokenizer.decoder = decoders.ByteLevel()
    return add(tokenizer)


def deepseek(corpus):
    vocab, merges = corpus.byte_level(["<s>", "</s>"])
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(r"\p{N}{1,3}"), "isolated"),
        pre_tokenizers.Split(Regex("[一-龥぀-ゟ゠-ヿ]+"), "isolated"),
        pre_tokenizers.Split(Regex(DEEPSEEK), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.normalizer = normalizers.Sequence([])
    tokenizer.decoder = decoders.ByteLevel()
    return add(tokenizer)


def smollm(corpus):
    vocab, merges = corpus.byte_level(["<|endoftext|>"])
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=True)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True, add_prefix_space=True)
    return add(tokenizer)


def roberta(corpus):
    vocab, merges = corpus.byte_level(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    return add(fast(RobertaTokenizer(vocab=vocab, merges=merges)))


def bart_prefixed(corpus):
    vocab, merges = corpus.byte_level(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    return add(fast(RobertaTokenizer(vocab=vocab, merges=merges, add_prefix_space=True)))


def clip(corpus):
    vocab, merges = corpus.suffixed(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+")
    for token in ("<|startoftext|>", "<|endoftext|>"):
        vocab[token] = len(vocab)
    return fast(CLIPTokenizer(vocab=vocab, merges=merges))


def llama2(corpus):
    """As published with Llama 2: the normalizer puts the prefix."""
    _, vocab, merges, _ = corpus.sentence_piece("bpe", byte_fallback=True, normalization_rule_name="identity",
                                                character_coverage=0.99, split_digits=True)
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                           decoders.Strip(" ", 1, 0)])
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A", "<s> $A <s>:1 $B:1", [("<s>", 1)])
    return add(tokenizer)


def llama_metaspace(corpus):
    _, vocab, merges, _ = corpus.sentence_piece("bpe", byte_fallback=True, normalization_rule_name="identity",
                                                character_coverage=0.99)
    return add(fast(LlamaTokenizer(vocab=vocab, merges=merges)))


def gemma(corpus):
    _, vocab, merges, _ = corpus.sentence_piece("bpe", byte_fallback=True, normalization_rule_name="identity",
                                                character_coverage=0.99, pad_id=0, eos_id=1, bos_id=2, unk_id=3,
                                                allow_whitespace_only_pieces=True, remove_extra_whitespaces=False)
    return add(fast(GemmaTokenizer(vocab=vocab, merges=merges)))


def bert(corpus):
    vocab = corpus.word_piece(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], lowercase=True)
    return add(fast(BertTokenizer(vocab=vocab)))


def bert_cased(corpus):
    vocab = corpus.word_piece(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], lowercase=False)
    tokenizer = fast(BertTokenizer(vocab=vocab, do_lower_case=False))
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", vocab["[SEP]"]), ("[CLS]", vocab["[CLS]"]))
    return add(tokenizer)


def mpnet(corpus):
    vocab = corpus.word_piece(["<s>", "<pad>", "</s>", "[UNK]", "<mask>"], lowercase=True)
    return fast(MPNetTokenizer(vocab=vocab))


def t5(corpus):
    pieces, _, _, rules = corpus.sentence_piece("unigram", pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
    return add(fast(T5Tokenizer(vocab=pieces, _spm_precompiled_charsmap=rules, extra_ids=3)))


def xlm_roberta(corpus):
    pieces, _, _, rules = corpus.sentence_piece("unigram")
    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)] + pieces[3:] + [("<mask>", 0.0)]
    return add(fast(XLMRobertaTokenizer(vocab=pieces, _spm_precompiled_charsmap=rules)))


def albert(corpus):
    pieces, _, _, rules = corpus.sentence_piece("unigram", control_symbols=["[CLS]", "[SEP]", "[MASK]"], pad_id=0,
                                                unk_id=1, bos_id=-1, eos_id=-1)
    return fast(AlbertTokenizer(vocab=pieces, _spm_precompiled_charsmap=rules))


def byte_unigram(corpus):
    pieces, _, _, _ = corpus.sentence_piece("unigram", byte_fallback=True, character_coverage=0.98)
    tokenizer = Tokenizer(models.Unigram(pieces, 0, True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), normalizers.Strip(),
                                                 normalizers.Replace(Regex(" {2,}"), "▁")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=True)
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(prepend_scheme="first")])
    return add(tokenizer)


def mbart(corpus):
    pieces, _, _, _ = corpus.sentence_piece("unigram")
    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)] + pieces[3:]
    return fast(MBartTokenizer(vocab=pieces, src_lang="en_XX", tgt_lang="ko_KR"))


def nllb(corpus):
    _, vocab, merges, rules = corpus.sentence_piece("bpe")
    order = ["<s>", "<pad>", "</s>", "<unk>"] + [piece for piece in vocab if piece not in ("<s>", "</s>", "<unk>")]
    vocab = {piece: index for index, piece in enumerate(order)}
    return fast(NllbTokenizer(vocab=vocab, merges=merges, _spm_precompiled_charsmap=rules, src_lang="eng_Latn"))


def word_level(corpus):
    tokenizer = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKD(), normalizers.StripAccents(),
                                                 normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    words = sorted(corpus.words(tokenizer.pre_tokenizer, tokenizer.normalizer))
    tokenizer.model = models.WordLevel(
        {word: index for index, word in enumerate(["[UNK]", "[PAD]"] + words)}, unk_token="[UNK]")
    return add(tokenizer)


def characters(corpus):
    """Components that none of the others use."""
    vocab = {token: index for index, token in enumerate(
        ["[UNK]", "a", "b", "##a", "##b", "##c", "##ab", "ab", "c", "-", "##-", "the", "fox", "##x", "0", "##0", "1"])}
    merges = [("a", "##b"), ("##a", "##b"), ("b", "##a")]
    vocab["ba"] = len(vocab)
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges, unk_token="[UNK]", continuing_subword_prefix="##"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.Strip(right=False),
                                                 normalizers.Replace("!", "-")])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.CharDelimiterSplit(" "), pre_tokenizers.Split("-", "merged_with_previous"),
        pre_tokenizers.Split(Regex("[.,]"), "merged_with_next"), pre_tokenizers.Split("0", "contiguous")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace(Regex("^##"), ""), decoders.Strip("x", 1, 0),
                                           decoders.Fuse()])
    return tokenizer


def word_suffix(corpus):
    vocab, merges = corpus.suffixed(r"\S+")
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges, end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.ByteLevel()
    tokenizer.pre_tokenizer = pre_tokenizers.Split("Ġ", "removed")
    tokenizer.decoder = decoders.BPEDecoder("</w>")
    return tokenizer


def word_suffix_kept(corpus):
    """The suffix stays in decoded text: the decoder does not know of it."""
    tokenizer = word_suffix(corpus)
    tokenizer.decoder = decoders.Sequence([decoders.Replace("Ġ", " "), decoders.Fuse()])
    return tokenizer


def odd_tokens(corpus):
    """Added tokens of white space, special ones that are normalized, unknown text at whose ends offsets are trimmed."""
    pieces, _, _, _ = corpus.sentence_piece("unigram")
    tokenizer = Tokenizer(models.Unigram(pieces, 0, False))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True, add_prefix_space=False)
    tokenizer.add_special_tokens([AddedToken("<Named>", normalized=True), AddedToken("<s>", normalized=True)])
    return add(tokenizer, TOKENS + [AddedToken("  ", normalized=False), AddedToken("\t", normalized=False, rstrip=True),
                                    AddedToken("<R>", normalized=False, rstrip=True),
                                    AddedToken("<L>", normalized=False, lstrip=True)])


FAMILIES = [gpt2, llama3, qwen2, o200k, neox, bloom, digit_groups, deepseek, smollm, roberta, bart_prefixed, clip,
            llama2, llama_metaspace, gemma, bert, bert_cased, mpnet, t5, xlm_roberta, albert, byte_unigram, mbart,
            nllb, word_level, characters, word_suffix,
            word_suffix_kept, odd_tokens]


def decode(tokenizer, ids, skip_special_tokens=True):
    text = tokenizer.decode(ids, skip_special_tokens) if ids else ""
    if isinstance(tokenizer.decoder, decoders.ByteLevel) and tokenizer.model.end_of_word_suffix:
        text = text.replace(tokenizer.model.end_of_word_suffix, " ").strip()  # as CLIPTokenizer
    return text


def expect(tokenizer, texts):
    encodings = [tokenizer.encode(text) for text in texts]
    expected = {
        "version": tokenizers.__version__,
        "ids": [encoding.ids for encoding in encodings],
        "offsets": [sum(encoding.offsets, ()) for encoding in encodings],
        "words": [encoding.word_ids for encoding in encodings],
        "text": [decode(tokenizer, encoding.ids) for encoding in encodings],
        "shown": [decode(tokenizer, encoding.ids, skip_special_tokens=False) for encoding in encodings],
        "pair": [],
    }
    choose = random.Random(1)
    ids = sorted(tokenizer.get_vocab().values())
    suffixed = isinstance(tokenizer.decoder, decoders.ByteLevel) and tokenizer.model.end_of_word_suffix
    expected["random"] = []
    for _ in range(0 if suffixed else 25):  # CLIPTokenizer takes more from the ends than spaces
        some = [choose.choice(choose.choice((ids, ids[:300]))) for _ in range(12)]
        expected["random"].append({"ids": some, "text": decode(tokenizer, some), "shown": decode(tokenizer, some, False)})
    for i in range(0, len(texts) - 1, 10):
        pair = tokenizer.encode(texts[i], texts[i + 1])
        expected["pair"].append({"ids": pair.ids, "types": pair.type_ids, "offsets": sum(pair.offsets, ())})
    tokenizer.encode_special_tokens = True
    expected["plain"] = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
    tokenizer.encode_special_tokens = False
    return expected


def write(path, value):
    """One list entry a line."""
    path.write_text("{\n" + ",\n".join(f"{json.dumps(key)}: " + (
        "[\n" + ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in entries) + "\n]"
        if isinstance(entries, list) else json.dumps(entries)) for key, entries in value.items()) + "\n}\n")


def main():
    corpus = Corpus((ENGLISH + KOREAN + CODE + OTHER) * 3, 600)
    if OUT.exists():
        shutil.rmtree(OUT)
    OUT.mkdir(parents=True)
    (OUT / "texts.json").write_text("[\n" + ",\n".join(json.dumps(text) for text in TEXTS) + "\n]\n")
    for family in FAMILIES:
        tokenizer = family(corpus)
        directory = OUT / family.__name__.replace("_", "-")
        directory.mkdir()
        tokenizer.save(str(directory / "tokenizer.json"), pretty=False)
        write(directory / "expected.json", expect(tokenizer, TEXTS))
        print(f"{directory.name}: {tokenizer.get_vocab_size()} tokens")


if __name__ == "__main__":
    main()
