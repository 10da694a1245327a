// Draws the charts, in the page's own colours, so that they follow its theme and its print; the theme's switch.
const root = document.documentElement;
const prefersDark = matchMedia('(prefers-color-scheme: dark)');
const button = document.getElementById('theme');
button.hidden = false;
button.addEventListener('click', () => {
  const dark = root.dataset.theme ? root.dataset.theme === 'dark' : prefersDark.matches;
  root.dataset.theme = dark ? 'light' : 'dark';
});

const closed = () => document.querySelectorAll('details:not([open])');
let opened = [];
addEventListener('beforeprint', () => {
  opened = [...closed()];
  opened.forEach((d) => {
    d.open = true;
  });
});
addEventListener('afterprint', () => {
  opened.forEach((d) => {
    d.open = false;
  });
  opened = [];
});

const font = getComputedStyle(document.body).fontFamily;
const config = {
  font,
  background: null,
  view: {stroke: null},
  axis: {
    labelColor: 'var(--muted)',
    titleColor: 'var(--muted)',
    gridColor: 'var(--line)',
    domainColor: 'var(--line)',
    tickColor: 'var(--line)',
    titleFontWeight: 500,
    labelFontSize: 12,
    titleFontSize: 12,
    labelLimit: 150,
    titlePadding: 8,
  },
  axisY: {domain: false, ticks: false, labelPadding: 6},
  rule: {color: 'var(--c0)'},
};
// Settles when every chart is drawn.
window.petitReport =
    Promise.all(JSON.parse(document.getElementById('charts').textContent)
                    .map(
                        ({id, spec}) => window.vegaEmbed(
                            document.getElementById(id), spec, {config, renderer: 'svg', actions: false, ast: true})));
