#!/usr/bin/env python3
"""Train "books", a small BERT that says which book a paragraph is from, from two text files.

    python train.py --train tales-train.txt --val tales-val.txt --out .

Each text file holds one paragraph a line, the books one after the other as BOOKS says.  The
script trains a WordPiece vocabulary, trains the model, measures it on the validation text
and writes an ordinary Hugging Face checkpoint (bfloat16) into the output directory.  It runs
on one thread of a CPU.

Made with: Python 3.11, torch 2.15.0, transformers 5.23.0, tokenizers 0.23.3
"""

import argparse
import json
import time
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

LANG = "Andrew Lang's Fairy Books"

# Title, its first line in the training text, its first line in the validation text.
BOOKS = [
    ("Alice's Adventures in Wonderland", 1, 1),
    ("Andersen's Fairy Tales", 616, 13),
    ("Anne of Green Gables", 1471, 30),
    ("Black Beauty", 3011, 61),
    ("Celtic Fairy Tales", 3815, 78),
    ("English Fairy Tales", 5061, 102),
    ("Five Children and It", 5980, 120),
    ("Grimms' Fairy Tales", 7064, 142),
    ("Indian Fairy Tales", 7864, 158),
    ("Japanese Fairy Tales", 8858, 178),
    ("Just So Stories", 10096, 203),
    ("Little Women", 10709, 215),
    ("Peter Pan", 13904, 280),
    ("The Adventures of Pinocchio", 14953, 301),
    ("The Adventures of Tom Sawyer", 16083, 324),
    (LANG, 17221, 347),  # blue, brown, crimson, green, grey
    ("The Jungle Book", 25439, 513),
    (LANG, 26310, 530),  # lilac
    ("The Marvelous Land of Oz", 28084, 566),
    (LANG, 29295, 590),  # orange, pink, red
    ("The Secret Garden", 35412, 714),
    (LANG, 37044, 747),  # violet
    ("The Wind in the Willows", 39020, 787),
    ("The Wonderful Wizard of Oz", 39848, 803),
    (LANG, 40718, 820),  # yellow
    ("Treasure Island", 42359, 853),
]
TITLES = sorted({title for title, _, _ in BOOKS}, key=lambda title: title.removeprefix("The "))
CONTEXT = 256


def read(path: Path, column: int) -> list[tuple[str, int]]:
    """The paragraphs of a file with their classes."""
    paragraphs = path.read_text(encoding="utf-8").rstrip("\n").split("\n")
    starts = [book[column] - 1 for book in BOOKS] + [len(paragraphs)]
    return [
        (paragraph, TITLES.index(book[0]))
        for book, begin, end in zip(BOOKS, starts, starts[1:])
        for paragraph in paragraphs[begin:end]
    ]


def train_tokenizer(paragraphs: list[str], vocab_size: int) -> BertTokenizerFast:
    """A vocabulary with the settings of BERT uncased, only smaller."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], show_progress=False
    )
    tokenizer.train_from_iterator(paragraphs, trainer)
    cls, sep = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", sep), ("[CLS]", cls))
    tokenizer.decoder = decoders.WordPiece()
    return BertTokenizerFast(tokenizer_object=tokenizer, do_lower_case=True, model_max_length=CONTEXT)


def batch_of(examples: list[tuple[list[int], int]]) -> dict:
    """Padded on the right; the ids hold no [CLS] and [SEP] (2 and 3) yet."""
    length = max(len(ids) for ids, _ in examples) + 2
    ids = torch.zeros(len(examples), length, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, (words, _) in enumerate(examples):
        ids[row, : len(words) + 2] = torch.tensor([2, *words, 3])
        mask[row, : len(words) + 2] = 1
    return {"input_ids": ids, "attention_mask": mask, "labels": torch.tensor([label for _, label in examples])}


def epoch(examples: list, tokens: int, window: int, generator: torch.Generator) -> list[dict]:
    """Batches of about `tokens` tokens and like lengths: a window of every paragraph, a third of Lang's paragraphs."""
    chosen = []
    for ids, label in examples:
        if TITLES[label] == LANG and torch.rand(1, generator=generator).item() > 1 / 3:
            continue
        begin = int(torch.randint(0, max(1, len(ids) - window + 1), (1,), generator=generator))
        chosen.append((ids[begin : begin + window], label))
    order = torch.randperm(len(chosen), generator=generator).tolist()
    order.sort(key=lambda i: len(chosen[i][0]) // 8)
    batches, batch = [], []
    for i in order:
        batch.append(chosen[i])
        if len(batch) * (len(chosen[i][0]) + 2) >= tokens:
            batches.append(batch)
            batch = []
    batches += [batch] if batch else []
    return [batch_of(batches[i]) for i in torch.randperm(len(batches), generator=generator).tolist()]


@torch.no_grad()
def evaluate(model: BertForSequenceClassification, examples: list) -> dict:
    """Accuracy over paragraphs, its mean over books, and the share of paragraphs whose book is among the best three."""
    model.eval()
    hits, best3 = [[] for _ in TITLES], 0
    for words, label in examples:
        logits = model(**batch_of([(words[: CONTEXT - 2], label)])).logits[0]
        best = logits.topk(3).indices.tolist()
        hits[label].append(best[0] == label)
        best3 += label in best
    model.train()
    return {
        "accuracy": sum(map(sum, hits)) / len(examples),
        "mean_over_books": sum(sum(h) / len(h) for h in hits) / len(hits),
        "among_three": best3 / len(examples),
        "books": {title: round(sum(h) / len(h), 2) for title, h in zip(TITLES, hits)},
    }


def train(model: BertForSequenceClassification, examples: list, args) -> None:
    """AdamW, linear warm-up and cool-down by the clock, until --minutes are over."""
    matrices = [p for p in model.parameters() if p.ndim == 2]
    vectors = [p for p in model.parameters() if p.ndim == 1]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": args.weight_decay}, {"params": vectors, "weight_decay": 0.0}],
        lr=args.lr, betas=(0.9, 0.98), fused=True,
    )
    generator = torch.Generator().manual_seed(args.seed)
    begin, step, number = time.process_time(), 0, 0
    done = 0.0
    model.train()
    while done < 1.0:
        number += 1
        losses = []
        for batch in epoch(examples, args.tokens, args.window, generator):
            done = (time.process_time() - begin) / 60 / args.minutes
            if done >= 1.0:
                break
            for group in optimizer.param_groups:
                group["lr"] = args.lr * min((step + 1) / args.warmup, 1.0 - done)
            loss = torch.nn.functional.cross_entropy(
                model(batch["input_ids"], attention_mask=batch["attention_mask"]).logits, batch["labels"],
                label_smoothing=args.label_smoothing,
            )
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            losses.append(loss.item())
            step += 1
        if losses:
            print(f"epoch {number}, step {step}: loss {sum(losses) / len(losses):.3f}", flush=True)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--train", type=Path, required=True)
    p.add_argument("--val", type=Path, required=True)
    p.add_argument("--out", type=Path, default=Path("."))
    p.add_argument("--minutes", type=float, default=10.0, help="of processor time")
    p.add_argument("--tokens", type=int, default=2048, help="tokens a step")
    p.add_argument("--window", type=int, default=96, help="tokens of a paragraph that a step sees")
    p.add_argument("--warmup", type=int, default=100, help="steps of warm-up")
    p.add_argument("--lr", type=float, default=1.5e-3)
    p.add_argument("--weight-decay", type=float, default=0.05)
    p.add_argument("--label-smoothing", type=float, default=0.05)
    p.add_argument("--dropout", type=float, default=0.1)
    p.add_argument("--vocab", type=int, default=4000)
    p.add_argument("--layers", type=int, default=2)
    p.add_argument("--seed", type=int, default=1)
    args = p.parse_args()

    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    texts, held_out = read(args.train, 1), read(args.val, 2)
    tokenizer = train_tokenizer([text for text, _ in texts], args.vocab)
    encode = lambda pairs: [(tokenizer(t, add_special_tokens=False)["input_ids"], label) for t, label in pairs]
    examples, held_out = encode(texts), encode(held_out)

    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=128, num_hidden_layers=args.layers, num_attention_heads=4,
        intermediate_size=512, max_position_embeddings=CONTEXT, hidden_dropout_prob=args.dropout,
        attention_probs_dropout_prob=args.dropout, id2label=dict(enumerate(TITLES)),
        label2id={title: i for i, title in enumerate(TITLES)},
    )
    model = BertForSequenceClassification(config)
    print(f"{sum(q.numel() for q in model.parameters()):,} parameters, {len(examples):,} paragraphs", flush=True)
    train(model, examples, args)

    # What counts is what is shipped: measure the rounded weights, computed in float32.
    model.to(torch.bfloat16).save_pretrained(args.out)
    result = evaluate(model.float(), held_out)
    print("validation of the bfloat16 weights, computed in float32:", json.dumps(result, indent=1), flush=True)
    tokenizer.save_pretrained(args.out)
    words = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    (args.out / "vocab.txt").write_text("".join(word + "\n" for word, _ in words), encoding="utf-8")


if __name__ == "__main__":
    main()
