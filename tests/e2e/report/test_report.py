"""`petit report`: a page that a browser draws without a complaint, on any screen, in both themes, and on paper."""

import json
import pathlib
import unittest

import petit_e2e
from petit_e2e import BIN, SOURCE, petit
from report import browser

SAMPLE = SOURCE / "tests/data/report/results.json"
SCREENSHOTS = BIN.parent / "report-screenshots"

OVERFLOWING = """
  [...document.querySelectorAll("body *")].filter((one) => !one.closest(".scroll, .chart, .visually-hidden"))
    .filter((one) => one.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
    .map((one) => one.outerHTML.slice(0, 120))
"""
CUT_CHARTS = """
  [...document.querySelectorAll(".chart svg")].filter((svg) => {
    const box = svg.getBoundingClientRect(), around = svg.closest("figure").getBoundingClientRect();
    return box.width < 100 || box.height < 60 || box.right > around.right + 1;
  }).map((svg) => svg.closest(".chart").id)
"""
DECLARED = "JSON.parse(document.getElementById('charts').textContent).map((chart) => chart.id)"
DRAWN = "[...document.querySelectorAll('.chart')].filter((c) => c.querySelector('svg, canvas')).map((c) => c.id)"


class PageCase(petit_e2e.TestCase):
    def make(self, change=lambda document: None, name="results.json"):
        document = json.loads(SAMPLE.read_text())
        change(document)
        path = self.directory / name
        path.write_text(json.dumps(document))
        petit("report", path)
        return path.with_name("report.html")


class Report(PageCase):
    def test_it_writes_both_pages_beside_the_results_and_says_so(self):
        self.make()
        done = petit("report", self.directory)
        self.assertEqual(done.stdout.split(), [f"{self.directory}/report.html", f"{self.directory}/report.md"])
        self.assertIn("## Distillation against quantization", (self.directory / "report.md").read_text())

    def test_it_writes_where_it_is_told_with_the_title_that_it_is_told(self):
        html, markdown = self.directory / "a.html", self.directory / "b.md"
        petit("report", SAMPLE, "--html", html, "--markdown", markdown, "--title", "A & B")
        self.assertIn("<title>A &amp; B</title>", html.read_text())
        self.assertIn("## A &amp; B", markdown.read_text())

    def test_a_file_that_cannot_be_used_is_named_with_what_is_wrong(self):
        bad = self.directory / "results.json"
        bad.write_text('{"schema": "petit.results/1", "sets": [], "models": [{"name": 7}], "results": []}')
        for asked, words in ((self.directory / "none.json", "No such file"), (bad, "$.models[0].name: want a string"),
                             (self.directory, "$.models[0].name")):
            done = petit("report", asked, check=False)
            self.assertEqual(done.returncode, 2)
            self.assertIn(words, done.stderr)
        done = petit("report", SAMPLE, "--html", self.directory / "no/such/folder.html", check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("folder.html", done.stderr)


@unittest.skipUnless(browser.find(), "there is no Chromium")
class ReportInABrowser(PageCase):
    @classmethod
    def setUpClass(cls):
        cls.browser = browser.Browser()
        cls.addClassCleanup(cls.browser.close)
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)

    def open(self, page, width=1280, theme="light"):
        self.browser.resize(width, 900)
        self.browser.prefer(theme)
        self.browser.open(page)
        self.browser.evaluate("window.petitReport.then(() => 1)")

    def shoot(self, name):
        self.browser.screenshot(SCREENSHOTS / f"{name}.png")

    def test_every_chart_is_drawn_and_nothing_complains_or_is_loaded(self):
        page = self.make()
        for theme in ("light", "dark"):
            for width in (1280, 360):
                with self.subTest(theme=theme, width=width):
                    self.open(page, width, theme)
                    declared = self.browser.evaluate(DECLARED)
                    self.assertEqual(len(declared), 11)
                    self.assertEqual(self.browser.evaluate(DRAWN), declared)
                    self.assertEqual(self.browser.problems, [])
                    self.assertEqual([url for url in self.browser.requests if not url.startswith("data:")],
                                     [page.as_uri()])
                    self.assertLessEqual(self.browser.evaluate("document.documentElement.scrollWidth"), width)
                    self.assertEqual(self.browser.evaluate(OVERFLOWING), [])
                    self.assertEqual(self.browser.evaluate(CUT_CHARTS), [])
                    self.shoot(f"{theme}-{width}")

    def test_the_switch_turns_page_and_charts_from_one_theme_to_the_other(self):
        self.open(self.make(), theme="dark")
        colours = ("[document.body, document.querySelector('.chart svg .role-axis-label text')]"
                   ".map((one, i) => getComputedStyle(one)[i ? 'fill' : 'backgroundColor']).join()")
        dark = self.browser.evaluate(colours)
        self.browser.evaluate("document.getElementById('theme').click()")
        light = self.browser.evaluate(colours)
        self.browser.evaluate("document.getElementById('theme').click()")
        self.assertEqual(self.browser.evaluate(colours), dark)
        self.assertNotEqual(dark.split(",")[0], light.split(",")[0])
        self.open(self.make(), theme="light")
        self.assertEqual(self.browser.evaluate(colours), light)

    def test_a_sentence_that_holds_a_script_is_shown_and_not_run(self):
        evil = "<img src=x onerror=\"document.title='ran'\"><script>document.title='ran'</script>"

        def spoil(document):
            document["title"] = evil
            document["models"][0]["label"] = evil
            document["examples"][0]["hypotheses"][0]["text"] = evil

        self.open(self.make(spoil))
        self.assertEqual(self.browser.evaluate("document.title"), evil)
        self.assertEqual(self.browser.evaluate("document.querySelector('h1').textContent"), evil)
        self.assertIn("<script>", self.browser.evaluate("document.querySelector('.hypothesis p').textContent"))
        self.assertEqual(self.browser.evaluate("document.querySelectorAll('img').length"), 0)
        self.assertEqual(self.browser.problems, [])

    def test_it_prints_light_with_its_tables_open_and_the_stamp_on_every_page(self):
        def random_weights(document):
            document["random_weights"] = True

        self.open(self.make(random_weights), theme="dark")
        self.browser.prefer("dark", media="print")
        style = "getComputedStyle(document.querySelector('{}')).{}"
        self.assertEqual(self.browser.evaluate(style.format("body", "backgroundColor")), "rgb(255, 255, 255)")
        self.assertEqual(self.browser.evaluate(style.format(".watermark", "position")), "fixed")
        self.assertGreater(self.browser.evaluate("document.querySelectorAll('details:not([open])').length"), 0)
        self.assertGreater(self.browser.evaluate("""
            Math.min(...[...document.querySelectorAll('details table')].map((t) => t.getBoundingClientRect().height))
        """), 20)
        self.browser.prefer("dark")
        pdf = SCREENSHOTS / "print.pdf"
        self.browser.print_pdf(pdf)
        self.assertEqual(pathlib.Path(pdf).read_bytes()[:5], b"%PDF-")
        self.assertEqual(self.browser.problems, [])


if __name__ == "__main__":
    unittest.main()
