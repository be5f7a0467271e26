"""Models of one's own and of the Hub; files that are broken; a worker that dies."""

import tempfile
import unittest
from pathlib import Path

from support import EXAMPLES, Folder, Hub, MODELS, PageTest, Served, change, command, data, finish, state

FILES = ["config.json", "model.safetensors"]


class Models(PageTest):
    @classmethod
    def setUpClass(cls):
        cls.hub = Hub()
        cls.served = Served(environment={"HF_ENDPOINT": cls.hub.endpoint})

    @classmethod
    def tearDownClass(cls):
        cls.served.stop()
        cls.hub.stop()

    def start(self):
        return self.open(self.served.address + "#model=photos-ksom&image=chelsea")

    def expected(self, model):
        return data(self.open(f"{self.served.address}#model={model}&image=chelsea"), "codes")

    def drop(self, page, files):
        """Drops files, by name and contents, onto the page."""
        carried = page.evaluate_handle("""(files) => {
            const carried = new DataTransfer();
            for (const [name, bytes] of files) carried.items.add(new File([Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0))], name));
            return carried;
        }""", [[name, __import__("base64").b64encode(contents).decode()] for name, contents in files])
        page.dispatch_event("body", "drop", {"dataTransfer": carried})

    def both(self, model):
        return [(name, (MODELS / model / name).read_bytes()) for name in FILES]

    def test_two_files_make_a_model(self):
        page = self.start()
        change(page, lambda: self.drop(page, self.both("cifar10-ema")))
        self.assertEqual(state(page, "state.model.name"), "your model")
        self.assertEqual(data(page, "codes"), self.expected("cifar10-ema"))
        # Chosen in the dialog; the other way round, and under a name of its own.
        page.click("#add-model")
        change(page, lambda: page.set_input_files("#model-file", [MODELS / "cifar10-ksom" / name for name in reversed(FILES)]))
        self.assertEqual(state(page, "state.model.name"), "your model 2")
        self.assertEqual(data(page, "codes"), self.expected("cifar10-ksom"))
        self.assertFalse(page.evaluate("document.querySelector('#model-dialog').open"))

    def test_half_precision_is_read_too(self):
        with tempfile.TemporaryDirectory() as folder:
            command("convert", MODELS / "photos-ksom", f"{folder}/half", "--half")
            served = Served(f"{folder}/half")
            try:
                page = self.open(served.address)
                self.assertEqual(page.input_value("#model"), "half")
                self.assertEqual(state(page, "state.model.info.levels[0].grid"), [32, 16])
            finally:
                served.stop()

    def test_a_model_of_the_hub(self):
        self.hub.push("cifar10-ksom-gaussian", "owner/gaussian")
        page = self.start()
        page.click("#add-model")
        page.fill("#hub-name", "owner/gaussian@main")
        change(page, lambda: page.click("#hub-get"))
        self.assertEqual(page.input_value("#model"), "owner/gaussian@main")
        self.assertEqual(data(page, "codes"), self.expected("cifar10-ksom-gaussian"))
        self.allowed += ["401", "404", "Failed to load resource"]
        for name, says in [
            ("owner/nothing", "owner/nothing"), ("owner/gaussian@v9", "v9"), ("../x", "owner/name"), ("https://evil.example/a", "owner/name"),
            ("owner/name/more", "owner/name"), ("", "owner/name"), ("a/b@../../c", "owner/name"),
        ]:
            page.click("#add-model")
            page.fill("#hub-name", name)
            page.keyboard.press("Enter")
            page.wait_for_function("says => document.querySelector('#model-problem').textContent.includes(says)", arg=says)
            page.keyboard.press("Escape")
        self.assertEqual(page.input_value("#model"), "owner/gaussian@main")

    def test_broken_models_are_told_and_the_page_lives(self):
        page = self.start()
        good = data(page, "codes")
        config, weights = (contents for _, contents in self.both("photos-ksom"))
        other = (MODELS / "photos-ksom-vqvae2" / "config.json").read_bytes()
        cases = [
            ([("config.json", b"{}"), ("model.safetensors", weights)], ""),
            ([("config.json", b"\xff\xfe"), ("model.safetensors", weights)], ""),
            ([("config.json", config), ("model.safetensors", weights[:1000])], ""),
            ([("config.json", config), ("model.safetensors", b"")], ""),
            ([("config.json", other), ("model.safetensors", weights)], "missing"),
            ([("config.json", config.replace(b'"num_codes": 512', b'"num_codes": 4000000000')), ("model.safetensors", weights)], ""),
            ([("config.json", config)], "two files"),
            ([("config.json", config), ("more.json", config)], "two files"),
        ]
        for files, says in cases:
            self.drop(page, files)
            page.wait_for_selector("#problem:not([hidden])")
            message = page.inner_text("#problem p")
            self.assertTrue(len(message) > 20 and says in message, message)
            self.assertNotIn("undefined", message)
            page.click("#problem button")
            self.assertEqual(state(page, "state.model.name"), "photos-ksom")
        across = page.locator("#shifts input").first
        change(page, lambda: across.fill("1"))
        change(page, lambda: across.fill("0"))
        self.assertEqual(data(page, "codes"), good)

    def test_broken_pictures_are_told_and_the_page_lives(self):
        page = self.start()
        good = data(page, "codes")
        picture = (EXAMPLES / "chelsea.png").read_bytes()
        jpeg = (EXAMPLES / "rocket.jpg").read_bytes()
        huge = picture[:16] + (200_000).to_bytes(4, "big") + (200_000).to_bytes(4, "big") + picture[24:]
        with tempfile.TemporaryDirectory() as folder:
            for name, contents in [
                ("empty.png", b""), ("text.png", b"no picture at all, but longer than a few bytes"), ("half.png", picture[:2000]),
                ("half.jpg", jpeg[:300]), ("huge.png", huge), ("page.html", b"<!doctype html>"),
            ]:
                path = Path(folder) / name
                path.write_bytes(contents)
                page.set_input_files("#file", path)
                page.wait_for_selector("#problem:not([hidden])")
                self.assertIn(name, page.inner_text("#problem p"))
                page.click("#problem button")
                # What was there before is there still.
                self.assertEqual(state(page, "state.picture.name"), "chelsea.png")
        change(page, lambda: page.locator("#shifts input").first.fill("1"))
        change(page, lambda: page.locator("#shifts input").first.fill("0"))
        self.assertEqual(data(page, "codes"), good)

    def test_a_worker_that_dies_is_replaced(self):
        page = self.start()
        good = data(page, "codes")
        for _ in range(2):
            page.evaluate("import('./js/session.js').then(async ({ ask, recover }) => { try { await ask('fail', {}) } catch (error) { await recover(error) } })")
            page.wait_for_selector("#problem:not([hidden])")
            self.assertIn("this is a bug in ksom", page.inner_text("#problem p"))
            page.click("#problem button")
            change(page, lambda: page.locator("#shifts input").first.fill("1"))
            change(page, lambda: page.locator("#shifts input").first.fill("0"))
            self.assertEqual(data(page, "codes"), good)

    def test_the_exported_folder_does_the_same(self):
        with tempfile.TemporaryDirectory() as folder:
            command("explore", "--export", f"{folder}/site")
            site = Folder(f"{folder}/site")
            try:
                for model, image in [("photos-ksom", "chelsea"), ("photos-ksom-vqvae2", "astronaut"), ("cifar10-ema", "rocket")]:
                    link = f"#model={model}&image={image}"
                    page = self.open(site.address + link)
                    self.assertEqual(data(page, "codes"), data(self.open(self.served.address + link), "codes"))
                page.click("#compare-start")
                page.wait_for_selector("#compare[data-state=done]")
                change(page, lambda: self.drop(page, self.both("cifar10-ksom")))
                finish(page)
            finally:
                site.stop()


if __name__ == "__main__":
    unittest.main()
