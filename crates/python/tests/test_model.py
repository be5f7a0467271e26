"""Pictures → codes → pictures: every form of input, and the same as the command."""
import pickle

import ksom
import numpy as np
import pytest
from PIL import Image
from support import IMAGES, MODELS, command_codes, noise
from support import ksom as command


@pytest.mark.parametrize("name", MODELS)
def test_the_same_as_the_command_bit_for_bit(name, tmp_path):
    model = ksom.Model.from_pretrained(name)
    codes = model.encode(IMAGES)
    for path, found in zip(IMAGES, codes):
        expected = command_codes(tmp_path / "codes.safetensors", path, name)
        found = found if isinstance(found, dict) else {"codes": found}
        assert list(found) == list(model.levels) and set(found) == set(expected)
        for level in expected:
            np.testing.assert_array_equal(found[level], expected[level])
        command("decode", tmp_path / "codes.safetensors", "-o", tmp_path / "out", "--model", name, "--overwrite")
        decoded = np.asarray(Image.open(tmp_path / "out" / (path.stem + ".png")))
        np.testing.assert_array_equal(model.decode(found if len(found) > 1 else found["codes"]), decoded)


def test_every_form_of_a_picture_has_the_same_codes(small, tmp_path):
    pixels = noise(1, 30, 45)
    path = tmp_path / "a.png"
    Image.fromarray(pixels).save(path)
    expected = small.encode(pixels)
    assert isinstance(expected, np.ndarray) and expected.dtype == np.int64 and expected.shape == (8, 12)
    transposed = np.ascontiguousarray(pixels.transpose(1, 0, 2)).transpose(1, 0, 2)
    assert not transposed.flags.c_contiguous
    for form in [str(path), path, str(path).encode(), Image.open(path), transposed, pixels[None]]:
        found = small.encode(form)
        found = found[0] if isinstance(found, list) else found
        np.testing.assert_array_equal(found, expected)
    for many in [[path, pixels, Image.open(path)], (path, pixels, pixels), np.stack([pixels] * 3), iter([pixels] * 3)]:
        found = small.encode(many)
        assert isinstance(found, list) and len(found) == 3
        for codes in found:
            np.testing.assert_array_equal(codes, expected)
    assert small.encode([]) == []


def test_pixels_of_other_kinds_are_brought_to_rgb_as_files_are(small, tmp_path):
    gray = noise(2, 16, 16)[:, :, 0]
    expected = small.encode(np.repeat(gray[:, :, None], 3, 2))
    for form in [gray, gray[:, :, None], Image.fromarray(gray)]:
        np.testing.assert_array_equal(small.encode(form), expected)

    rgba = np.random.default_rng(3).integers(0, 256, (16, 16, 4), np.uint8)
    Image.fromarray(rgba).save(tmp_path / "a.png")
    for form in [rgba, Image.fromarray(rgba), Image.open(tmp_path / "a.png")]:
        np.testing.assert_array_equal(small.encode(form), small.encode(tmp_path / "a.png"))

    palette = Image.fromarray(noise(4, 16, 16)).quantize(16)
    palette.save(tmp_path / "p.png")
    np.testing.assert_array_equal(small.encode(palette), small.encode(tmp_path / "p.png"))


def test_a_turned_photograph_is_upright(small, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise(5, 16, 32)).save(tmp_path / "a.png", exif=exif)
    codes = small.encode(tmp_path / "a.png")
    assert codes.shape == (8, 4)
    np.testing.assert_array_equal(small.encode(Image.open(tmp_path / "a.png")), codes)


@pytest.mark.parametrize("name", ["cifar10-ksom", "photos-ksom-vqvae2"])
def test_odd_sizes_come_back(name):
    model = ksom.Model.from_pretrained(name)
    sizes = [(1, 1), (3, 5), (31, 33), (40, 24)]
    codes = model.encode([noise(6, *size) for size in sizes])
    assert [picture.shape for picture in model.decode(codes)] == [(*size, 3) for size in sizes]
    assert all(picture.dtype == np.uint8 for picture in model.decode(codes))

    one = codes[1]
    level = one if isinstance(one, np.ndarray) else one["codes_top"]
    assert level.picture_size == (5, 3)
    plain = {name: np.asarray(level) for name, level in one.items()} if isinstance(one, dict) else np.asarray(one)
    stride = model.strides[0]
    assert model.decode(plain).shape == (-(-3 // stride) * stride, -(-5 // stride) * stride, 3), "all they cover"
    assert model.decode(plain, sizes=(5, 3)).shape == (3, 5, 3)
    np.testing.assert_array_equal(model.decode(plain, sizes=(5, 3)), model.decode(one))
    np.testing.assert_array_equal(model.decode(pickle.loads(pickle.dumps(one))), model.decode(one))


def test_codes_are_arrays_like_any_other(small):
    codes = small.encode(noise(7, 31, 33))
    assert isinstance(codes.max(), np.integer) and type(codes == codes) is np.ndarray
    assert codes[2:4].picture_size is None and codes.copy().picture_size == (33, 31)
    assert ((codes + 1) % 512).picture_size == (33, 31)
    assert codes.astype(np.uint16).picture_size == (33, 31)
    assert small.decode(codes.astype(np.uint16)).shape == (31, 33, 3)


def test_many_codes_in_one_array(small, two_levels):
    pictures = [noise(seed, 16, 24) for seed in range(3)]
    codes = small.encode(pictures)
    for form in [np.stack(codes), tuple(codes), np.stack(codes).astype(np.uint8 if np.max(codes) < 256 else np.int32)]:
        for found, expected in zip(small.decode(form), small.decode(codes)):
            np.testing.assert_array_equal(found, expected)
    codes = two_levels.encode(pictures)
    stacked = {level: np.stack([picture[level] for picture in codes]) for level in two_levels.levels}
    for found, expected in zip(two_levels.decode(stacked), two_levels.decode(codes)):
        np.testing.assert_array_equal(found, expected)


def test_what_a_model_is(small, two_levels):
    assert small.grid == (32, 16) and small.num_codes == 512 and small.levels == ("codes",) and small.strides == (4,)
    assert small.config["architecture"]["kind"] == "vqvae"
    codebook = small.codebook
    assert codebook.shape == (512, 64) and codebook.dtype == np.float32
    assert not codebook.flags.writeable and not codebook.flags.owndata, "a view of the model's memory"
    np.testing.assert_array_equal(codebook, small.state()["_vq_vae._w"])
    np.testing.assert_array_equal(small.codebook_map[70 // 32, 70 % 32], codebook[70])
    assert two_levels.levels == ("codes_top", "codes_bottom") and two_levels.strides == (8, 4)
    assert list(two_levels.codebook) == list(two_levels.levels)


def test_a_codebook_outlives_its_model():
    codebook = ksom.Model.from_pretrained("cifar10-ema").codebook
    kept = codebook.copy()
    for seed in range(3):
        ksom.Model.from_pretrained("photos-ksom").encode(noise(seed, 64, 64))
    np.testing.assert_array_equal(codebook, kept)


def test_a_saved_model_is_the_same(small, tmp_path):
    small.save(tmp_path / "model")
    loaded = ksom.Model.from_pretrained(tmp_path / "model")
    picture = noise(8, 32, 32)
    assert loaded.fingerprint == small.fingerprint
    np.testing.assert_array_equal(loaded.encode(picture), small.encode(picture))
    for model in [small, loaded]:
        again = pickle.loads(pickle.dumps(model))
        np.testing.assert_array_equal(again.encode(picture), small.encode(picture))
    small.save(tmp_path / "half", half=True)
    weights = [(tmp_path / name / "model.safetensors").stat().st_size for name in ("model", "half")]
    assert weights[1] < 0.7 * weights[0]


def test_pictures_are_found_as_the_command_finds_them(tmp_path):
    (tmp_path / "b").mkdir()
    for name in ["b/2.png", "1.png"]:
        Image.fromarray(noise(1, 8, 8)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    assert ksom.find_pictures(tmp_path) == [str(tmp_path / "1.png"), str(tmp_path / "b/2.png")]
    assert ksom.find_pictures(tmp_path / "**/*.png") == ksom.find_pictures(tmp_path)


def test_figures(small, two_levels):
    codes = small.encode([noise(seed, 32, 32) for seed in range(4)])
    for image in [ksom.figures.map(small), ksom.figures.usage(small, codes), ksom.figures.usage(small, codes[0]),
                  ksom.figures.neighborhoods(small), ksom.figures.side_by_side(*small.decode(codes))]:
        assert isinstance(image, Image.Image) and image.mode == "RGB" and len(image.getcolors(1 << 24)) > 2
    tops = ksom.figures.map(two_levels, level="top", enlarge=1)
    assert tops.width > 32 * 16 and tops.height > 16 * 16
    with pytest.raises(ksom.InvalidError, match="codes_top, codes_bottom"):
        ksom.figures.map(two_levels, level="middle")
