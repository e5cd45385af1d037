/** Scales, numbers and curves of the report: what is drawn where, and how it is written. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { barChart } from "../../src/report/charts/bar-chart.ts";
import { smoothed, thinned } from "../../src/report/sections/curves.ts";
import { groupByModule } from "../../src/report/sections/layer-names.ts";
import { layerReports } from "../../src/report/sections/layer-moves.ts";
import { lineChart } from "../../src/report/charts/line-chart.ts";
import { byteSize, count, fixed, percent, significant, timeSpan } from "../../src/report/charts/numbers.ts";
import { linearScale, logScale } from "../../src/report/charts/scale.ts";
import { hostTensor } from "../../src/tensor/host-tensor.ts";

describe("a scale", () => {
  it("has few round ticks in order, and every value of its range on it", () => {
    const value = fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e12, max: 1e12 });
    fc.assert(
      fc.property(value, value, (a, b) => {
        const [low, high] = [Math.min(a, b), Math.max(a, b)];
        const { from, to, ticks, at } = linearScale(low, high);
        expect(from).toBeLessThanOrEqual(low + 1e-6 * (to - from));
        expect(to).toBeGreaterThanOrEqual(high - 1e-6 * (to - from));
        expect(ticks.length).toBeGreaterThanOrEqual(2);
        expect(ticks.length).toBeLessThanOrEqual(9);
        expect(ticks).toEqual(ticks.toSorted((x, y) => x - y));
        expect(at(low)).toBeLessThanOrEqual(at(high));
      }),
    );
  });

  it("has ticks on a log axis from the least to the greatest number", () => {
    const exponent = fc.double({ noNaN: true, min: -30, max: 30 });
    fc.assert(
      fc.property(exponent, exponent, (a, b) => {
        const [low, high] = [10 ** Math.min(a, b), 10 ** Math.max(a, b)];
        const { from, to, ticks, at } = logScale(low, high);
        expect(from).toBeLessThanOrEqual(low * 1.0001);
        expect(to).toBeGreaterThanOrEqual(high * 0.9999);
        expect(ticks.length).toBeGreaterThanOrEqual(1);
        expect(ticks.length).toBeLessThanOrEqual(12);
        expect([at(from), at(to)]).toEqual([0, 1]);
      }),
    );
  });

  it("steps by 1, 2 or 5 times a power of ten", () => {
    expect(linearScale(0, 97).ticks).toEqual([0, 20, 40, 60, 80, 100]);
    expect(linearScale(0.013, 0.021).ticks).toEqual([0.012, 0.014, 0.016, 0.018, 0.02, 0.022]);
    expect(logScale(0.03, 4).ticks).toEqual([0.01, 0.1, 1, 10]);
    expect(logScale(3, 40).ticks).toEqual([2, 5, 10, 20, 50]);
  });
});

describe("a number", () => {
  it.each([
    [significant(0.012345), "0.0123"],
    [significant(12345), "12,300"],
    [significant(1e-7), "10⁻⁷"],
    [significant(-2.5e-7), "−2.5×10⁻⁷"],
    [significant(1.5e9), "1.5×10⁹"],
    [significant(0), "0"],
    [count(1234567), "1,234,567"],
    [fixed(-1.5, 2), "−1.50"],
    [percent(-0.4771), "−47.7 %"],
    [byteSize(999), "999 bytes"],
    [byteSize(8671), "8.67 kB"],
    [byteSize(12_300_000), "12.3 MB"],
    [timeSpan(4.26), "4.3 s"],
    [timeSpan(200), "3 min 20 s"],
    [timeSpan(7500), "2 h 5 min"],
  ])("is written %s", (found, wanted) => {
    expect(found).toBe(wanted);
  });
});

describe("a long curve", () => {
  const points = Array.from({ length: 10_000 }, (_, i): [number, number] => [i, i === 7777 ? 1e6 : Math.sin(i)]);

  it("is thinned without losing its spike or its order", () => {
    const thin = thinned(points, 500);
    expect(thin.length).toBeLessThanOrEqual(500);
    expect(thin).toContainEqual([7777, 1e6]);
    expect(thin).toEqual(thin.toSorted(([a], [b]) => a - b));
  });

  it("is smoothed by the mean of its neighbours, the ends by fewer", () => {
    const line = [1, 2, 6, 4, 5].map((y, x): [number, number] => [x, y]);
    expect(smoothed(line, 2)).toEqual([
      [0, 1],
      [1, 3],
      [2, 3.6],
      [3, 5],
      [4, 5],
    ]);
  });
});

describe("a chart", () => {
  const text = { id: "c", title: "t", description: "d", xLabel: "x", yLabel: "y" };

  it("leaves out what its axes cannot show", () => {
    const points: [number, number][] = [
      [0, 1],
      [1, 0],
      [2, -1],
      [3, Number.NaN],
      [4, Infinity],
      [5, 10],
    ];
    const { text: svg } = lineChart({ ...text, isLogY: true, series: [{ label: "a", points, colour: 0 }] });
    expect(svg).not.toMatch(/NaN|Infinity/);
    expect(/class="line" d="([^"]*)"/.exec(svg)?.[1]?.match(/[ML]/g)).toHaveLength(2);
  });

  it.each([
    ["no series", lineChart({ ...text, series: [] })],
    ["no point", lineChart({ ...text, series: [{ label: "a", points: [[1, Number.NaN]], colour: 0 }] })],
    ["no bar", barChart({ ...text, categories: ["0"], series: [{ label: "a", values: [null], colour: 0 }] })],
  ])("says when there is nothing to show: %s", (_, { text: svg }) => {
    expect(svg).toContain("nothing to show");
  });

  it("draws bars as high as their values", () => {
    const { text: svg } = barChart({
      ...text,
      categories: ["0", "1"],
      series: [{ label: "a", values: [10, 5], colour: 0 }],
    });
    const heights = [...svg.matchAll(/<rect class="bar[^>]* height="([\d.]+)"/g)].map(([, height]) => Number(height));
    expect(heights).toHaveLength(2);
    expect(heights[0]).toBeCloseTo(2 * (heights[1] ?? 0), 0);
  });
});

describe("layers", () => {
  it("are named by their module's last part while that is one of a kind", () => {
    const names = ["layers.1.attn.c_proj", "layers.0.attn.c_proj", "layers.0.mlp.c_proj", "layers.0.attn.q", "embed"];
    const groups = groupByModule(names, (name) => name);
    expect(groups.map(({ module }) => module)).toEqual(["attn.c_proj", "mlp.c_proj", "q"]);
    expect(groups[0]?.places.map(({ index }) => index)).toEqual([0, 1]);
  });

  it("have the norms of where they began, where they ended, and of the way", () => {
    const parameters = {
      names: ["layers.0.q.lambda", "layers.0.q.v"],
      tensor: (name: string, flat: Float32Array) =>
        hostTensor("float32", [2], name.endsWith("v") ? flat.subarray(2, 4) : flat.subarray(0, 2)),
    };
    const reports = layerReports(parameters, Float32Array.of(3, 4, 0, 0), Float32Array.of(3, 0, 5, 12), () => ({
      k: 2,
      singularValues: null,
    }));
    expect(reports).toEqual([
      {
        name: "layers.0.q",
        k: 2,
        singularValues: null,
        tensors: [
          { name: "lambda", count: 2, initialNorm: 5, finalNorm: 3, movedNorm: 4 },
          { name: "v", count: 2, initialNorm: 0, finalNorm: 13, movedNorm: 13 },
        ],
      },
    ]);
  });
});
