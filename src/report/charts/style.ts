/**
 * The style of a report: light and dark by the reader's preference, one column on a phone, and printable. Text has a
 * contrast of 4.5 with its background, lines have 3. The series' colours differ for every common kind of colour
 * blindness: Okabe and Ito's, darkened or lightened to that contrast.
 */
const LIGHT = `
--ground: #ffffff; --panel: #f6f7f9; --ink: #1b1f24; --quiet: #57606a; --rule: #d8dde3; --grid: #e6e9ed; --level: #57606a; --accent: #00619c;
--c0: #0069a8; --c1: #c84f00; --c2: #00805c; --c3: #a8458a; --c4: #836500; --c5: #4a4f57; --c6: #2a93c8; --on-strong: #ffffff; --on-weak: #1b1f24;`;
const DARK = `
--ground: #14171b; --panel: #1d2126; --ink: #e8eaed; --quiet: #a4adb7; --rule: #363c44; --grid: #2a2f36; --level: #a4adb7; --accent: #74bdf2;
--c0: #5cb3f0; --c1: #ff9447; --c2: #36cfa2; --c3: #e798cd; --c4: #d9bd45; --c5: #c5cad1; --c6: #3f8fc4; --on-strong: #101317; --on-weak: #e8eaed;`;

export const STYLE = `
:root { color-scheme: light dark; ${LIGHT} }
@media (prefers-color-scheme: dark) { :root { ${DARK} } }
* { box-sizing: border-box; }
html { background: var(--ground); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; -webkit-text-size-adjust: 100%; }
body { max-width: 1080px; margin: 0 auto; padding: 28px 20px 60px; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 18px; overflow-wrap: anywhere; }
h2 { font-size: 1.3rem; margin: 44px 0 8px; padding-top: 14px; border-top: 1px solid var(--rule); }
h2.small, h3, .kind { font-size: .8rem; font-weight: 600; color: var(--quiet); margin: 0 0 4px; border: 0; padding: 0; }
h2.small { margin-top: 22px; }
p { max-width: 70ch; margin: 0 0 14px; }
pre { font: .88rem/1.5 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; unicode-bidi: isolate; }
.command { background: var(--panel); border: 1px solid var(--rule); border-radius: 8px; padding: 12px 14px; }
.command span { display: inline-block; max-width: 100%; vertical-align: top; }
.tiles { display: grid; grid-template-columns: 2fr repeat(2, 1fr); gap: 10px; }
.tile { background: var(--panel); border: 1px solid var(--rule); border-radius: 8px; padding: 10px 14px; display: flex; flex-direction: column; min-width: 0; }
.tile .label, .tile .more { font-size: .8rem; color: var(--quiet); }
.tile .value { font-size: 1.3rem; font-weight: 600; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.tile.main { grid-row: span 2; justify-content: center; }
.tile.main .value { font-size: 2.1rem; line-height: 1.25; color: var(--accent); }
.notes { margin: 14px 0 0; padding-left: 20px; color: var(--quiet); }
nav { display: flex; flex-wrap: wrap; gap: 6px 18px; margin-top: 26px; font-size: .9rem; }
a { color: var(--accent); }
.charts { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 26px 32px; }
figure { margin: 0; min-width: 0; }
figcaption { font-weight: 600; font-size: .95rem; margin-bottom: 4px; }
.chart { display: block; width: 100%; height: auto; font: 14px system-ui, sans-serif; }
.chart text { fill: var(--ink); }
.chart .tick, .chart .axis { fill: var(--quiet); font-variant-numeric: tabular-nums; }
.chart .grid { stroke: var(--grid); fill: none; }
.chart .frame { stroke: var(--quiet); fill: none; }
.chart .level { stroke: var(--level); stroke-dasharray: 6 4; stroke-width: 1.3; fill: none; }
.chart .line { fill: none; stroke: currentColor; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
.chart .faint .line { stroke-width: 1; opacity: .38; }
.chart .mark { fill: currentColor; stroke: var(--ground); stroke-width: 1; }
.chart .bar { fill: currentColor; }
.chart .again.bar { fill-opacity: .3; stroke: currentColor; }
.chart .again .mark { fill: var(--ground); stroke: currentColor; stroke-width: 1.5; }
.chart .cell { fill: var(--c0); }
.chart .on-strong { fill: var(--on-strong); }
.chart .on-weak { fill: var(--on-weak); }
.s0 { color: var(--c0); } .s1 { color: var(--c1); } .s2 { color: var(--c2); } .s3 { color: var(--c3); } .s4 { color: var(--c4); } .s5 { color: var(--c5); } .s6 { color: var(--c6); }
.sample { border: 1px solid var(--rule); border-radius: 8px; margin-bottom: 14px; overflow: hidden; break-inside: avoid; }
.sample .prompt { padding: 10px 14px 4px; }
.sample .answers { display: grid; grid-template-columns: 1fr 1fr; border-top: 1px solid var(--rule); margin-top: 8px; background: var(--panel); }
.sample .answers > div { padding: 10px 14px 12px; min-width: 0; }
.sample .after { border-left: 1px solid var(--rule); }
.nothing { color: var(--quiet); font-style: italic; margin: 0; }
details { margin-top: 22px; }
summary { cursor: pointer; color: var(--accent); }
.wide { overflow-x: auto; margin-top: 10px; white-space: nowrap; }
table { border-collapse: collapse; font-size: .86rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 4px 14px 4px 0; border-bottom: 1px solid var(--rule); vertical-align: top; font-weight: normal; }
thead th, .facts th { color: var(--quiet); }
.facts td { overflow-wrap: anywhere; }
.n { text-align: right; white-space: nowrap; }
@media (max-width: 760px) {
  body { padding: 18px 14px 40px; }
  .charts, .sample .answers { grid-template-columns: minmax(0, 1fr); }
  .sample .after { border-left: 0; border-top: 1px solid var(--rule); }
  .command span { display: inline-block; max-width: 100%; vertical-align: top; }
.tiles { grid-template-columns: 1fr 1fr; }
  .tile.main { grid-row: auto; grid-column: 1 / -1; }
  .tile.main .value { font-size: 1.7rem; }
}
@media print {
  :root { ${LIGHT} }
  html { font-size: 13px; }
  body { max-width: none; padding: 0; }
  nav, summary { display: none; }
  figure, tr { break-inside: avoid; }
  h2 { break-after: avoid; }
}
`;
