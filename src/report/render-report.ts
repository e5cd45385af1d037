/**
 * Renders a training report as one self-contained HTML file: inline SVG, no script, no external address. Pure: data in,
 * text out. The templates (markup.ts) escape all text that comes from data.
 */
import { curvesSection } from "./sections/curves-section.ts";
import { headSection } from "./sections/head-section.ts";
import { Markup, markup } from "./charts/markup.ts";
import { movementSection } from "./sections/movement-section.ts";
import type { ReportData } from "./report-data.ts";
import { preferencesSection } from "./sections/preferences-section.ts";
import { rewardsSection } from "./sections/rewards-section.ts";
import { routerSection } from "./sections/router-section.ts";
import { samplesSection } from "./sections/samples-section.ts";
import { spectrumSection } from "./sections/spectrum-section.ts";
import { STYLE } from "./charts/style.ts";

interface Section {
  readonly id: string;
  readonly title: string;
  readonly body: Markup | null;
}

/** The whole file. */
export function renderReport(data: ReportData): string {
  const sections: readonly Section[] = [
    { id: "curves", title: "Curves", body: curvesSection(data) },
    { id: "rewards", title: "Rewards", body: rewardsSection(data) },
    { id: "preferences", title: "Preferences", body: preferencesSection(data) },
    { id: "samples", title: "Samples", body: data.samples.length === 0 ? null : samplesSection(data) },
    { id: "spectrum", title: "Directions", body: spectrumSection(data.layers) },
    { id: "movement", title: "What moved", body: movementSection(data) },
    { id: "router", title: "Heads", body: data.gates === null ? null : routerSection(data.gates) },
    { id: "settings", title: "Settings", body: settingsSection(data) },
  ];
  const shown = sections.filter(({ body }) => body !== null);
  // The policy forbids everything that the file does not need, in case escaping ever fails.
  return markup`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${data.title} – training report</title>
<style>${new Markup(STYLE)}</style>
</head>
<body>
${headSection(data)}
<nav aria-label="sections">${shown.map(({ id, title }) => markup`<a href="#${id}">${title}</a>`)}</nav>
<main>
${shown.map(({ id, title, body }) => markup`<section id="${id}" aria-labelledby="${id}-heading"><h2 id="${id}-heading">${title}</h2>${body}</section>`)}
</main>
</body>
</html>
`.text;
}

function settingsSection({ facts }: ReportData): Markup | null {
  if (facts.length === 0) return null;
  return markup`<table class="facts"><tbody>${facts.map(({ name, value }) => markup`<tr><th scope="row">${name}</th><td>${value}</td></tr>`)}</tbody></table>`;
}
