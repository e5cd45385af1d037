/** The report as a file: whole, self-contained, well-formed, and unmoved by whatever stands in the data. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { escapeText, markup } from "../../src/report/charts/markup.ts";
import { renderReport } from "../../src/report/render-report.ts";
import type { LayerReport, ReportData } from "../../src/report/report-data.ts";
import { xmlBreaches } from "../helpers/markup-check.ts";

const HOSTILE = `</pre></svg><script>alert("x")</script><img src=https://example.org/a.png onerror='x'>&amp;\u0000\u001b\uD800\u202E{{}} \${x}`;

function layers(numBlocks: number, modules: readonly string[], tensors: readonly string[]): readonly LayerReport[] {
  return Array.from({ length: numBlocks }, (_, block) =>
    modules.map((module, m): LayerReport => ({
      name: `layers.${block}.${module}`,
      k: 4 + m,
      singularValues: Float32Array.from({ length: 64 }, (_value, i) => 10 / (1 + i)),
      tensors: tensors.map((name, t) => ({
        name,
        count: 16,
        initialNorm: name === "v" ? 0 : 3,
        finalNorm: 4 + block,
        movedNorm: 1 + t,
      })),
    })),
  ).flat();
}

function report(text: string, over: Partial<ReportData> = {}): ReportData {
  return {
    title: text,
    method: "mo-sara",
    command: `mosara train --data '${text}'`,
    headline: {
      evalLossBase: 2.5,
      evalLoss: 1.25,
      bestStep: 40,
      trainLoss: 1.1,
      numParams: 1234,
      numBaseParams: 250_000,
      bytes: 5678,
      steps: 50,
      plannedSteps: 60,
    },
    facts: [{ name: text, value: text }],
    log: [
      { step: 0, evalLoss: 2.5 },
      ...Array.from({ length: 50 }, (_, i) => ({
        step: i + 1,
        loss: 2.5 / (1 + i / 10),
        lr: 0.1,
        gradNorm: 2 / (1 + i),
        tokens: 100,
        tokensPerSecond: 1000,
      })),
      { step: 50, evalLoss: 1.25 },
    ],
    clip: 1,
    layers: layers(3, ["self_attn.q_proj", `mlp.${text}`], ["lambda", "v", text]),
    gates: { meanGates: new Map([["layers.0.self_attn.q_proj", [0.75, 0.25]]]), tokens: 500, source: text },
    samples: [{ prompt: text, expected: text, base: text, trained: "" }],
    maxAnswerTokens: 96,
    notes: [text],
    ...over,
  };
}

function svgs(html: string): readonly string[] {
  return html.match(/<svg[\s\S]*?<\/svg>/g) ?? [];
}
/** HTML's own elements without an end are the only thing in the file that XML does not have. */
function asXml(html: string): string {
  return html
    .replace("<!doctype html>", "")
    .replaceAll(/<(meta [^>]*)>/g, "<$1/>")
    .replace(/<style>[\s\S]*?<\/style>/, "");
}

describe("a report", () => {
  const html = renderReport(report("an adapter.mosara"));

  it("has every section, and a way to each", () => {
    const ids = ["curves", "samples", "spectrum", "movement", "router", "settings"];
    for (const id of ids) {
      expect(html).toContain(`<section id="${id}"`);
      expect(html).toContain(`href="#${id}"`);
    }
  });

  it("says first what came out", () => {
    for (const one of ["2.500 → 1.250", "better: −50.0 %", "1,234", "5.68 kB", "best after 40, of 60 planned"])
      expect(html).toContain(one);
    expect(html.indexOf("2.500 → 1.250")).toBeLessThan(html.indexOf("<section"));
  });

  it("draws the curves, the spectra, what moved, and the heads", () => {
    const titles = svgs(html).map((svg) => /<title[^>]*>([^<]*)/.exec(svg)?.[1] ?? "");
    for (const wanted of [
      /held-out loss/,
      /Learning rate/,
      /Gradient norm/,
      /Directions used/,
      /Singular values of q_proj/,
      /λ: how far/,
      /v: size/,
      /heads of q_proj/,
    ])
      expect(
        titles.filter((title) => wanted.test(title)),
        String(wanted),
      ).toHaveLength(1);
  });

  it("is well-formed, with a title and a description in every chart and no id twice", () => {
    expect(xmlBreaches(asXml(html))).toEqual([]);
    expect(svgs(html).length).toBeGreaterThan(8);
    for (const svg of svgs(html)) {
      const [, title, description] = /aria-labelledby="(\S+) (\S+)"/.exec(svg) ?? [];
      expect(svg).toMatch(new RegExp(`<title id="${title}">[^<]+</title><desc id="${description}">[^<]+</desc>`));
    }
    const ids = [...html.matchAll(/ id="([^"]*)"/g)].map(([, id]) => id);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it("needs nothing but itself", () => {
    expect(html).not.toMatch(/<script|<link|<img|<iframe|@import|url\(|https?:|\bsrc=|\bon\w+=/i);
    for (const [, href] of html.matchAll(/href="([^"]*)"/g)) expect(href).toMatch(/^#/);
    expect(html).toContain("default-src 'none'");
  });

  it("follows the reader's light or dark, their phone and their paper", () => {
    for (const one of ["prefers-color-scheme: dark", "max-width: 760px", "@media print", 'name="viewport"'])
      expect(html).toContain(one);
  });

  it("leaves out what a run does not have", () => {
    const bare = renderReport(
      report("x", { layers: [], gates: null, samples: [], notes: [], facts: [], log: [], clip: null }),
    );
    for (const id of ["samples", "spectrum", "movement", "router", "settings"]) expect(bare).not.toContain(`"${id}"`);
    expect(xmlBreaches(asXml(bare))).toEqual([]);
    const { headline } = report("x");
    const unheld = renderReport(
      report("x", { headline: { ...headline, evalLoss: null, evalLossBase: null, bestStep: null } }),
    );
    expect(unheld).toContain("nothing was held out");
  });

  it("shows norms of the factors of a low-rank method", () => {
    const data = report("x", { method: "sara", layers: layers(2, ["q_proj"], ["A", "Lambda", "B"]), gates: null });
    for (const wanted of ["A: norm after", "Λ: norm after", "B: norm after"])
      expect(renderReport(data)).toContain(wanted);
  });

  it("stays small and readable for a deep model, a long run and many heads", () => {
    const modules = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];
    const log = Array.from({ length: 100_000 }, (_, i) => ({
      step: i + 1,
      loss: 1 + Math.random(),
      lr: 0.1,
      gradNorm: Math.random(),
      tokens: 1,
      tokensPerSecond: 1 + Math.random(),
    }));
    const deep = layers(48, modules, ["lambda", "v"]);
    const meanGates = new Map(deep.map(({ name }) => [name, Array.from({ length: 200 }, () => 1 / 200)]));
    const big = renderReport(report("x", { layers: deep, log, gates: { meanGates, tokens: 1, source: "x" } }));
    expect(big).toContain("the 48 most used are shown");
    expect(big.length).toBeLessThan(6_000_000);
    expect(svgs(big).flatMap(xmlBreaches)).toEqual([]);
  });
});

describe("hostile data", () => {
  it("stays text in every place", () => {
    const html = renderReport(report(HOSTILE));
    expect(html).not.toMatch(/<script|<img|<\/pre><\/svg>/);
    expect(html).not.toContain("\u001b");
    expect(xmlBreaches(asXml(html))).toEqual([]);
    expect(html.split("&lt;script&gt;").length).toBeGreaterThan(12);
    // As many elements as with harmless text: nothing of the data became one.
    const elements = (text: string) => renderReport(report(text)).match(/<[a-z]/gi)?.length;
    expect(elements(HOSTILE)).toBe(elements("harmless words"));
  });

  it("is escaped whatever it is", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        expect(xmlBreaches(markup`<p title="${text}">${text}</p>`.text)).toEqual([]);
        expect(escapeText(text)).not.toMatch(/[<>"']/);
      }),
    );
  });
});

describe("the checker of well-formedness", () => {
  it.each([
    "<a><b></a></b>",
    "<a>",
    "<a x=1></a>",
    '<a x="1" x="2"/>',
    "a & b",
    "<a>\u0001</a>",
    "<a>&nbsp;</a>",
    '<a x="<"/>',
  ])("refuses %s", (xml) => {
    expect(xmlBreaches(xml).length).toBeGreaterThan(0);
  });
});

it("shows the rewards of graded answers, and no loss of 1 − reward", () => {
  const step = { lr: 0.05, gradNorm: 0.1, tokens: 100, tokensPerSecond: 1000, loss: -0.001 };
  const rewards = Array.from({ length: 5 }, (_, i) => ({
    ...step,
    step: i + 1,
    reward: i / 5,
    reward_std: 0.2,
    "completions/mean_length": 9,
    "sampling/sampling_logp_difference/max": (i + 1) * 7.5e-7,
  }));
  const log = [{ step: 0, evalLoss: 0.9, reward: 0.1 }, ...rewards, { step: 5, evalLoss: 0.25, reward: 0.75 }];
  const { headline } = report("");
  const html = renderReport(
    report("a.mosara", { log, headline: { ...headline, trainReward: 0.8, evalRewardBase: 0.1, evalReward: 0.75 } }),
  );
  expect(xmlBreaches(asXml(html))).toEqual([]);
  expect(html).toMatch(/held-out reward, base → trained<[\s\S]*0\.100 → 0\.750/);
  expect(html).toContain("differ by at most 3.75×10⁻⁶");
  expect(html).toMatch(/Held-out reward from 0\.100 to 0\.750/);
  expect(html).not.toContain("Held-out loss");
});
