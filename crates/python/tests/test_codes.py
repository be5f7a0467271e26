"""Files of codes and data sets of them."""
import pickle

import ksom
import numpy as np
import pytest
from PIL import Image
from support import ksom as command
from support import noise


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pictures, and files of their codes as the command writes them."""
    root = tmp_path_factory.mktemp("codes")
    for part, sizes in [("a", [(24, 32)] * 3), ("b", [(9, 10), (32, 24)])]:
        (root / part).mkdir()
        for number, size in enumerate(sizes):
            Image.fromarray(noise(number, *size)).save(root / part / f"{part}{number}.png")
        (root / "tokens").mkdir(exist_ok=True)
        compress = ["--compress"] if part == "b" else []
        command("encode", root / part, "-o", root / "tokens" / f"{part}.safetensors", "--model", "cifar10-ksom", *compress)
    return root


def test_a_codes_file(folder, small):
    file = ksom.CodesFile(folder / "tokens/a.safetensors")
    assert len(file) == 3 and file.names == ["a0.png", "a1.png", "a2.png"]
    assert file.sizes.tolist() == [[32, 24]] * 3 and file.levels == ("codes",) and file.grid == (32, 16)
    assert file.num_codes == 512 and file.model == "cifar10-ksom" and file.fingerprint == small.fingerprint
    expected = small.encode(ksom.find_pictures(folder / "a"))
    for number, codes in enumerate(file):
        np.testing.assert_array_equal(codes, expected[number])
        np.testing.assert_array_equal(file[f"a{number}.png"], expected[number])
    np.testing.assert_array_equal(file.array(), np.stack(expected))
    np.testing.assert_array_equal(file[-1], expected[-1])
    assert [codes.shape for codes in file[1:]] == [(6, 8)] * 2
    for found, codes in zip(small.decode(file), expected):
        np.testing.assert_array_equal(found, small.decode(codes))
    with pytest.raises(IndexError):
        file[3]
    with pytest.raises(KeyError):
        file["nobody"]
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(file)).array(), file.array())


def test_pictures_of_several_sizes_have_no_one_array(folder):
    with pytest.raises(ksom.InvalidError, match="several sizes"):
        ksom.CodesFile(folder / "tokens/b.safetensors").array()


@pytest.mark.parametrize("compress", [False, True])
def test_what_is_written_is_what_the_command_reads(small, two_levels, tmp_path, compress):
    for model in (small, two_levels):
        pictures = [noise(1, 17, 33), noise(2, 24, 16)]
        codes = model.encode(pictures)
        ksom.CodesFile.of(model, codes, ["one.png", "two.png"]).save(tmp_path / "c.safetensors", compress=compress)
        command("decode", tmp_path / "c.safetensors", "-o", tmp_path / "out", "--overwrite")
        for name, decoded in zip(["one", "two"], model.decode(codes)):
            np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / f"out/{name}.png")), decoded)
    with pytest.raises(ksom.InvalidError, match="names"):
        ksom.CodesFile.of(small, small.encode([noise(1, 8, 8)]), ["a", "b"])


def test_a_data_set_of_codes(folder, small):
    dataset = ksom.CodesDataset(folder / "tokens")
    assert len(dataset) == 5 and dataset.names == ["a0.png", "a1.png", "a2.png", "b0.png", "b1.png"]
    assert dataset.sizes.tolist() == [[32, 24]] * 3 + [[10, 9], [24, 32]]
    assert dataset.num_codes == 512 and dataset.grid == (32, 16) and dataset.fingerprint == small.fingerprint
    expected = small.encode(ksom.find_pictures(folder / "a", folder / "b"))
    files = [folder / "tokens/a.safetensors", folder / "tokens/b.safetensors"]
    for data in [dataset, pickle.loads(pickle.dumps(dataset)), ksom.CodesDataset(files)]:
        assert len(data) == 5
        for number, codes in enumerate(data):
            assert type(codes) is np.ndarray and codes.dtype == np.int64
            np.testing.assert_array_equal(codes, expected[number])
        np.testing.assert_array_equal(data[-1], expected[-1])
        with pytest.raises(IndexError):
            data[5]
    for found, codes in zip(small.decode(dataset), expected):
        np.testing.assert_array_equal(found, small.decode(codes))


def test_a_data_set_of_two_levels(two_levels, tmp_path):
    codes = two_levels.encode([noise(seed, 16, 16) for seed in range(2)])
    ksom.CodesFile.of(two_levels, codes).save(tmp_path / "c.safetensors")
    dataset = ksom.CodesDataset(tmp_path / "c.safetensors")
    assert dataset.names == ["0", "1"] and list(dataset[0]) == ["codes_top", "codes_bottom"]
    np.testing.assert_array_equal(dataset[1]["codes_bottom"], codes[1]["codes_bottom"])


def test_codes_of_different_codebooks_are_no_data_set(folder, small, tmp_path):
    (tmp_path / "a.safetensors").write_bytes((folder / "tokens/a.safetensors").read_bytes())
    other = ksom.Model.from_pretrained("cifar10-ema")
    ksom.CodesFile.of(other, other.encode([noise(1, 8, 8)])).save(tmp_path / "b.safetensors")
    with pytest.raises(ksom.WrongModelError, match="cifar10-ema"):
        ksom.CodesDataset(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ksom.InvalidError, match="found none"):
        ksom.CodesDataset(tmp_path / "empty")
