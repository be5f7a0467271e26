"""Keyboard, screen readers, narrow windows, no shift of the layout."""

import unittest

from support import PageTest, Served, change, codes, data, finish, state

ADDRESS = "#model=photos-ksom&image=chelsea"


class Access(PageTest):
    @classmethod
    def setUpClass(cls):
        cls.served = Served()

    @classmethod
    def tearDownClass(cls):
        cls.served.stop()

    def start(self, **options):
        return self.open(self.served.address + ADDRESS, **options)

    def test_the_keyboard_reaches_everything(self):
        page = self.start()
        wanted = page.evaluate("""() => [...document.querySelectorAll('main button, main select, main input, main [tabindex="0"], footer a')]
            .filter((it) => it.checkVisibility() && !it.disabled && it.tabIndex >= 0).map((it) => it.outerHTML.slice(0, 120))""")
        reached = set()
        for _ in range(len(wanted) + 8):
            page.keyboard.press("Tab")
            found = page.evaluate("""() => {
                const it = document.activeElement;
                const style = getComputedStyle(it, it.id === 'split' ? '::after' : null);
                return [it.outerHTML.slice(0, 120), style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0, it.tagName];
            }""")
            if found[2] != "BODY":
                self.assertTrue(found[1], f"no visible focus: {found[0]}")
            reached.add(found[0])
        self.assertEqual([it for it in wanted if it not in reached], [])
        # Radio buttons by arrow keys.
        page.focus("#view button[aria-checked=true]")
        page.keyboard.press("ArrowRight")
        self.assertEqual(state(page, "state.view"), "colors")

    def test_codes_are_walked_painted_and_moved_by_keys_alone(self):
        page = self.start()
        (before,) = codes(page)
        page.focus("#map")
        page.keyboard.press("Home")
        for key in ["ArrowRight"] * 5 + ["ArrowDown"] * 2:
            page.keyboard.press(key)
        spoken = page.inner_text("#map-cell", timeout=5000)
        self.assertIn("Code 69", spoken)
        self.assertEqual(page.get_attribute("#map-cell", "aria-colindex"), "6")
        page.keyboard.press("Enter")
        self.assertEqual(state(page, "state.chosen"), 69)
        page.focus("#tool button[aria-checked=true]")
        page.keyboard.press("ArrowRight")
        self.assertEqual(state(page, "state.tool"), "paint")
        page.focus("#codes")
        page.keyboard.press("Home")
        page.keyboard.press("Shift+ArrowDown")
        change(page, lambda: page.keyboard.press("Space"))
        (painted,) = codes(page)
        self.assertEqual(painted[8 * 113], 69)
        page.focus("#tool button[aria-checked=true]")
        page.keyboard.press("ArrowRight")
        page.focus("#codes")
        page.keyboard.press("Enter")
        page.keyboard.press("Shift+ArrowRight")
        page.keyboard.press("Shift+ArrowDown")
        page.keyboard.press("Enter")
        region = state(page, "state.region")
        self.assertEqual((region["x1"] - region["x0"], region["y1"] - region["y0"]), (9, 9))
        page.focus("#map")
        change(page, lambda: page.keyboard.press("ArrowDown"))
        (moved,) = codes(page)
        place = region["y0"] * 113 + region["x0"]
        self.assertEqual(moved[place], min(painted[place] + 32, 480 + painted[place] % 32))
        page.click("#tool button[value=look]")
        page.focus("#split")
        page.keyboard.press("ArrowLeft")
        self.assertEqual(page.get_attribute("#split", "aria-valuenow"), "48")

    def test_everything_has_a_name_and_news_are_told(self):
        page = self.start()
        nameless = page.evaluate("""() => [...document.querySelectorAll('button, select, input, [role=grid], [role=slider], [role=radiogroup], dialog, img, section')]
            .filter((it) => !(it.textContent.trim() || it.getAttribute('aria-label') || it.getAttribute('aria-labelledby') || it.labels?.length || it.alt || it.querySelector('img[alt]')))
            .map((it) => it.outerHTML.slice(0, 120))""")
        self.assertEqual(nameless, [])
        ids = page.evaluate("[...document.querySelectorAll('[aria-labelledby]')].filter((it) => !document.getElementById(it.getAttribute('aria-labelledby'))).length")
        self.assertEqual(ids, 0)
        self.assertEqual(page.get_attribute("#status", "aria-live"), "polite")
        self.assertIn("dB", page.inner_text("#status"))
        self.assertEqual(page.get_attribute("html", "lang"), "en")

    def test_nothing_shifts_and_nothing_overflows(self):
        for width, height in [(1440, 900), (1024, 768), (768, 1024), (390, 844)]:
            page = self.page(width, height, has_touch=width < 500)
            page.add_init_script("""window.shifts = [];
                new PerformanceObserver((list) => { for (const it of list.getEntries()) window.shifts.push([it.value, ...it.sources.map((s) => s.node?.outerHTML?.slice(0, 80) ?? '')]); })
                    .observe({ type: 'layout-shift', buffered: true });""")
            page.goto(self.served.address + ADDRESS)
            finish(page)
            change(page, lambda: page.select_option("#model", "photos-ksom-vqvae2"))
            change(page, lambda: page.click("#examples button:nth-child(3)"))
            page.wait_for_timeout(1000)
            shifts = page.evaluate("window.shifts")
            self.assertLess(sum(shift[0] for shift in shifts), 0.001, f"{width}: {shifts}")
            wide = page.evaluate("document.documentElement.scrollWidth")
            self.assertLessEqual(wide, width, f"{width} pixels")

    def test_touch(self):
        page = self.start(width=390, height=844, has_touch=True, is_mobile=True, device_scale_factor=2)
        page.locator("#map").scroll_into_view_if_needed()
        it = page.locator("#map").bounding_box()
        page.touchscreen.tap(it["x"] + it["width"] * 5.5 / 32, it["y"] + it["height"] * 2.5 / 16)
        self.assertEqual(state(page, "state.chosen"), 69)
        page.tap("#tool button[value=paint]")
        page.locator("#picture").scroll_into_view_if_needed()
        it = page.locator("#picture").bounding_box()
        change(page, lambda: page.touchscreen.tap(it["x"] + it["width"] * 0.25, it["y"] + it["height"] * 0.25))
        self.assertGreater(codes(page)[0].count(69), 10)

    def test_words_can_be_read_in_light_and_dark(self):
        for scheme in ["light", "dark"]:
            page = self.start(color_scheme=scheme)
            low = page.evaluate("""() => {
                const light = (rgb) => { const [r, g, b] = rgb.match(/[\\d.]+/g).map((x) => { x /= 255; return x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
                const ground = (it) => { for (; it; it = it.parentElement) { const c = getComputedStyle(it).backgroundColor; if (c && !c.endsWith(', 0)')) return c; } return 'rgb(255, 255, 255)'; };
                return [...document.querySelectorAll('h1, h2, p, dt, dd, button, label, span, a, figcaption, output')]
                    .filter((it) => it.checkVisibility() && it.textContent.trim() && !it.closest(':disabled') && !it.closest('.skip'))
                    .map((it) => { const [a, b] = [light(getComputedStyle(it).color), light(ground(it))]; return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), it.outerHTML.slice(0, 80)]; })
                    .filter(([contrast]) => contrast < 4.5);
            }""")
            self.assertEqual(low, [], scheme)


if __name__ == "__main__":
    unittest.main()
