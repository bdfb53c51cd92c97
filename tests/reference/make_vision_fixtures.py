#!/usr/bin/env python3
"""Makes golden data about images: tests/fixtures/vision (tiny random models and what they must compute),
tests/fixtures/image_processors (what image processors make of images), tests/fixtures/resize (what Pillow and
torchvision make of them) and tests/fixtures/images (a picture), in the format that README.md beside this file describes.

A model is refused where it proves little: float64 must give nearly the same numbers, and every parameter must matter:
without it what the model says changes by far more than the tests allow.
"""

import argparse
import dataclasses
import json
import pathlib
import shutil
import sys

import numpy
import PIL
import PIL.Image
import torch
import torchvision
import torchvision.transforms.v2.functional as tvf
import transformers
from safetensors.torch import save_file

from make_llama_fixtures import LEAST_EFFECT, MOST_NOISE, largest_difference

FIXTURES = pathlib.Path(__file__).resolve().parent.parent / "fixtures"
MOST_BYTES = 100_000  # one directory
IMAGES = 2

# -- Models.


@dataclasses.dataclass(frozen=True)
class Variant:
    """One fixture: a class of transformers with its config."""

    name: str
    model_class: str
    config: dict
    dtype: torch.dtype = torch.float16  # of the stored weights
    all_layers: bool = False  # keep the hidden states of every layer
    more: dict = dataclasses.field(default_factory=dict)  # arguments of the class
    lengths: tuple = (5, 9, 7)  # of the texts
    processor: object = None
    resized: tuple = ()  # height and width of images whose positions are interpolated


def tower(layers=1, hidden=24, heads=3, inner=40, **more):
    return dict(num_hidden_layers=layers, hidden_size=hidden, num_attention_heads=heads, intermediate_size=inner, **more)


def image(layers=1, size=12, patch=4, **more):
    return tower(layers, image_size=size, patch_size=patch, **more)


def words(layers=1, **more):
    ids = dict(vocab_size=64, max_position_embeddings=10, bos_token_id=60, eos_token_id=61, pad_token_id=61)
    return tower(layers, hidden=20, heads=2, inner=32, **ids) | more


def both(layers=1, text=None, vision=None, **more):
    return dict(text_config=words(layers, **(text or {})), vision_config=image(layers, **(vision or {})), **more)


LABELS = dict(id2label={0: "cat", 1: "dog", 2: "neither"})
SIGLIP = dict(projection_size=24)


def processor(kind, **more):
    return getattr(transformers, f"{kind}ImageProcessorPil")(**more)


VARIANTS = [
    Variant("vit", "ViTForImageClassification", image(2, **LABELS), all_layers=True, dtype=torch.float32, resized=(20, 9),
            processor=processor("ViT", size=dict(height=12, width=12))),
    Variant("vit-bf16", "ViTModel", image(2, qkv_bias=False, hidden_act="gelu_new"), dtype=torch.bfloat16),
    Variant("vit-pooler", "ViTModel", image(pooler_output_size=10, pooler_act="relu")),
    Variant("vit-no-pooler", "ViTModel", image(layer_norm_eps=0.05), more=dict(add_pooling_layer=False)),
    Variant("vit-oblong", "ViTForImageClassification", image(size=[12, 9], patch=[4, 2], num_channels=1, **LABELS)),
    Variant("deit", "DeiTForImageClassificationWithTeacher", image(2, **LABELS), all_layers=True, resized=(8, 16),
            processor=processor("DeiT", size=dict(height=14, width=14), crop_size=dict(height=12, width=12))),
    Variant("deit-base", "DeiTModel", image()),
    Variant("deit-classes", "DeiTForImageClassification", image(**LABELS)),
    Variant("clip", "CLIPModel", both(2, projection_dim=16), all_layers=True, resized=(19, 24),
            processor=processor("CLIP", size=dict(shortest_edge=12), crop_size=dict(height=12, width=12))),
    Variant("clip-older", "CLIPModel", both(text=dict(eos_token_id=2), projection_dim=20)),
    Variant("clip-bf16", "CLIPModel", both(projection_dim=16, vision=dict(hidden_act="gelu")), dtype=torch.bfloat16),
    Variant("clip-classes", "CLIPForImageClassification", both(**LABELS)),
    Variant("clip-vision", "CLIPVisionModel", image(layers=2), all_layers=True),
    Variant("clip-vision-projection", "CLIPVisionModelWithProjection", image(projection_dim=16)),
    Variant("clip-text", "CLIPTextModel", words(2), all_layers=True),
    Variant("clip-text-projection", "CLIPTextModelWithProjection", words(projection_dim=16)),
    Variant("siglip", "SiglipModel", both(2, text=SIGLIP), all_layers=True, lengths=(10, 10, 10), resized=(16, 20),
            processor=processor("Siglip", size=dict(height=12, width=12))),
    Variant("siglip-classes", "SiglipForImageClassification", both(**LABELS), resized=(8, 8)),
    Variant("siglip-vision", "SiglipVisionModel", image(layers=2), all_layers=True, dtype=torch.float32),
    Variant("siglip-text", "SiglipTextModel", words(2, projection_size=12), all_layers=True, lengths=(10, 10, 10)),
    Variant("siglip-vision-no-head", "SiglipVisionModel", image(vision_use_head=False)),
]


def is_norm(name, parameter):
    return parameter.dim() == 1 and name.endswith("weight")


def fill_weights(model, seed):
    """Fills every parameter from one generator, in order of name."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            if is_norm(name, parameter):
                parameter.copy_(0.5 + torch.rand(parameter.shape, generator=generator))
                continue
            noise = torch.randn(parameter.shape, generator=generator)
            if name in ("logit_scale", "logit_bias"):
                parameter.copy_(1.0 + noise.abs() / 4)
                continue
            token = any(word in name for word in ("position_embedding", "token_embedding", "cls_token", "class_embedding",
                                                  "distillation_token", "probe"))
            inputs = parameter.numel() / parameter.shape[0]
            parameter.copy_(noise * (0.7 if token else 0.3 if parameter.dim() == 1 else 1.3 / inputs**0.5))


def make_texts(variant, config):
    """-> the ids of every text: an end before the last token, one of a larger id after it."""
    generator = torch.Generator().manual_seed(len(variant.name))
    texts = []
    for length in variant.lengths:
        ids = torch.randint(3, 60, (length,), generator=generator)
        ids[0] = 60
        ids[-2] = 61
        ids[-1] = 61
        if config.eos_token_id == 2:
            ids[-2] = 63
        texts.append(ids)
    return texts


def image_tower(model):
    towers = (getattr(model, name, None) for name in ("vit", "deit", "vision_model"))
    return next((tower for tower in towers if tower is not None), model)


def run_images(variant, model, pixels, **options):
    """-> {name: (rows, width)}"""
    result = {}
    out = image_tower(model)(pixels, output_hidden_states=True, **options)
    for i, states in enumerate(out.hidden_states):
        result[f"hidden_states.{i}"] = states.flatten(0, 1)
    result["last_hidden_state"] = out.last_hidden_state.flatten(0, 1)
    if out.pooler_output is not None:
        result["pooled"] = out.pooler_output
    if "Classification" in variant.model_class:
        result["classes"] = model(pixels, **options).logits
    if variant.model_class == "CLIPVisionModelWithProjection":
        result["image_features"] = model(pixels).image_embeds
    return result


def run_text(variant, model, ids):
    """-> {name: (rows, width)} of one text"""
    out = getattr(model, "text_model", model)(ids[None], output_hidden_states=True)
    result = {f"text_hidden_states.{i}": states[0] for i, states in enumerate(out.hidden_states)}
    result["text_last_hidden_state"] = out.last_hidden_state[0]
    if variant.model_class == "CLIPTextModelWithProjection":
        result["text_features"] = model(ids[None]).text_embeds
    elif variant.model_class.endswith("TextModel"):
        result["text_features"] = out.pooler_output
    else:
        result["text_features"] = model.get_text_features(ids[None]).pooler_output
    return result


@torch.no_grad()
def run(variant, model, pixels, resized, texts):
    """-> {name: (rows, width)}"""
    result = {}
    if pixels is not None:
        result |= run_images(variant, model, pixels)
    if resized is not None:
        found = run_images(variant, model, resized, interpolate_pos_encoding=True)
        result |= {f"resized_{name}": value for name, value in found.items() if "hidden_states." not in name}
    said = [run_text(variant, model, ids) for ids in texts]
    result |= {name: torch.cat([one[name] for one in said]) for name in (said[0] if said else {})}
    if variant.model_class in ("CLIPModel", "SiglipModel"):
        logits = [model(input_ids=ids[None], pixel_values=pixels).logits_per_image for ids in texts]
        result["image_features"] = model.get_image_features(pixels).pooler_output
        result["logits"] = torch.cat(logits, 1)
        clip = variant.model_class == "CLIPModel"
        result["probabilities"] = result["logits"].softmax(1) if clip else result["logits"].sigmoid()
    return result


def load(variant, directory):
    """The saved model in float32 with plain attention."""
    kind = getattr(transformers, variant.model_class)
    model = kind.from_pretrained(directory, dtype=torch.float32, attn_implementation="eager", **variant.more)
    return model.float().eval()


@torch.no_grad()
def effects_of(variant, model, inputs, expected):
    """How far what the model says moves when a parameter is neutral or shuffled."""
    effects = {}
    for name, parameter in model.named_parameters():
        # The bias of keys adds the same to all scores of a query.
        if "k_proj.bias" in name:
            continue
        kept = parameter.clone()
        if is_norm(name, parameter):
            parameter.fill_(parameter.mean())
        elif parameter.numel() == 1:
            parameter.add_(0.1)
        else:
            parameter.copy_(parameter.flatten().roll(1).reshape(parameter.shape))
        found = run(variant, model, *inputs)
        effects[name] = max(largest_difference(found[key], value) for key, value in expected.items())
        parameter.copy_(kept)
    return effects


def finish(name, directory, tensors, about):
    tensors = {key: value.contiguous().clone() for key, value in tensors.items()}
    save_file(tensors, directory / "reference.safetensors", metadata={"reference": json.dumps(about)})
    size = sum(path.stat().st_size for path in directory.rglob("*"))
    if size > MOST_BYTES:
        raise SystemExit(f"{name}: {size} bytes are too many")
    for path in directory.rglob("*"):
        path.chmod(0o644)
    return size


def make_model(variant):
    directory = FIXTURES / "vision" / variant.name
    shutil.rmtree(directory, ignore_errors=True)
    kind = getattr(transformers, variant.model_class)
    model = kind(kind.config_class(**variant.config), **variant.more)
    fill_weights(model, len(variant.name))
    model.to(variant.dtype).save_pretrained(directory)
    if variant.processor is not None:
        variant.processor.save_pretrained(directory)
    model = load(variant, directory)
    pixels = resized = None
    if "Text" not in variant.model_class:
        config = getattr(model.config, "vision_config", model.config)
        size = config.image_size if isinstance(config.image_size, (list, tuple)) else [config.image_size] * 2
        generator = torch.Generator().manual_seed(len(variant.name))
        pixels = torch.randn((IMAGES, config.num_channels, *size), generator=generator)
        if variant.resized:
            resized = torch.randn((IMAGES, config.num_channels, *variant.resized), generator=generator)
    reads = hasattr(model.config, "text_config") and "Classification" not in variant.model_class
    texts = make_texts(variant, model.config.get_text_config()) if reads or pixels is None else []
    inputs = (pixels, resized, texts)
    expected = run(variant, model, *inputs)
    doubled = [values if values is None else values.double() for values in (pixels, resized)]
    exact = run(variant, load(variant, directory).double(), *doubled, texts)
    noise = max(largest_difference(expected[name], exact[name]) for name in expected)
    if noise > MOST_NOISE:
        raise SystemExit(f"{variant.name}: float32 and float64 differ by {noise:.1e}")
    effects = effects_of(variant, model, inputs, expected)
    for name, effect in effects.items():
        if not effect > LEAST_EFFECT:
            raise SystemExit(f"{variant.name}: without {name} the model differs by {effect:.1e} only")
    tensors = {name: value for name, value in expected.items() if variant.all_layers or "hidden_states." not in name}
    tensors |= {} if pixels is None else {"pixel_values": pixels}
    tensors |= {} if resized is None else {"resized_pixel_values": resized}
    if texts:
        tensors["lengths"] = torch.tensor(variant.lengths)
        tensors["input_ids"] = torch.cat(texts)
    weakest = min(effects, key=effects.get)
    about = dict(
        transformers=transformers.__version__,
        torch=torch.__version__.split("+")[0],
        float64_difference=float(f"{noise:.1e}"),
        wrong_model_difference={weakest: float(f"{effects[weakest]:.2g}")},
    )
    size = finish(variant.name, directory, tensors, about)
    print(f"{variant.name:22} {size / 1000:4.0f} kB  float64 {noise:.0e}  weakest: {weakest} {effects[weakest]:.2f}", flush=True)


# -- Image processors.


@dataclasses.dataclass(frozen=True)
class Processor:
    """One fixture: a class of transformers in both implementations, with its settings."""

    name: str
    kind: str
    config: dict


def edges(height, width):
    return dict(height=height, width=width)


PROCESSORS = [
    Processor("vit", "ViT", dict(size=edges(13, 13))),
    Processor("vit-bytes", "ViT", dict(size=edges(9, 14), resample=3, do_rescale=False, do_normalize=False)),
    Processor("vit-rescaled", "ViT", dict(size=edges(20, 16), do_normalize=False)),
    Processor("vit-normalized", "ViT", dict(do_resize=False, do_rescale=False, image_mean=[120, 110, 100], image_std=[60, 50, 40])),
    Processor("deit", "DeiT", dict(size=edges(18, 18), crop_size=edges(13, 13))),
    Processor("deit-padded", "DeiT", dict(do_resize=False, crop_size=edges(22, 20))),
    Processor("clip", "CLIP", dict(size=dict(shortest_edge=12), crop_size=edges(12, 12))),
    Processor("clip-padded", "CLIP", dict(size=dict(shortest_edge=11), crop_size=edges(14, 15))),
    Processor("siglip", "Siglip", dict(size=edges(12, 12))),
]
SIZES = [(17, 23), (40, 9), (5, 7), (12, 12)]


def make_image(height, width, seed):
    """Noise, with areas of black and white whose edges overshoot where they are resized."""
    rng = numpy.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3), dtype=numpy.uint8)
    image[: height // 2, : width // 3] = 0
    image[: height // 2, width // 3 : 2 * width // 3] = 255
    return image


def make_processor(case):
    directory = FIXTURES / "image_processors" / case.name
    shutil.rmtree(directory, ignore_errors=True)
    pillow = getattr(transformers, f"{case.kind}ImageProcessorPil")(**case.config)
    other = getattr(transformers, f"{case.kind}ImageProcessor")(**case.config)
    pillow.save_pretrained(directory)
    tensors = {}
    for i, (height, width) in enumerate(SIZES):
        image = make_image(height, width, i)
        tensors[f"image.{i}"] = torch.from_numpy(image)
        for name, processor in (("pillow", pillow), ("torchvision", other)):
            pixels = processor(PIL.Image.fromarray(image), return_tensors="pt")["pixel_values"][0]
            tensors[f"{name}.{i}"] = pixels.to(torch.float32)
    about = dict(transformers=transformers.__version__, pillow=PIL.__version__, torchvision=torchvision.__version__)
    size = finish(case.name, directory, tensors, about)
    print(f"{case.name:22} {size / 1000:4.0f} kB", flush=True)


def make_resize(_):
    directory = FIXTURES / "resize"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    tensors = {}
    for i, size in enumerate(SIZES):
        image = make_image(*size, i)
        tensors[f"image.{i}"] = torch.from_numpy(image)
        for height, width in ((8, 8), (31, 20), (3, 9)):
            for name, resample, mode in (
                ("bilinear", PIL.Image.Resampling.BILINEAR, tvf.InterpolationMode.BILINEAR),
                ("bicubic", PIL.Image.Resampling.BICUBIC, tvf.InterpolationMode.BICUBIC),
            ):
                key = f"{i}.{name}.{height}.{width}"
                resized = PIL.Image.fromarray(image).resize((width, height), resample)
                tensors[f"pillow.{key}"] = torch.from_numpy(numpy.array(resized))
                planes = torch.from_numpy(image).permute(2, 0, 1).contiguous()
                other = tvf.resize(planes, [height, width], interpolation=mode, antialias=True)
                tensors[f"torch.{key}"] = other.permute(1, 2, 0)
    about = dict(pillow=PIL.__version__, torch=torch.__version__.split("+")[0], torchvision=torchvision.__version__)
    size = finish("resize", directory, tensors, about)
    print(f"{'resize':22} {size / 1000:4.0f} kB", flush=True)


def make_pictures(_):
    """A picture as PNG and as JPEG: a red disc on a blue ground that gets lighter."""
    directory = FIXTURES / "images"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    y, x = numpy.mgrid[:24, :32]
    image = numpy.zeros((24, 32, 3), numpy.uint8)
    image[..., 2] = 100 + 4 * x
    image[(y - 12) ** 2 + (x - 14) ** 2 < 64] = (220, 30, 40)
    PIL.Image.fromarray(image).save(directory / "shapes.png")
    PIL.Image.fromarray(image).save(directory / "shapes.jpg", quality=90)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="fixtures to make, as vision/vit; by default all")
    wanted = parser.parse_args().names
    made = {f"vision/{v.name}": (make_model, v) for v in VARIANTS}
    made |= {f"image_processors/{p.name}": (make_processor, p) for p in PROCESSORS} | {"resize": (make_resize, None)}
    made |= {"images": (make_pictures, None)}
    unknown = set(wanted) - set(made)
    if unknown:
        sys.exit(f"no such fixture: {', '.join(sorted(unknown))}")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for name, (make, what) in made.items():
        if name in wanted or not wanted:
            make(what)


if __name__ == "__main__":
    main()
