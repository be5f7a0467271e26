"""What is exported gives the same codes and pixels in onnxruntime."""
import ksom
import numpy as np
import pytest
from PIL import Image
from support import IMAGES, MODELS, noise

onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (pip install onnxruntime)")

#: Codes may differ where two distances agree to 1e-5 (scripts/onnx_check.py looks at each): hardly ever.
MOST = 1e-4


def sessions(model, folder, **options):
    paths = model.export_onnx(folder, **options)
    assert [path.rsplit("/", 1)[-1] for path in paths] == ["encoder.onnx", "decoder.onnx"]
    return [onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]) for path in paths]


def padded(pixels, stride):
    height, width = pixels.shape[:2]
    pixels = np.pad(pixels, ((0, -height % stride), (0, -width % stride), (0, 0)), mode="edge")
    return pixels.transpose(2, 0, 1)[None].astype(np.float32) / 255


@pytest.mark.parametrize("name", MODELS)
def test_codes_and_pixels_are_the_same(name, tmp_path):
    model = ksom.Model.from_pretrained(name)
    encoder, decoder = sessions(model, tmp_path)
    differ = total = 0
    for path in IMAGES:
        pixels = np.asarray(Image.open(path).convert("RGB"))[:200, :300]
        expected = model.encode(pixels)
        expected = expected if isinstance(expected, dict) else {"codes": expected}
        found = dict(zip(expected, encoder.run(list(expected), {"pixels": padded(pixels, model.strides[0])})))
        for level, codes in expected.items():
            assert found[level].dtype == np.int64 and found[level].shape == (1, *codes.shape)
            differ, total = differ + int((found[level][0] != codes).sum()), total + codes.size
        decoded = decoder.run(["pixels"], {level: codes[None] for level, codes in expected.items()})[0][0]
        decoded = decoded.transpose(1, 2, 0)[: pixels.shape[0], : pixels.shape[1]] * 255
        there = model.decode(expected if len(expected) > 1 else expected["codes"])
        assert np.abs(decoded - there).max() <= 0.5 + 255 * 1e-4
    print(f"{name}: {differ} of {total} codes differ")
    assert differ <= total * MOST


def test_weights_as_float16(small, tmp_path):
    sizes = {}
    for options in [{}, {"half": True}, {"dtype": "f16"}]:
        encoder, _ = sessions(small, tmp_path / str(len(sizes)), **options)
        sizes[str(options)] = (tmp_path / str(len(sizes)) / "encoder.onnx").stat().st_size
        codes = encoder.run(["codes"], {"pixels": padded(noise(1, 32, 32), 4)})[0]
        assert codes.shape == (1, 8, 8)
    whole, half, halves = sizes.values()
    assert half < 0.7 * whole and halves < 0.7 * whole
    with pytest.raises(ksom.InvalidError, match="f8"):
        small.export_onnx(tmp_path / "x", dtype="f8")
