#!/usr/bin/env python3
"""Makes the golden data in tests/fixtures/tokenizers: small SentencePiece models and the ids of a few hundred texts.

Needs: pip install "transformers==4.57.*" "tokenizers<0.23" "sentencepiece==0.2.*" protobuf
Run:   python tests/reference/make_tokenizer_fixtures.py

texts.json holds the texts. Every other entry is a directory as a model on Hugging Face has it (tokenizer.model and the
JSON files beside it) plus expected.json, one list entry per text:
  library   ids of the SentencePiece binding alone: no special tokens, nothing around it
  ids       ids of LlamaTokenizer (the slow one), special tokens added and parsed
  plain     the same with special tokens neither added nor parsed (not for "unprefixed")
  text      the ids without special tokens, decoded by the SentencePiece binding (not for "unprefixed")
  shown     the ids decoded with special tokens, by LlamaTokenizerFast (only where it strips the same leading space)
"""

import json
import logging
import pathlib
import random
import shutil

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
import transformers
from transformers import LlamaTokenizer, LlamaTokenizerFast

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE.parent / "fixtures" / "tokenizers"

ENGLISH = """Once upon a time there was a little fox who lived at the edge of a deep green forest.
Every morning she ran down to the river, drank the cold water, and asked the heron what the day would bring.
"Rain," said the heron, "and after the rain, a stranger with a red umbrella."
The fox laughed, because no stranger had come that way for years; but she swept the path all the same.
It's 12:45 already, isn't it? We've walked 3.5 miles (about 5.6 km) and spent $20.17 on bread & cheese.
Please write to the keeper at keeper@lighthouse.example, or read https://lighthouse.example/faq?page=2#top.
An assistant answers questions. The user asks: What is the capital of France? The answer is Paris.
""".splitlines()

KOREAN = """옛날 옛적에 깊은 숲속에 작은 여우 한 마리가 살고 있었습니다.
여우는 아침마다 강가로 내려가 차가운 물을 마시고 왜가리에게 오늘의 날씨를 물었습니다.
"비가 올 거야," 하고 왜가리가 말했습니다. "그리고 빨간 우산을 쓴 손님이 올 거야."
가나다라마바사 아자차카타파하 ㄱㄴㄷ ㅏㅑㅓㅕ 한국어 토크나이저 시험.
""".splitlines()

CODE = """def main(argv: list[str]) -> int:
    for i, name in enumerate(argv[1:]):
\t\tprint(f"{i:>3} {name!r}", end="\\n")
    return 0  # done
template <class T> auto sum(std::span<const T> x) { T s{}; for (auto v : x) s += v; return s; }
if (a != b && c <= d || !e) { x ^= 0xFF; y <<= 2; }
{"key": [1, 2.5e-3, null, true], "nested": {"empty": {}}}
SELECT name, COUNT(*) FROM foxes WHERE age >= 3 GROUP BY name;
<html><body class="main">&nbsp;Hello</body></html>
""".splitlines()

OTHER = [
    "日本語のテキスト、漢字とカタカナ。", "Привет, мир! Ёжик в тумане.", "مرحبا بالعالم", "שלום עולם", "สวัสดีชาวโลก",
    "naïve café – “quotes” … ½ ² ℃ ﬁ Å", "e\u0301 vs \u00e9", "ＦＵＬＬ ｗｉｄｔｈ １２３", "∀x∈ℝ: x² ≥ 0",
    "😀", "😀😃😄 smile", "👍🏽 thumbs", "👨‍👩‍👧‍👦 family", "🏳️‍🌈 flag", "🇰🇷🇩🇪", "a😀b 😀 c", "\U0001F9D1\u200D\U0001F4BB codes",
    "\U00020000\U0002F800", "\uFFFD", "\uFEFFbom", "\uE000 private", "zero\u200Bwidth", "soft\u00ADhyphen",
]

SPACES = [
    "", " ", "  ", "   ", "\t", "\n", "\r\n", "\n\n\n", " \n ", "a", " a", "  a", "a ", "a  ", " a ", "a b", "a  b",
    "a   b", "a\tb", "a\nb", "a\r\nb", "\na", "a\n", "\ta", "    indented", "trailing   ", "a\u00A0b", "\u3000wide\u3000",
    "\u2581", "\u2581a", "a\u2581b", " \u2581 a", "\u2581\u2581a", "a\u2581", ".", " .", "...", "1 2 3", "123456", "<", "<0x41>",
    "<unk>", "a<unk>b", "<0x", "\u2028line\u2029", "\x85next",
]

CONTROL = [
    "\x00", "a\x00b", "\x00\x00", "\x01\x02\x03", "bell\x07", "esc\x1b[31mred", "\x7f", "\x80\x9f", "tab\tand\x0bvt\x0cff",
    "null at end\x00", "\x00 leading", "a\x1c b\x1d", "<s>\x00</s>",
]

SPECIAL = ["<s>", "</s>", "<unk>", "<pad>", "[PAD]", "[INST]", "[/INST]", "<|left|>", "<|right|>", "<|both|>", "<|word|>",
           "<|user|>", "<|user|>>", "fox", "<mask>", "▁▁"]
CONTEXTS = ["{}", " {}", "{} ", "{}a", "a{}", "a{}b", "a {} b", "a  {}  b", "{}{}", "{} {}", "\n{}\n", " {} {} ",
            "\u00A0{}\u3000x", "Hello {}."]


def texts():
    lines = ENGLISH + KOREAN + CODE + OTHER + SPACES + CONTROL
    lines += [context.format(*[token] * 2) for token in SPECIAL for context in CONTEXTS]
    lines += ["\n".join(ENGLISH), "\n".join(KOREAN + CODE), "a" * 500, " " * 100, "가" * 60, "😀" * 40, "ab " * 120,
              "[INST] <<SYS>>\nYou are kind.\n<</SYS>>\n\nHello! [/INST] Hi there. </s><s>[INST] Bye [/INST]",
              "USER: Who are you? ASSISTANT: I am a fox.</s>USER: Good.", "<|user|>fox<|both|>  fox  <|both|>fox",
              "foxfox fox foxes", "<s", "s>", "</s", "<<s>>", "<s></s><unk>", "[INST][INST", "<|left|><|right|>",
              "a <|word|>b", "a <|word|> b", "<|word|>", "a<|word|> b"]
    pieces = OTHER + CONTROL + SPECIAL + ["fox ", " the", "river", " ", "  ", "\n", "여우", "12", "x=", "▁", "\t", "."]
    rng = random.Random(7)
    lines += ["".join(rng.choice(pieces) for _ in range(rng.randint(2, 9))) for _ in range(120)]
    return list(dict.fromkeys(lines))


def train(directory, vocab_size, **options):
    sentences = [line for line in (ENGLISH + KOREAN + CODE) for _ in range(3)]
    directory.mkdir(parents=True)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences), model_prefix=str(directory / "tokenizer"), vocab_size=vocab_size,
        hard_vocab_limit=False, num_threads=1, minloglevel=2, **options)
    (directory / "tokenizer.vocab").unlink()
    forget_paths(directory / "tokenizer.model")


def forget_paths(file):
    """Removes the paths of the machine it was trained on, which SentencePiece writes into a model."""
    model = sentencepiece_model_pb2.ModelProto.FromString(file.read_bytes())
    model.trainer_spec.ClearField("model_prefix")
    model.normalizer_spec.ClearField("normalization_rule_tsv")
    file.write_bytes(model.SerializeToString())


LLAMA = dict(model_type="bpe", normalization_rule_name="identity", remove_extra_whitespaces=False, split_digits=True,
             byte_fallback=True, allow_whitespace_only_pieces=True, character_coverage=0.99)


def save(directory, name, value):
    (directory / name).write_text(json.dumps(value, indent=1) + "\n")


def described(content, special=True, **flags):
    token = dict(content=content, lstrip=False, normalized=False, rstrip=False, single_word=False, special=special)
    return token | flags


def legacy():
    """As the first Llama models and what was tuned from them: legacy rules, one token past the vocabulary."""
    directory = OUT / "legacy"
    train(directory, 620, **LLAMA)
    save(directory, "special_tokens_map.json", {
        "bos_token": described("<s>"), "eos_token": described("</s>"), "unk_token": described("<unk>"),
        "pad_token": "[PAD]"})
    save(directory, "added_tokens.json", {"[PAD]": sentencepiece.SentencePieceProcessor(
        model_file=str(directory / "tokenizer.model")).get_piece_size()})
    save(directory, "tokenizer_config.json", {"tokenizer_class": "LlamaTokenizer", "model_max_length": 10**30})


def modern():
    """legacy = false, EOS added, added tokens with every flag, roles as strings."""
    directory = OUT / "modern"
    directory.mkdir(parents=True)
    shutil.copy(OUT / "legacy" / "tokenizer.model", directory)
    size = sentencepiece.SentencePieceProcessor(model_file=str(directory / "tokenizer.model")).get_piece_size()
    added = [described("<unk>"), described("<s>"), described("</s>")]
    extra = [described("<|left|>", lstrip=True), described("<|right|>", rstrip=True),
             described("<|both|>", lstrip=True, rstrip=True), described("<|word|>", single_word=True),
             described("[INST]"), described("[/INST]"), described("<|user|>"), described("<|user|>>")]
    save(directory, "tokenizer_config.json", {
        "tokenizer_class": "LlamaTokenizer", "legacy": False, "add_bos_token": True, "add_eos_token": True,
        "added_tokens_decoder": {str(i): t for i, t in list(enumerate(added)) + list(enumerate(extra, size))},
        "additional_special_tokens": [t["content"] for t in extra],
        "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": None, "sp_model_kwargs": {}})


def unigram():
    """A unigram model with normalisation rules, white space squeezed, no byte fallback, no BOS, tokens that get ids."""
    directory = OUT / "unigram"
    rules = OUT / "rules.tsv"
    OUT.mkdir(parents=True, exist_ok=True)
    rules.write_text("".join(f"{ord(a):X}\t{' '.join(f'{ord(c):X}' for c in b)}\n" for a, b in
                             [("ﬁ", "fi"), ("½", "1/2"), ("\t", " "), ("\n", " "), ("\r", " "), ("\u3000", " "),
                              ("\u00A0", " "), ("Ａ", "A"), ("ｗ", "w"), ("…", "..."), ("“", '"'), ("”", '"')]))
    train(directory, 500, model_type="unigram", normalization_rule_tsv=str(rules), pad_id=3,
          user_defined_symbols=["<|user|>", "<|user|>>", "▁fox"], control_symbols=["<|left|>"], character_coverage=0.98)
    rules.unlink()
    save(directory, "tokenizer_config.json", {
        "add_bos_token": False, "bos_token": {"__type": "AddedToken"} | described("<s>"), "pad_token": "<pad>",
        "mask_token": "<mask>", "additional_special_tokens": ["[INST]", "[/INST]"]})


def bare():
    """Nothing but the model: user-defined symbols, no dummy prefix in the model, every default."""
    directory = OUT / "bare"
    train(directory, 560, add_dummy_prefix=False, user_defined_symbols=["<|user|>", "▁▁", "▁▁▁▁", "[INST]"], **LLAMA)


def squeezed():
    """legacy = false where the model drops leading spaces."""
    directory = OUT / "squeezed"
    directory.mkdir(parents=True)
    shutil.copy(OUT / "unigram" / "tokenizer.model", directory)
    save(directory, "tokenizer_config.json", {"tokenizer_class": "LlamaTokenizerFast", "legacy": False})


def unprefixed():
    """legacy = false without the leading space, and added tokens that are ordinary vocabulary."""
    directory = OUT / "unprefixed"
    directory.mkdir(parents=True)
    shutil.copy(OUT / "bare" / "tokenizer.model", directory)
    size = sentencepiece.SentencePieceProcessor(model_file=str(directory / "tokenizer.model")).get_piece_size()
    extra = [described("fox", special=False), described("<|word|>", special=False, single_word=True),
             described("<|left|>", special=False, lstrip=True), described("<|right|>", special=False, rstrip=True)]
    save(directory, "tokenizer_config.json", {
        "tokenizer_class": "LlamaTokenizer", "legacy": False, "add_prefix_space": False,
        "added_tokens_decoder": {str(i): t for i, t in enumerate(extra, size)}})


def plain_ids(tokenizer, text):
    return tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)


def expect(directory, lines):
    library = sentencepiece.SentencePieceProcessor(model_file=str(directory / "tokenizer.model"))
    slow = LlamaTokenizer.from_pretrained(directory)
    fast = LlamaTokenizerFast.from_pretrained(directory, from_slow=True)
    ids = [slow.encode(text) for text in lines]
    expected = {
        "versions": {"transformers": transformers.__version__, "sentencepiece": sentencepiece.__version__},
        "bos": slow.bos_token_id, "eos": slow.eos_token_id, "unk": slow.unk_token_id, "pad": slow.pad_token_id,
        "vocab_size": len(slow),
        "library": [library.encode(text) for text in lines],
        "ids": ids,
    }
    # The slow tokenizer treats ordinary added tokens like special ones in these, the fast one and weft do not.
    if directory.name != "unprefixed":
        expected["plain"] = [plain_ids(slow, text) for text in lines]
        expected["text"] = [library.decode([i for i in each if i not in slow.all_special_ids]) for each in ids]
    if directory.name in ("legacy", "modern"):
        expected["shown"] = [fast.decode(each, skip_special_tokens=False) for each in ids]
        assert expected["text"] == [fast.decode(each, skip_special_tokens=True) for each in ids]
    body = ",\n".join(f"{json.dumps(key)}: " + (
        "[\n" + ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in value) + "\n]"
        if isinstance(value, list) else json.dumps(value)) for key, value in expected.items())
    (directory / "expected.json").write_text("{\n" + body + "\n}\n")
    return len(slow)


def main():
    logging.getLogger("transformers").setLevel(logging.ERROR)
    if OUT.exists():
        shutil.rmtree(OUT)
    lines = texts()
    for make in (legacy, modern, unigram, bare, squeezed, unprefixed):
        make()
    (OUT / "texts.json").write_text("[\n" + ",\n".join(json.dumps(line) for line in lines) + "\n]\n")
    for directory in sorted(path for path in OUT.iterdir() if path.is_dir()):
        print(f"{directory.name}: {len(lines)} texts, {expect(directory, lines)} tokens")


if __name__ == "__main__":
    main()
