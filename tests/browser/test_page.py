"""The map, painting, moving, shifting, the comparison, links."""

import unittest

from support import PageTest, Served, change, codes, data, finish, state

ADDRESS = "#model=photos-ksom&image=chelsea"


def box(page, selector):
    return page.locator(selector).bounding_box()


def at(page, selector, u, v):
    """A place on an element, as parts of its width and height, brought into view."""
    page.locator(selector).scroll_into_view_if_needed()
    it = box(page, selector)
    return it["x"] + it["width"] * u, it["y"] + it["height"] * v


def of_code(page, code):
    column, row = code % 32, code // 32
    return at(page, "#map", (column + 0.5) / 32, (row + 0.5) / 16)


def choose(page, selector, value):
    page.click(f'{selector} button[value="{value}"]')


def moved(code, across, down):
    return min(max(code % 32 + across, 0), 31) + 32 * min(max(code // 32 + down, 0), 15)


class Page(PageTest):
    @classmethod
    def setUpClass(cls):
        cls.served = Served()

    @classmethod
    def tearDownClass(cls):
        cls.served.stop()

    def start(self, address=ADDRESS, **options):
        return self.open(self.served.address + address, **options)

    def test_map_and_picture_light_each_other_up(self):
        page = self.start()
        (shown,) = codes(page)
        width = state(page, "current().width")
        most = max(set(shown), key=shown.count)
        page.mouse.move(*of_code(page, most))
        page.wait_for_selector("#picture-light.on", state="attached")
        lit = page.evaluate("""() => {
            const canvas = document.querySelector('#codes-light');
            const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
            return Array.from({ length: data.length / 4 }, (_, i) => i).filter((i) => data[4 * i + 3] === 0);
        }""")
        self.assertEqual(lit, [i for i, code in enumerate(shown) if code == most])
        self.assertIn(f"{shown.count(most)} times", page.inner_text("#code-place"))
        self.assertEqual(page.inner_text("#code-name"), f"Code {most}")

        # The other way round.
        x, y = 40, 20
        page.mouse.move(*at(page, "#codes", (x + 0.5) / width, (y + 0.5) / (len(shown) / width)))
        self.assertEqual(page.inner_text("#code-name"), f"Code {shown[y * width + x]}")
        ring, map_ = box(page, "#map-ring"), box(page, "#map")
        code = shown[y * width + x]
        self.assertAlmostEqual(ring["x"] - map_["x"], (code % 32) / 32 * map_["width"], delta=1)
        self.assertAlmostEqual(ring["y"] - map_["y"], (code // 32) / 16 * map_["height"], delta=1)
        page.mouse.move(*at(page, "#picture", (4 * x + 1) / 451, (4 * y + 1) / 300))
        self.assertEqual(page.inner_text("#code-name"), f"Code {code}")
        # A click keeps a code; leaving does not lose it, Escape does.
        page.mouse.click(*of_code(page, most))
        page.mouse.move(5, 5)
        self.assertEqual(state(page, "state.chosen"), most)
        self.assertTrue(page.locator("#map-chosen").is_visible())
        page.keyboard.press("Escape")
        self.assertIsNone(state(page, "state.chosen"))

    def test_what_the_map_shows(self):
        page = self.start()
        (shown,) = codes(page)
        pixels = "(() => { const c = document.querySelector('#map-canvas'); return [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data].join() })()"
        seen = {page.evaluate(pixels)}
        for view in ["colors", "use", "distances"]:
            choose(page, "#view", view)
            seen.add(page.evaluate(pixels))
        self.assertEqual(len(seen), 4)
        choose(page, "#view", "use")
        self.assertIn(f"{len(set(shown))} of 512 codes", page.inner_text("#legend"))
        self.assertIn(f"{max(shown.count(code) for code in set(shown))} times", page.inner_text("#legend"))
        distances = state(page, "[...state.map.distances]")
        self.assertTrue(len(distances) == 512 and all(0 < distance < 1e4 for distance in distances))

    def test_painting_changes_codes_and_picture_and_can_be_undone(self):
        page = self.start()
        (before,) = codes(page)
        first = data(page, "codes")
        choose(page, "#tool", "paint")
        page.mouse.click(*of_code(page, 77))

        def stroke():
            page.mouse.move(*at(page, "#codes", 0.3, 0.5))
            page.mouse.down()
            page.mouse.move(*at(page, "#codes", 0.6, 0.5), steps=8)
            page.mouse.up()

        picture = "document.querySelector('#reconstruction').toDataURL()"
        old = page.evaluate(picture)
        change(page, stroke)
        (after,) = codes(page)
        changed = [i for i, (a, b) in enumerate(zip(before, after)) if a != b]
        self.assertGreater(len(changed), 100)
        self.assertTrue(all(after[i] == 77 for i in changed))
        rows = {i // 113 for i in changed}
        self.assertTrue(max(rows) - min(rows) <= 5, rows)
        self.assertNotEqual(page.evaluate(picture), old)
        # On the picture itself, too.
        change(page, lambda: page.mouse.click(*at(page, "#picture", 0.8, 0.2)))
        change(page, lambda: page.click("#undo"))
        change(page, lambda: page.keyboard.press("Control+z"))
        self.assertEqual(data(page, "codes"), first)
        self.assertEqual(page.evaluate(picture), old)
        self.assertTrue(page.locator("#undo").is_disabled())

    def test_shifting_moves_every_code_and_stays_at_the_edge(self):
        page = self.start()
        (before,) = codes(page)
        psnr = float(page.inner_text("#psnr").split()[0])
        across, down = page.locator("#shifts input").all()
        change(page, lambda: across.fill("3"))
        self.assertEqual(codes(page)[0], [moved(code, 3, 0) for code in before])
        change(page, lambda: down.fill("-2"))
        self.assertEqual(codes(page)[0], [moved(code, 3, -2) for code in before])
        self.assertLess(float(page.inner_text("#psnr").split()[0]), psnr - 2)
        change(page, lambda: (across.fill("0"), down.fill("0")))
        self.assertEqual(codes(page)[0], before)

    def test_a_region_is_dragged_along_the_map(self):
        page = self.start()
        (before,) = codes(page)
        choose(page, "#tool", "move")
        page.mouse.move(*at(page, "#codes", 20.5 / 113, 10.5 / 75))
        page.mouse.down()
        page.mouse.move(*at(page, "#codes", 39.5 / 113, 29.5 / 75), steps=4)
        page.mouse.up()
        self.assertEqual(state(page, "state.region"), {"level": 0, "x0": 20, "y0": 10, "x1": 40, "y1": 30})

        def drag():
            page.mouse.move(*of_code(page, 5 * 32 + 10))
            page.mouse.down()
            page.mouse.move(*of_code(page, 6 * 32 + 14), steps=5)
            page.mouse.up()

        change(page, drag)
        page.wait_for_function("() => import('./js/state.js').then(({ state }) => state.move === null)")
        finish(page, map=False)
        inside = lambda i: 20 <= i % 113 < 40 and 10 <= i // 113 < 30
        expected = [moved(code, 4, 1) if inside(i) else code for i, code in enumerate(before)]
        self.assertEqual(codes(page)[0], expected)
        change(page, lambda: page.click("#undo"))
        self.assertEqual(codes(page)[0], before)

    def test_both_levels_of_a_vqvae2(self):
        page = self.start("#model=photos-ksom-vqvae2&image=chelsea")
        top, bottom = codes(page)
        self.assertEqual((len(top), len(bottom)), (57 * 38, 114 * 76))
        self.assertEqual(page.inner_text("#count"), "57×38 + 114×76")
        choose(page, "#level", "0")
        finish(page)
        choose(page, "#tool", "paint")
        page.mouse.click(*of_code(page, 300))
        change(page, lambda: page.mouse.click(*at(page, "#picture", 0.5, 0.5)))
        changed, same = codes(page)
        self.assertTrue(bottom == same and top != changed and changed.count(300) > top.count(300))

    def test_the_same_shift_by_two_codebooks(self):
        page = self.start()
        page.click("#compare-start")
        page.wait_for_selector("#compare[data-state=done]")
        figures = lambda: [float(text.split()[0]) for text in page.locator("#pair output").all_inner_texts()]
        before = figures()
        self.assertTrue(all(value > 24 for value in before), before)
        page.locator("#compare-shifts input").first.fill("1")
        page.wait_for_function("before => document.querySelector('#pair output').textContent !== before", arg=f"{before[0]:.2f} dB")
        page.wait_for_selector("#compare[data-state=done]")
        ksom, ema = figures()
        # The map's neighbors are similar, the others are strangers.
        self.assertGreater(ksom, ema + 3)
        page.click("#examples button:nth-child(2)")
        finish(page)
        page.wait_for_selector("#compare[data-state=done]")
        self.assertNotEqual(figures(), [ksom, ema])

    def test_a_link_brings_back_what_was_done(self):
        page = self.start()
        choose(page, "#tool", "paint")
        page.mouse.click(*of_code(page, 200))
        change(page, lambda: page.mouse.click(*at(page, "#codes", 0.5, 0.5)))
        change(page, lambda: page.locator("#shifts input").first.fill("2"))
        choose(page, "#view", "distances")
        wanted = data(page, "codes")
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.click("#copy-link")
        page.wait_for_function("() => document.querySelector('#status').textContent.startsWith('The link is copied')")
        link = page.evaluate("navigator.clipboard.readText()")
        self.assertTrue(link.startswith(self.served.address) and "image=chelsea" in link, link)
        again = self.open(link)
        self.assertEqual(data(again, "codes"), wanted)
        self.assertEqual(state(again, "[state.view, state.chosen]"), ["distances", 200])
        # What a link says wrongly is left out.
        odd = self.open(self.served.address + "#model=photos-ksom&image=chelsea&shift=x,9e9&level=7&code=-4&painted=!!&view=no")
        self.assertEqual(state(odd, "[state.view, state.chosen, state.level]"), ["looks", None, 0])
        nothing = self.open(self.served.address + "#model=nobody&image=nothing")
        self.assertIn("nobody", nothing.inner_text("#problem"))

    def test_pictures_that_are_chosen_pasted_dropped_and_taken(self):
        page = self.start()
        from support import EXAMPLES

        change(page, lambda: page.set_input_files("#file", EXAMPLES / "rocket.jpg"))
        rocket = data(page, "codes")
        linked = self.open(self.served.address + "#model=photos-ksom&image=rocket")
        self.assertEqual(data(linked, "codes"), rocket)
        give = """async ([kind, name]) => {
            const bytes = await (await fetch(`examples/${name}`)).arrayBuffer();
            const carried = new DataTransfer();
            carried.items.add(new File([bytes], name, { type: 'image/png' }));
            const options = { bubbles: true, cancelable: true };
            if (kind === 'paste') window.dispatchEvent(new ClipboardEvent('paste', { clipboardData: carried, ...options }));
            else document.body.dispatchEvent(new DragEvent('drop', { dataTransfer: carried, ...options }));
        }"""
        change(page, lambda: page.evaluate(give, ["paste", "camera.png"]))
        self.assertEqual(state(page, "state.picture.name"), "camera.png")
        change(page, lambda: page.evaluate(give, ["drop", "chelsea.png"]))
        self.assertEqual(state(page, "state.picture.width"), 451)
        page.click("#camera")
        page.wait_for_selector("#shoot:enabled")
        change(page, lambda: page.click("#shoot"))
        self.assertEqual(state(page, "state.picture.name"), "camera picture")
        # The camera is off again.
        self.assertTrue(page.evaluate("document.querySelector('#video').srcObject === null"))


if __name__ == "__main__":
    unittest.main()
