#!/usr/bin/env python3
"""Makes golden data in tests/fixtures/piece_vocabulary: the tokenizers of encoder-decoders in the files that they are
saved in, trained on a few lines, and what the slow tokenizers of transformers 4 make of some texts."""

import io
import json
import pathlib
import shutil

import sentencepiece
import transformers

OUT = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "piece_vocabulary"

LINES = [
    "The quick brown fox jumps over the lazy dog.",
    "A translation is a text in another language that says the same.",
    "Das Haus steht am Ende der Straße, neben dem großen Baum.",
    "Le petit chat boit du lait dans la cuisine.",
    "Люди говорят на разных языках.",
    "The house is at the end of the street, and the tree beside it is old.",
]
TEXTS = LINES + [
    "",
    "a",
    "the the the",
    "unseen: Zürich, 東京 and ☃☃!",
    "two  spaces and a tab\there",
    " leading and trailing ",
    "12345 + 67 = ?",
    "the end</s> of the street",
    "<unk> house <pad>",
]
MORE = {
    "t5": ["The <extra_id_0> jumps over <extra_id_1>.", "<extra_id_99>fox"],
    "marian": [">>deu<< The house", ">>xyz<<The house", "The >>deu<< house", ">> not a language"],
    "m2m-100": ["__de__ The house", "the__fr__cat"],
    "mbart": ["de_DE The house", "the <mask> cat"],
    "mbart-50": ["the cat fr_XX", "the <mask>cat"],
    "nllb": ["deu_Latn The house", "the <mask> cat"],
    "xlm-roberta": ["the <mask> cat"],
}


def train(path, **ids):
    model = io.BytesIO()  # a path would be recorded in the model
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(LINES * 20), model_writer=model, vocab_size=130, model_type="unigram",
        normalization_rule_name="identity", hard_vocab_limit=False, minloglevel=2, **ids
    )
    path.write_bytes(model.getvalue())
    processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
    return [processor.id_to_piece(i) for i in range(processor.get_piece_size())]


def write_vocabulary(path, tokens):
    path.write_text(json.dumps({token: i for i, token in enumerate(dict.fromkeys(tokens))}, ensure_ascii=False))


def t5(directory):
    train(directory / "spiece.model", pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
    return transformers.T5Tokenizer(str(directory / "spiece.model"), legacy=True)


def marian(directory):
    pieces = train(directory / "source.spm")
    shutil.copy(directory / "source.spm", directory / "target.spm")
    write_vocabulary(directory / "vocab.json", ["</s>", "<unk>"] + pieces[3:60] + [">>deu<<"] + pieces[60:] + ["<pad>"])
    return transformers.MarianTokenizer(
        str(directory / "source.spm"), str(directory / "target.spm"), str(directory / "vocab.json")
    )


def m2m_100(directory):
    pieces = train(directory / "sentencepiece.bpe.model")
    write_vocabulary(directory / "vocab.json", ["<s>", "<pad>", "</s>", "<unk>"] + sorted(pieces[3:]))
    # Its languages are special tokens in the published files.
    codes = transformers.models.m2m_100.tokenization_m2m_100.FAIRSEQ_LANGUAGE_CODES["m2m100"]
    return transformers.M2M100Tokenizer(
        str(directory / "vocab.json"),
        str(directory / "sentencepiece.bpe.model"),
        src_lang="fr",
        additional_special_tokens=[f"__{code}__" for code in codes],
    )


def fairseq(kind, **more):
    def make(directory):
        train(directory / "sentencepiece.bpe.model")
        return kind(str(directory / "sentencepiece.bpe.model"), **more)

    return make


KINDS = {
    "t5": t5,
    "marian": marian,
    "m2m-100": m2m_100,
    "mbart": fairseq(transformers.MBartTokenizer, src_lang="de_DE"),
    "mbart-50": fairseq(transformers.MBart50Tokenizer, src_lang="en_XX"),
    "nllb": fairseq(transformers.NllbTokenizer, src_lang="fra_Latn"),
    "xlm-roberta": fairseq(transformers.XLMRobertaTokenizer),
}


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    for name, make in KINDS.items():
        directory = OUT / name
        made = directory / "made"
        made.mkdir(parents=True)
        make(made).save_pretrained(directory)
        shutil.rmtree(made)
        (directory / "added_tokens.json").unlink(missing_ok=True)
        kind = getattr(transformers, json.loads((directory / "tokenizer_config.json").read_text())["tokenizer_class"])
        tokenizer = kind.from_pretrained(directory)
        texts = TEXTS + MORE[name]
        ids = [tokenizer.encode(text) for text in texts]
        expected = dict(
            transformers=transformers.__version__,
            vocab_size=len(tokenizer),
            texts=texts,
            ids=ids,
            plain=[tokenizer.encode(text, add_special_tokens=False) for text in texts],
            decoded=[tokenizer.decode(each, skip_special_tokens=True, clean_up_tokenization_spaces=False) for each in ids],
        )
        (directory / "expected.json").write_text(json.dumps(expected, ensure_ascii=False, indent=0))
        size = sum(path.stat().st_size for path in directory.iterdir())
        print(f"{name}: {len(tokenizer)} tokens, {size / 1000:.0f} kB", sorted(path.name for path in directory.iterdir()))


if __name__ == "__main__":
    main()
