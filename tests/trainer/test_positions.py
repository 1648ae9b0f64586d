"""The tower's positions: SigLIP's own at its own size, interpolated for larger images."""

import io

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers import Idefics2Config, Idefics2ForConditionalGeneration, SiglipVisionConfig, SiglipVisionModel

from shards import mixture
from shards.image import decode, size_for
from tests.trainer import small
from tests.trainer.pictures import picture
from trainer import schema
from trainer.images import ImageReader, to_pixels
from trainer.model import build
from trainer.positions import interpolated

SIZES = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}


@pytest.fixture(scope="module")
def backbones(tmp_path_factory):
    """A decoder, and a tower with the real grid: 384 pixels, patches of 14."""
    folder = tmp_path_factory.mktemp("backbones")
    torch.manual_seed(0)
    from transformers import MistralConfig, MistralForCausalLM

    sizes = {**SIZES, "hidden_size": 64, "num_key_value_heads": 2}
    MistralForCausalLM(MistralConfig(vocab_size=256, sliding_window=None, **sizes)).save_pretrained(folder / "text")
    SiglipVisionModel(SiglipVisionConfig(**SIZES, image_size=384, patch_size=14)).save_pretrained(folder / "vision")
    return schema.Backbones(text=str(folder / "text"), vision=str(folder / "vision"))


def built(backbones: schema.Backbones, side: int):
    spec = schema.Model(backbones=backbones, perceiver=small.MODEL.perceiver)
    return build(spec, small.TOKENIZER.vocab_size, small.SPECIALS, side).eval()


def test_a_square_of_stage_one_gives_the_features_of_siglip_exactly(backbones):
    """27 x 27 patches of 384 pixels. SigLIP drops the last 6 pixels of its 384, which hold no full patch."""
    stage1 = mixture.PRESETS["stage1"].sources["pairs"].image
    shown = ImageReader(decode).image(picture(1)[0], (stage1.mode, stage1.longest, stage1.shortest))
    assert shown.shape == (378, 378, 3)
    model, tower = built(backbones, stage1.longest), SiglipVisionModel.from_pretrained(backbones.vision).eval()
    pixels = to_pixels([shown], 14)
    assert pixels.values.shape[-2:] == (378, 378)
    with torch.no_grad():
        own = torch.nn.functional.pad(pixels.values[0], (0, 6, 0, 6), value=0.7)
        expected = tower(own).last_hidden_state
        features = model.model.get_image_features(*pixels, return_dict=True).last_hidden_state
    assert expected.shape[1] == 729 and torch.equal(features, expected)


def test_980_pixels_get_the_shape_of_the_released_model_and_its_corners_stay(backbones):
    model = built(backbones, 980)
    table = model.model.vision_model.embeddings.position_embedding.weight
    # the sizes of HuggingFaceM4/idefics2-8b's config.json
    with torch.device("meta"):
        released = Idefics2ForConditionalGeneration(
            Idefics2Config(
                vision_config={**SIZES, "image_size": 980, "patch_size": 14},
                text_config={**SIZES, "model_type": "mistral", "num_key_value_heads": 2, "hidden_size": 64},
                perceiver_config={"hidden_size": 64},
            )
        )
    assert table.shape == released.model.vision_model.embeddings.position_embedding.weight.shape == (4900, 32)
    assert model.config.vision_config.image_size == released.config.vision_config.image_size == 980
    tower = SiglipVisionModel.from_pretrained(backbones.vision)
    own = next(weight for name, weight in tower.named_parameters() if "position_embedding" in name)
    grid, large = own.view(27, 27, 32), table.view(70, 70, 32)
    # the centre of 27 is the middle of the two central rows of 70; a corner of 70 is near that of 27
    middle = torch.nn.functional.interpolate(grid.permute(2, 0, 1)[None], (70, 70), mode="bilinear")[0].permute(1, 2, 0)
    assert torch.corrcoef(torch.stack([large.flatten(), middle.flatten()]))[0, 1] > 0.95
    seen = []
    hook = model.model.vision_model.embeddings.position_embedding.register_forward_hook(
        lambda module, args, out: seen.append(args[0])
    )
    with torch.no_grad():
        model.model.vision_model.embeddings(torch.zeros(1, 3, 980, 980), torch.ones(1, 70, 70, dtype=torch.bool))
    hook.remove()
    assert torch.equal(seen[0][0], torch.arange(4900))  # every patch has a position of its own


def test_interpolation_is_bicubic_without_aligned_corners_and_the_identity_at_equal_size():
    table = torch.randn(9, 5)
    assert torch.equal(interpolated(table, 3), table)
    rows = torch.tensor([0.0, 5.0, -2.0, 3.0])
    large = interpolated(rows[:, None].expand(4, 4).reshape(16, 1), 8).view(8, 8)
    # Row 3 of 8 is at (3 + 0.5) / 2 - 0.5 = 1.25 of 4. Keys's cubic kernel with a = -0.75, as in torch:
    near = lambda x: 1.25 * x**3 - 2.25 * x**2 + 1
    far = lambda x: -0.75 * (x**3 - 5 * x**2 + 8 * x - 4)
    expected = far(1.25) * rows[0] + near(0.25) * rows[1] + near(0.75) * rows[2] + far(1.75) * rows[3]
    assert large[3].tolist() == pytest.approx([float(expected)] * 8, abs=1e-5)


def test_a_stage_with_larger_images_interpolates_the_positions_that_it_starts_from(backbones, tmp_path):
    first = built(backbones, 384)
    first.save_pretrained(tmp_path)
    start = schema.Model(pretrained=str(tmp_path))
    arguments = (start, small.TOKENIZER.vocab_size, small.SPECIALS)
    same, larger = build(*arguments, 378), build(*arguments, 980)
    before = first.model.vision_model.embeddings.position_embedding.weight
    assert torch.equal(same.model.vision_model.embeddings.position_embedding.weight, before)
    table = larger.model.vision_model.embeddings.position_embedding.weight
    assert table.requires_grad and torch.equal(table, interpolated(before.detach(), 70))
    larger.save_pretrained(tmp_path / "again")
    again = Idefics2ForConditionalGeneration.from_pretrained(tmp_path / "again")
    assert torch.equal(again.model.vision_model.embeddings.position_embedding.weight, table)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 3000), st.integers(1, 3000), st.sampled_from(["native", "square"]), st.integers(14, 1000))
def test_sides_are_multiples_of_the_patch_within_the_limit(width, height, mode, longest):
    shortest = min(378, longest)
    plain, sides = (
        size_for(width, height, mode, longest, shortest),
        size_for(width, height, mode, longest, shortest, 14),
    )
    assert all(side % 14 == 0 and 14 <= side <= max(longest, 14) for side in sides)
    assert all(0 <= before - side < 14 or side == 14 for before, side in zip(plain, sides, strict=True))


@pytest.mark.parametrize("by", ["pillow", "opencv", "simplejpeg"])
def test_every_decoder_gives_full_patches(by):
    from shards.image import decoders

    if by not in decoders():
        pytest.skip(f"{by} is not installed")
    out = io.BytesIO()
    Image.fromarray(small.noise(1, 600, 821)).save(out, "JPEG")
    assert decode(out.getvalue(), "native", 980, 378, by, multiple=14).shape == (588, 812, 3)
    views = ImageReader(decode).views(out.getvalue(), ("native", 980, 378))
    assert len(views) == 5 and all(side % 14 == 0 for view in views for side in view.shape[:2])
