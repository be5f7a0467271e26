"""Errors are of their kinds, with the library's message; no panic gets through."""
import builtins
import inspect

import ksom
import numpy as np
import pytest
from ksom import _ksom
from PIL import Image
from support import noise


def test_each_error_is_of_its_kind(small, two_levels, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n not a picture")
    (tmp_path / "empty").mkdir()
    (tmp_path / "codes.safetensors").write_bytes(b"no safetensors")
    other = ksom.CodesFile.of(small, small.encode([noise(1, 8, 8)]), ["a"])
    cases = [
        (ksom.MissingFileError, FileNotFoundError, "nowhere.png", lambda: small.encode(tmp_path / "nowhere.png")),
        (ksom.PictureError, ValueError, "broken.png", lambda: small.encode([broken])),
        (ksom.InvalidError, ValueError, "is a folder", lambda: small.encode(tmp_path)),
        (ksom.NoModelError, LookupError, "no-such-model", lambda: ksom.Model.from_pretrained("no-such-model")),
        (ksom.NoModelError, LookupError, "empty", lambda: ksom.Model.from_pretrained(tmp_path / "empty")),
        (ksom.FormatError, ValueError, "codes.safetensors", lambda: ksom.CodesFile(tmp_path / "codes.safetensors")),
        (ksom.WrongModelError, ValueError, "another model", lambda: two_levels.decode(other)),
        (ksom.DeviceError, RuntimeError, "tpu", lambda: ksom.Model.from_pretrained("photos-ksom", device="tpu")),
        (ksom.DataError, ValueError, "no images", lambda: ksom.find_pictures(tmp_path / "empty")),
        (ksom.TrainingError, RuntimeError, "resume", lambda: ksom.train(out=tmp_path / "x", resume=True)),
        (ksom.InvalidError, ValueError, "1 to 1048576 codes", lambda: ksom.Quantizer(0, 4)),
        (ksom.InvalidError, ValueError, "below 512, found -1", lambda: small.decode(np.full((2, 2), -1))),
        (ksom.InvalidError, ValueError, "below 512, found 512", lambda: small.decode(np.full((2, 2), 512))),
        (ksom.InvalidError, ValueError, "whole numbers", lambda: small.decode(np.zeros((2, 2)))),
        (ksom.InvalidError, ValueError, "codes_top, codes_bottom", lambda: two_levels.decode(np.zeros((2, 2), int))),
        (ksom.InvalidError, ValueError, "uint8", lambda: small.encode(np.zeros((8, 8, 3), np.float32))),
        (ksom.InvalidError, ValueError, "permute", lambda: small.encode(np.zeros((3, 8, 8), np.uint8))),
        (ksom.InvalidError, ValueError, "0", lambda: small.encode(np.zeros((0, 8, 3), np.uint8))),
        (ksom.InvalidError, ValueError, "paths, PIL", lambda: small.encode(7)),
        (ksom.InvalidError, ValueError, "sizes of 1", lambda: small.decode([np.zeros((2, 2), int)], sizes=[(8, 8)] * 3)),
        (ksom.InvalidError, ValueError, "has 2×2 codes", lambda: small.decode(np.zeros((3, 2), int), sizes=(8, 8))),
        (ksom.PictureError, ValueError, "mode I", lambda: small.encode(Image.new("I", (8, 8)))),
    ]
    for kind, builtin, text, call in cases:
        with pytest.raises(ksom.KsomError, match=text) as caught:
            call()
        assert type(caught.value) is kind and isinstance(caught.value, builtin), caught.value


def test_a_model_of_the_hub_that_is_not_there(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(ksom.HubError, match="nobody/nothing") as caught:
        ksom.Model.from_pretrained("nobody/nothing")
    assert caught.value.problem == "offline"


@pytest.mark.parametrize("on_pool", [False, True])
def test_no_panic_gets_through(on_pool, small):
    for _ in range(5):
        with pytest.raises(ksom.InternalError, match="on purpose"):
            _ksom.panic(on_pool)
    assert small.encode(noise(1, 8, 8)).shape == (2, 2), "what comes after works"


def test_every_error_is_exported_and_has_a_sentence():
    kinds = [kind for _, kind in inspect.getmembers(ksom.errors, inspect.isclass) if issubclass(kind, ksom.KsomError)]
    assert sorted(kind.__name__ for kind in kinds) == sorted(ksom.errors.__all__)
    for kind in kinds:
        assert getattr(ksom, kind.__name__) is kind and kind.__doc__ and kind.__name__ not in dir(builtins)
