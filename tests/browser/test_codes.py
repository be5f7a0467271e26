"""The browser's codes and pictures are the command's."""

import json
import struct
import subprocess
import tempfile
import unittest
from pathlib import Path

from PIL import Image, ImageChops
from support import BUILT, EXAMPLES, PageTest, Served, codes, command, data, read_npy, sha256

ZOO = [
    "photos-ksom", "photos-ksom-4096", "photos-ksom-f8", "photos-ksom-vqvae2",
    "cifar10-ksom", "cifar10-ksom-gaussian", "cifar10-ema",
]
PICTURES = ["chelsea.png", "coffee.png", "astronaut.jpg", "rocket.jpg", "camera.png"]


def save(page, button, folder, count=1):
    """What a button downloads."""
    found = []

    def listen(download):
        found.append(download)

    page.on("download", listen)
    page.click(f"#{button}")
    for _ in range(2400):
        if len(found) == count:
            break
        page.wait_for_timeout(25)
    page.remove_listener("download", listen)
    assert len(found) == count, f"{button} gave {len(found)} files"
    paths = []
    for download in found:
        path = Path(folder) / download.suggested_filename
        download.save_as(path)
        paths.append(path)
    return sorted(paths)


class Codes(PageTest):
    @classmethod
    def setUpClass(cls):
        cls.served = Served()

    @classmethod
    def tearDownClass(cls):
        cls.served.stop()

    def test_codes_and_pictures_are_those_of_the_command(self):
        total = {"codes": 0, "different": 0, "equal": 0}
        for model in ZOO:
            for picture in PICTURES:
                with self.subTest(model=model, picture=picture), tempfile.TemporaryDirectory() as folder:
                    found = self.compare(model, picture, Path(folder))
                    for key in total:
                        total[key] += found[key]
        print(f"\n  codes beside the command's: {json.dumps(total)}")
        self.assertGreater(total["codes"], 300_000)

    def compare(self, model, picture, folder):
        page = self.page()
        page.goto(f"{self.served.address}#model={model}&image={picture.split('.')[0]}")
        page.wait_for_selector("html[data-state=done]", state="attached")
        levels = codes(page)
        self.assertEqual(data(page, "codes"), sha256(levels))
        files = []
        for number, level in enumerate(levels):
            files.append(folder / f"{number}.u32")
            files[-1].write_bytes(struct.pack(f"<{len(level)}I", *level))
        finished = subprocess.run([BUILT / "examples" / "ties", model, EXAMPLES / picture, *files], capture_output=True, text=True)
        self.assertEqual(finished.returncode, 0, finished.stderr)
        found = json.loads(finished.stdout)
        self.assertEqual(found["wrong"], 0, found)

        # The same files as the command's, where the codes are the same.
        stem = picture.split(".")[0]
        (of_browser,) = save(page, "save-safetensors", folder)
        of_command = folder / "command.safetensors"
        command("encode", EXAMPLES / picture, "-o", of_command, "--model", model, "--npy")
        arrays = save(page, "save-npy", folder, len(levels))
        names = ["codes"] if len(levels) == 1 else ["codes_top", "codes_bottom"]
        expected = [f"{stem}.npy"] if len(levels) == 1 else [f"{stem}.codes_bottom.npy", f"{stem}.codes_top.npy"]
        self.assertEqual([path.name for path in arrays], expected)
        for name, level in zip(names, levels):
            mine = folder / (f"{stem}.npy" if len(levels) == 1 else f"{stem}.{name}.npy")
            self.assertEqual(read_npy(mine)[0], level)
            if found["different"] == 0:
                self.assertEqual(mine.read_bytes(), (folder / f"command.{name}.npy").read_bytes())
        if found["different"] == 0:
            self.assertEqual(of_browser.read_bytes(), of_command.read_bytes())

        # The command decodes the browser's codes to the browser's picture.
        (png,) = save(page, "save-png", folder)
        command("decode", of_browser, "-o", folder / "decoded", "--model", model)
        (decoded,) = (folder / "decoded").rglob("*.png")
        one, other = Image.open(png).convert("RGB"), Image.open(decoded).convert("RGB")
        self.assertEqual(one.size, other.size)
        most = max(high for _, high in ImageChops.difference(one, other).getextrema())
        self.assertLessEqual(most, 1)
        page.context.close()
        return found

    def test_figures_are_those_of_the_command(self):
        page = self.open(f"{self.served.address}#model=photos-ksom&image=coffee")
        with tempfile.TemporaryDirectory() as folder:
            report = command("reconstruct", EXAMPLES / "coffee.png", "-o", f"{folder}/c.png", "--model", "photos-ksom")
        psnr = [value for value in json.dumps(report).replace("{", ",").split(",") if '"psnr"' in value][0].split(":")[1]
        self.assertAlmostEqual(float(page.inner_text("#psnr").split()[0]), float(psnr.strip(" }]")), delta=0.011)
        self.assertEqual(page.inner_text("#bits"), "0.5625")
        self.assertEqual(page.inner_text("#count"), "150×100")


if __name__ == "__main__":
    unittest.main()
