#!/usr/bin/env python3
"""Encoders, encoder-decoders and their tokenizers in GGUF files as llama.cpp's converter writes them.

Usage: make_gguf_encoder_fixtures.py LLAMA_CPP

LLAMA_CPP is a checkout of llama.cpp with its converter and its gguf package. Writes the models NAME of
tests/fixtures/encoders and tests/fixtures/seq2seq to tests/fixtures/gguf/encoders/NAME.gguf and seq2seq/NAME.gguf (the
same numbers, no vocabulary), and the tokenizers NAME of tests/fixtures/tokenizer_json and piece_vocabulary to
tests/fixtures/gguf/tokenizers/NAME.gguf (no weights).
"""

import json
import pathlib
import shutil
import sys
import tempfile

sys.path[:0] = [sys.argv[1], str(pathlib.Path(sys.argv[1]) / "gguf-py")]
from conversion import ModelBase, ModelType, get_model_architecture, get_model_class  # noqa: E402
from gguf import LlamaFileType  # noqa: E402

FIXTURES = pathlib.Path(__file__).resolve().parent.parent / "fixtures"
OUT = FIXTURES / "gguf"

# What one of the converter's classes takes, where a fixture is of another class with the same layers.
ENCODERS = {
    "bert": dict(architectures=["BertModel"]),
    "bert-mean": {},
    "roberta": dict(architectures=["RobertaModel"]),
    "roberta-pooler": {},
    "roberta-sequences": {},
    "xlm-roberta": dict(architectures=["RobertaModel"]),  # without the tokenizer that XLMRobertaModel looks for
    "distilbert": dict(architectures=["DistilBertModel"]),
    "t5-encoder": {},
    "t5-encoder-gated": {},
}
SEQ2SEQ = {"t5-long": {}, "t5-gated": {}, "mt5": {}}
BERT = dict(cls_token="[CLS]", sep_token="[SEP]", unk_token="[UNK]", pad_token="[PAD]", mask_token="[MASK]")
ROBERTA = dict(bos_token="<s>", eos_token="</s>", cls_token="<s>", sep_token="</s>", unk_token="<unk>",
               pad_token="<pad>", mask_token="<mask>")
TOKENIZERS = {  # folder of fixtures, the model that has it, what tokenizer_config.json says
    "bert": ("tokenizer_json", "bert-mean", BERT | dict(tokenizer_class="BertTokenizer")),
    "bert-cased": ("tokenizer_json", "bert-mean", BERT | dict(tokenizer_class="BertTokenizer", do_lower_case=False)),
    "roberta": ("tokenizer_json", "roberta-pooler", ROBERTA | dict(tokenizer_class="RobertaTokenizer")),
    "xlm-roberta": ("tokenizer_json", "xlm-roberta", ROBERTA | dict(tokenizer_class="XLMRobertaTokenizer")),
    "t5": ("piece_vocabulary", "t5-long", None),
}


def no_vocabulary(self):
    self.gguf_writer.add_tokenizer_model("none")
    self.gguf_writer.add_token_type_count(self.hparams.get("type_vocab_size", 1))


def converter_of(directory, out, changes, more):
    hparams = ModelBase.load_hparams(directory, False) | changes
    base = get_model_class(get_model_architecture(hparams, ModelType.TEXT))

    def filter_tensors(cls, item):  # the head of masked words, which the converter leaves out of BERT alone
        return None if item[0].startswith("lm_head") and base.__name__ == "RobertaModel" else base.filter_tensors(item)

    body = {"model_arch": base.model_arch, "filter_tensors": classmethod(filter_tensors)} | more
    return type(base.__name__, (base,), body)(directory, LlamaFileType.MOSTLY_F16, out, hparams=hparams)


def convert_model(folder, name, changes):
    (OUT / folder).mkdir(exist_ok=True)
    out = OUT / folder / f"{name}.gguf"
    converter_of(FIXTURES / folder / name, out, changes, {"set_vocab": no_vocabulary}).write()


def convert_tokenizer(name, folder, model, config):
    (OUT / "tokenizers").mkdir(exist_ok=True)
    models = FIXTURES / ("seq2seq" if folder == "piece_vocabulary" else "encoders")
    pre = {"roberta": "roberta-bpe"}.get(name, "default")  # which the converter knows by hashes of published ones
    with tempfile.TemporaryDirectory() as parent:
        directory = pathlib.Path(parent) / name  # the converter writes the name down
        shutil.copytree(FIXTURES / folder / name, directory)
        shutil.copy(models / model / "config.json", directory)
        changes = dict(architectures=["XLMRobertaModel"]) if name == "xlm-roberta" else {}
        if config is not None:
            (directory / "tokenizer_config.json").write_text(json.dumps(config))
            words = json.loads((directory / "tokenizer.json").read_text())
            changes["vocab_size"] = max(token["id"] for token in words["added_tokens"]) + 1
        else:
            changes["vocab_size"] = 200
        more = {"get_vocab_base_pre": lambda self, tokenizer: pre, "index_tensors": lambda self, **_: {}}
        converter_of(directory, OUT / "tokenizers" / f"{name}.gguf", changes, more).write_vocab()


def main():
    for name, changes in ENCODERS.items():
        convert_model("encoders", name, changes)
    for name, changes in SEQ2SEQ.items():
        convert_model("seq2seq", name, changes)
    for name, what in TOKENIZERS.items():
        convert_tokenizer(name, *what)


main()
