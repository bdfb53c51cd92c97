#!/usr/bin/env python3
"""Train "tales", a small Llama-architecture language model, from two text files.

    python train.py --train tales-train.txt --val tales-val.txt --out .

Each text file holds one paragraph a line.  The script trains a SentencePiece
vocabulary, trains the model, measures it on the validation text and writes an
ordinary Hugging Face checkpoint (bfloat16) into the output directory.  It runs on
the CPU; bfloat16 matrix instructions (AVX512-BF16 or AMX) help a great deal.

Work in progress lives in --work (default: OUT/work): the vocabulary, the encoded
text, the log and the latest training state.  A run that was interrupted goes on from
there when it is started again; --steps, --minutes and --cooldown may be changed in
between.  SIGTERM and SIGINT save the state and stop.

Made with: Python 3.11, torch 2.15.0, sentencepiece 0.2.3, safetensors 0.8.0, numpy 2.4.6
"""

import argparse
import contextlib
import io
import json
import math
import os
import signal
import string
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import sentencepiece as spm
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

BOS, EOS = 1, 2


# ---------------------------------------------------------------- vocabulary and text


def train_tokenizer(text: Path, out: Path, vocab_size: int) -> None:
    """A vocabulary with the settings of Llama 2, only smaller."""
    model = io.BytesIO()  # in memory, because SentencePiece writes the names of files into the model
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(text.read_text(encoding="utf-8").splitlines()),
        model_writer=model,
        model_type="bpe",
        vocab_size=vocab_size,
        unk_id=0,
        bos_id=BOS,
        eos_id=EOS,
        pad_id=-1,
        byte_fallback=True,
        character_coverage=0.9999,
        required_chars=string.ascii_letters + string.digits + string.punctuation,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        add_dummy_prefix=True,
        allow_whitespace_only_pieces=True,
        split_digits=True,
        max_sentence_length=65536,
        num_threads=os.cpu_count(),
    )
    out.write_bytes(model.getvalue())


class Text:
    """A text as token ids, cut into windows that begin where a paragraph begins.

    The tokenizer puts a space before a text but not after a line break, so the first
    paragraph of a window is spelled differently from the ones that follow: `first`
    has every paragraph as a beginning, `stream` the whole text as a continuation,
    and `start[i]` is the place of paragraph i in `stream`.  Paragraphs are joined by
    one line break, which is the byte piece <0x0A>.
    """

    def __init__(self, path: Path, sp: spm.SentencePieceProcessor):
        paragraphs = path.read_text(encoding="utf-8").rstrip("\n").split("\n")
        self.bytes = len("\n".join(paragraphs).encode("utf-8"))
        self.first = [np.array(ids, np.int16) for ids in sp.encode(paragraphs)]
        newline = sp.piece_to_id("<0x0A>")
        parts, self.start, at = [], [], 0
        for ids in sp.encode(["\n" + p for p in paragraphs]):
            at += 1  # ids are: the space put before the text, the line break, the paragraph
            assert ids[1] == newline
            self.start.append(at)
            parts.append(np.array(ids[1:], np.int16))
            at += len(ids) - 2
        self.stream = np.concatenate(parts)
        self.start.append(at + 1)

    def tokens(self) -> np.ndarray:
        """The whole text as the tokenizer encodes it in one piece, without BOS."""
        return np.concatenate([self.first[0], self.stream[self.start[1] - 1 :]])

    def window(self, i: int, length: int) -> np.ndarray | None:
        """BOS and the text from paragraph i on, `length` ids in all; None if it ends before."""
        rest = self.stream[self.start[i + 1] - 1 :][:length]
        ids = np.concatenate([[BOS], self.first[i][:length], rest])[:length]
        return ids if len(ids) == length else None

    def epoch(self, length: int, seed: int) -> np.ndarray:
        """Windows that together cover the text once, in random order.

        Each window begins with the paragraph which the one before it left unfinished;
        the first begins at a random place, so every epoch is cut differently.
        """
        rng = np.random.default_rng(seed)
        i = int(rng.integers(0, 40))
        windows = []
        while (w := self.window(i, length)) is not None:
            windows.append(w)
            end = self.start[i] + length - 1
            i = max(i + 1, int(np.searchsorted(self.start, end, side="right")) - 1)
        windows = np.stack(windows)
        return windows[rng.permutation(len(windows))]


# ---------------------------------------------------------------- model


@dataclass
class Config:
    vocab: int = 4096
    hidden: int = 256
    layers: int = 6
    heads: int = 8
    kv_heads: int = 4
    head_dim: int = 32
    ffn: int = 640
    context: int = 512
    rope_theta: float = 10000.0
    eps: float = 1e-5


class Linear(nn.Linear):
    """Weights are kept in float32 and used in the type of the input."""

    def __init__(self, n_in: int, n_out: int):
        super().__init__(n_in, n_out, bias=False)

    def forward(self, x):
        return F.linear(x, self.weight.to(x.dtype))


class RMSNorm(nn.Module):
    def __init__(self, n: int, eps: float):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(n))
        self.eps = eps

    def forward(self, x):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps) * self.weight


def rotate(x, cos, sin):
    a, b = x.float().chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1).to(x.dtype)


def causal_attention(q, k, v, block: int = 128):
    """Blocks of queries, each with the keys up to its end: half the work of all with all.

    On CPUs this is several times faster than scaled_dot_product_attention.
    """
    batch, heads, length, dim = q.shape
    kv_heads = k.shape[1]
    q = q.reshape(batch * kv_heads, heads // kv_heads, length, dim) * dim**-0.5
    k, v = k.reshape(batch * kv_heads, length, dim), v.reshape(batch * kv_heads, length, dim)
    place = torch.arange(length)
    out = []
    for begin in range(0, length, block):
        end = min(begin + block, length)
        part = q[:, :, begin:end].reshape(batch * kv_heads, -1, dim)
        scores = (part @ k[:, :end].mT).view(batch * kv_heads, -1, end - begin, end).float()
        scores = scores.masked_fill(place[:end] > place[begin:end, None], -math.inf)
        weights = scores.softmax(-1).to(v.dtype).flatten(1, 2)
        out.append((weights @ v[:, :end]).view(batch, heads, end - begin, dim))
    return torch.cat(out, 2)


class Attention(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.c = c
        self.q_proj = Linear(c.hidden, c.heads * c.head_dim)
        self.k_proj = Linear(c.hidden, c.kv_heads * c.head_dim)
        self.v_proj = Linear(c.hidden, c.kv_heads * c.head_dim)
        self.o_proj = Linear(c.heads * c.head_dim, c.hidden)

    def forward(self, x, cos, sin):
        c, (batch, length, _) = self.c, x.shape
        q = self.q_proj(x).view(batch, length, c.heads, c.head_dim).transpose(1, 2)
        k = self.k_proj(x).view(batch, length, c.kv_heads, c.head_dim).transpose(1, 2)
        v = self.v_proj(x).view(batch, length, c.kv_heads, c.head_dim).transpose(1, 2)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        y = causal_attention(q, k, v)
        return self.o_proj(y.transpose(1, 2).reshape(batch, length, -1))


class MLP(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.gate_proj = Linear(c.hidden, c.ffn)
        self.up_proj = Linear(c.hidden, c.ffn)
        self.down_proj = Linear(c.ffn, c.hidden)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, c: Config, dropout: float):
        super().__init__()
        self.input_layernorm = RMSNorm(c.hidden, c.eps)
        self.self_attn = Attention(c)
        self.post_attention_layernorm = RMSNorm(c.hidden, c.eps)
        self.mlp = MLP(c)
        self.dropout = dropout

    def forward(self, x, cos, sin, dtype):
        y = self.self_attn(self.input_layernorm(x).to(dtype), cos, sin)
        x = x + F.dropout(y, self.dropout, self.training)
        y = self.mlp(self.post_attention_layernorm(x).to(dtype))
        return x + F.dropout(y, self.dropout, self.training)


class Llama(nn.Module):
    """Parameter names are those of a Hugging Face checkpoint without "model."."""

    def __init__(self, c: Config, dropout: float = 0.0):
        super().__init__()
        self.c = c
        self.embed_tokens = nn.Embedding(c.vocab, c.hidden)
        self.layers = nn.ModuleList(Layer(c, dropout) for _ in range(c.layers))
        self.norm = RMSNorm(c.hidden, c.eps)
        angle = torch.outer(
            torch.arange(c.context, dtype=torch.float32),
            c.rope_theta ** (-torch.arange(0, c.head_dim, 2, dtype=torch.float32) / c.head_dim),
        )
        self.register_buffer("cos", angle.cos(), persistent=False)
        self.register_buffer("sin", angle.sin(), persistent=False)
        for name, p in self.named_parameters():
            if p.ndim == 2:
                scale = (2 * c.layers) ** -0.5 if name.endswith(("o_proj.weight", "down_proj.weight")) else 1.0
                nn.init.normal_(p, std=0.02 * scale)

    def forward(self, ids, dtype=torch.bfloat16):
        """The negative log-likelihood of ids[:, 1:], token by token."""
        length = ids.shape[1] - 1
        cos, sin = self.cos[:length], self.sin[:length]
        x = self.embed_tokens(ids[:, :-1])
        for layer in self.layers:
            x = layer(x, cos, sin, dtype)
        x = self.norm(x).to(dtype).flatten(0, 1)
        logits = F.linear(x, self.embed_tokens.weight.to(dtype))
        return F.cross_entropy(logits.float(), ids[:, 1:].flatten(), reduction="none").view(-1, length)


# ---------------------------------------------------------------- training


class Optimizer:
    """Muon for the matrices of the layers, AdamW for the embedding and the norms."""

    def __init__(self, model: Llama, args):
        matrices = [p for p in model.layers.parameters() if p.ndim == 2]
        norms = [p for p in model.parameters() if p.ndim == 1]
        self.parts = [
            torch.optim.Muon(
                matrices, lr=args.lr_muon, weight_decay=args.weight_decay, momentum=0.95,
                nesterov=True, adjust_lr_fn="match_rms_adamw",
            ),
            torch.optim.AdamW(
                [
                    {"params": [model.embed_tokens.weight], "weight_decay": args.weight_decay},
                    {"params": norms, "weight_decay": 0.0},
                ],
                lr=args.lr_adam, betas=(0.9, 0.95), eps=1e-8, fused=True,
            ),
        ]
        self.base = [args.lr_muon, args.lr_adam]

    def step(self, scale: float) -> None:
        for part, base in zip(self.parts, self.base):
            for group in part.param_groups:
                group["lr"] = base * scale
            part.step()
            part.zero_grad(set_to_none=True)

    def state_dict(self):
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, states) -> None:
        for part, state in zip(self.parts, states):
            part.load_state_dict(state)


def progress(step: int, seconds: float, args) -> float:
    """How much of the run is over, by steps or by the clock, whichever is further."""
    return max(step / args.steps, seconds / 60 / args.minutes if args.minutes else 0.0)


def schedule(step: int, seconds: float, args) -> float:
    """Warm-up, constant, then a linear cool-down to zero."""
    return min(1.0, (step + 1) / args.warmup, (1.0 - progress(step, seconds, args)) / args.cooldown)


@torch.no_grad()
def evaluate(model: Llama, text: Text, stride: int, dtype=torch.bfloat16) -> dict:
    """Loss on the whole text, every token counted once.

    The text is one sequence of tokens.  Windows of BOS and context-1 tokens begin every
    `stride` tokens; in each, only the tokens no earlier window has counted are counted, so
    all but those at the very beginning have at least context-1-stride tokens (and BOS)
    before them.
    """
    model.eval()
    tokens = torch.from_numpy(text.tokens().astype(np.int64))
    size = model.c.context - 1
    full, last, done, total = [], None, 0, 0.0
    for begin in range(0, len(tokens), stride):
        ids = F.pad(tokens[begin : begin + size], (1, 0), value=BOS)
        new = min(len(tokens), begin + size) - done
        done += new
        if len(ids) == size + 1:
            full.append((ids, new))
        else:
            last = (ids, new)
        if done == len(tokens):
            break
    for i in range(0, len(full), 8):
        losses = model(torch.stack([ids for ids, _ in full[i : i + 8]]), dtype)
        total += sum(row[-new:].double().sum().item() for row, (_, new) in zip(losses, full[i : i + 8]))
    if last:
        total += model(last[0][None], dtype)[0, -last[1] :].double().sum().item()
    model.train()
    return {
        "tokens": len(tokens),
        "bytes": text.bytes,
        "nats_per_token": total / len(tokens),
        "bits_per_byte": total / math.log(2) / text.bytes,
    }


def train(model: Llama, text: Text, val: Text, args, work: Path, tokenizer: Path) -> None:
    """Train; work/best.pt and the output directory get the weights that validate best."""
    optimizer = Optimizer(model, args)
    state_file, step, seconds, best = work / "state.pt", 0, 0.0, math.inf
    if state_file.exists():
        state = torch.load(state_file)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        step, seconds, best = state["step"], state["seconds"], state["best"]
    loss_of = torch.compile(model) if args.compile else model

    stop = []
    for s in (signal.SIGTERM, signal.SIGINT):
        signal.signal(s, lambda *_: stop.append(True))
    log = open(work / "log.txt", "a", encoding="utf-8", buffering=1)

    def say(line: str) -> None:
        print(line, flush=True)
        log.write(line + "\n")

    def save(state, path: Path) -> None:
        torch.save(state, path.with_suffix(".tmp"))
        os.replace(path.with_suffix(".tmp"), path)

    def batches(step: int):
        """Batches from `step` on; the same ones wherever a run was interrupted."""
        epoch, at, left = 0, 0, []
        while True:
            windows = text.epoch(model.c.context + 1, args.seed * 1000 + epoch)
            epoch += 1
            for i in range(0, len(windows) - args.batch + 1, args.batch):
                if at >= step:
                    yield epoch, torch.from_numpy(windows[i : i + args.batch].astype(np.int64))
                at += 1

    source, shown, since, running = batches(step), step, time.time(), []
    scale = schedule(step, seconds, args)
    while scale > 0.0 and not stop:
        epoch, batch = next(source)
        loss = 0.0
        for part in batch.split(args.micro_batch):
            part_loss = loss_of(part).sum() / (batch.numel() - len(batch))
            part_loss.backward()
            loss += part_loss.item()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step(scale)
        running.append(loss)
        step += 1
        used, scale = scale, schedule(step, seconds + time.time() - since, args)
        if step % args.log_every == 0:
            now = time.time()
            seconds += now - since
            rate = (step - shown) * args.batch * model.c.context / (now - since)
            say(f"step {step}/{args.steps} epoch {epoch} loss {np.mean(running):.4f} lr x{used:.3f} "
                f"{rate:.0f} tokens/s {seconds / 60:.1f} min")
            shown, since, running = step, now, []
        if step % args.save_every == 0 or scale <= 0.0 or stop:
            result = evaluate(model, val, stride=model.c.context - 1)
            say(f"step {step} validation {result['nats_per_token']:.4f} nats/token "
                f"{result['bits_per_byte']:.4f} bits/byte (windows side by side)")
            seconds += time.time() - since
            shown, since, running = step, time.time(), []
            if result["nats_per_token"] < best:
                best = result["nats_per_token"]
                save(model.state_dict(), work / "best.pt")
                export(model, tokenizer, args.out)
            save({"model": model.state_dict(), "optimizer": optimizer.state_dict(),
                  "step": step, "seconds": seconds, "best": best}, state_file)
    if scale > 0.0:
        raise SystemExit(f"stopped at step {step}; start again to go on")


# ---------------------------------------------------------------- export


def export(model: Llama, tokenizer: Path, out: Path) -> None:
    """Write a Hugging Face checkpoint, weights rounded to bfloat16."""
    c = model.c
    config = {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": BOS,
        "eos_token_id": EOS,
        "head_dim": c.head_dim,
        "hidden_act": "silu",
        "hidden_size": c.hidden,
        "initializer_range": 0.02,
        "intermediate_size": c.ffn,
        "max_position_embeddings": c.context,
        "mlp_bias": False,
        "model_type": "llama",
        "num_attention_heads": c.heads,
        "num_hidden_layers": c.layers,
        "num_key_value_heads": c.kv_heads,
        "pretraining_tp": 1,
        "rms_norm_eps": c.eps,
        "rope_scaling": None,
        "rope_theta": c.rope_theta,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "vocab_size": c.vocab,
    }
    generation = {
        "bos_token_id": BOS,
        "eos_token_id": EOS,
        "do_sample": True,
        "temperature": 0.8,
        "top_p": 0.95,
        "top_k": 0,
    }

    def special(content: str) -> dict:
        return {"content": content, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False}

    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    tokenizer_config = {
        "add_bos_token": True,
        "add_eos_token": False,
        "added_tokens_decoder": {
            str(i): {**special(t), "special": True} for i, t in enumerate(["<unk>", "<s>", "</s>"])
        },
        **names,
        "clean_up_tokenization_spaces": False,
        "legacy": False,
        "model_max_length": c.context,
        "pad_token": None,
        "sp_model_kwargs": {},
        "tokenizer_class": "LlamaTokenizer",
        "use_default_system_prompt": False,
    }
    weights = {"model." + k: v.to(torch.bfloat16).contiguous() for k, v in model.state_dict().items()}

    out.mkdir(parents=True, exist_ok=True)

    @contextlib.contextmanager
    def whole(name: str):
        """A file that appears under its name only when it is complete."""
        yield out / (name + ".tmp")
        (out / (name + ".tmp")).chmod(0o644)
        os.replace(out / (name + ".tmp"), out / name)

    for name, content in {
        "config.json": config,
        "generation_config.json": generation,
        "special_tokens_map.json": {k: special(v) for k, v in names.items()},
        "tokenizer_config.json": tokenizer_config,
    }.items():
        with whole(name) as path:
            path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    with whole("tokenizer.model") as path:
        path.write_bytes(tokenizer.read_bytes())
    with whole("model.safetensors") as path:
        save_file(weights, path, metadata={"format": "pt"})


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--train", type=Path, required=True, help="training text, one paragraph a line")
    p.add_argument("--val", type=Path, required=True, help="validation text, one paragraph a line")
    p.add_argument("--out", type=Path, required=True, help="directory of the checkpoint")
    p.add_argument("--work", type=Path, help="directory of the training state (default: OUT/work)")
    p.add_argument("--steps", type=int, default=3000, help="steps, unless --minutes ends the run before")
    p.add_argument("--minutes", type=float, help="end by then, even with fewer steps; the cool-down follows")
    p.add_argument("--batch", type=int, default=16, help="windows a step")
    p.add_argument("--micro-batch", type=int, default=8, help="windows in memory at a time")
    p.add_argument("--warmup", type=int, default=100, help="steps of warm-up")
    p.add_argument("--cooldown", type=float, default=0.3, help="part of the run that is cool-down")
    p.add_argument("--lr-muon", type=float, default=5e-3)
    p.add_argument("--lr-adam", type=float, default=3e-3)
    p.add_argument("--weight-decay", type=float, default=0.1)
    p.add_argument("--dropout", type=float, default=0.0)
    p.add_argument("--layers", type=int, default=Config.layers)
    p.add_argument("--ffn", type=int, default=Config.ffn)
    p.add_argument("--vocab", type=int, default=Config.vocab)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--threads", type=int, default=os.cpu_count())
    p.add_argument("--log-every", type=int, default=25, help="steps")
    p.add_argument("--save-every", type=int, default=100, help="steps between validations and saved states")
    p.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True, help="use torch.compile")
    p.add_argument("--export-only", action="store_true", help="measure and export the best weights so far")
    args = p.parse_args()

    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    work = args.work or args.out / "work"
    work.mkdir(parents=True, exist_ok=True)

    tokenizer = work / "tokenizer.model"
    if not tokenizer.exists():
        train_tokenizer(args.train, tokenizer, args.vocab)
    sp = spm.SentencePieceProcessor(model_file=str(tokenizer))
    val = Text(args.val, sp)
    config = Config(vocab=sp.vocab_size(), layers=args.layers, ffn=args.ffn)
    model = Llama(config, args.dropout)
    print(f"{sum(q.numel() for q in model.parameters()):,} parameters, {asdict(config)}", flush=True)

    if not args.export_only:
        text = Text(args.train, sp)
        print(f"{len(text.stream):,} training tokens, {len(val.stream):,} validation tokens", flush=True)
        train(model, text, val, args, work, tokenizer)
    model.load_state_dict(torch.load(work / "best.pt"))

    # What counts is what is shipped: measure the rounded weights, computed in float32.
    with torch.no_grad():
        for q in model.parameters():
            q.copy_(q.to(torch.bfloat16))
    result = evaluate(model, val, stride=config.context // 2, dtype=torch.float32)
    print("validation of the bfloat16 weights, computed in float32:", json.dumps(result), flush=True)
    export(model, tokenizer, args.out)


if __name__ == "__main__":
    main()
