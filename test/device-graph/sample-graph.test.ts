/** The sampling graphs of devices, run on the host, against plain loops over the same rows. */
import { beforeAll, describe, expect, it } from "vitest";
import { buildSampleGraph } from "../../src/device-graph/sample-graph.ts";
import type { SampleGraph } from "../../src/model/ports.ts";
import type { Session } from "../../src/runtime/ort.ts";
import { type HostTensor, hostTensor } from "../../src/tensor/host-tensor.ts";
import { type Tensors, openGraph, runSession } from "../helpers/run-graph.ts";
import { expectAllclose } from "../helpers/allclose.ts";
import { logitsOnGrid } from "../helpers/engine/logits.ts";

const V = 1280;
const MAX_ROWS = 17;

const rows = logitsOnGrid(MAX_ROWS, V);
const rowOf = (row: number): Float32Array => rows.subarray(row * V, (row + 1) * V);
// Asked for by name.
const numbers = (tensor: HostTensor | undefined): number[] => Array.from(tensor!.data as Float32Array, Number);
// All indices of it.
const orderOf = (row: Float32Array): number[] => [...row.keys()].sort((a, b) => row[b]! - row[a]! || a - b);

async function run(session: Session, count: number, more: Tensors = {}, first = 0): Promise<Tensors> {
  const logits = hostTensor("float32", [count, V], rows.slice(first * V, (first + count) * V));
  return await runSession(session, { logits, ...more });
}

const sessions = new Map<SampleGraph, Session>();
beforeAll(async () => {
  for (const kind of ["best", "top", "rows"] as const)
    sessions.set(kind, await openGraph(buildSampleGraph(kind, V), 2));
  return async () => {
    for (const session of sessions.values()) await session[Symbol.asyncDispose]();
  };
});
const sessionOf = (kind: SampleGraph): Session => sessions.get(kind)!; // opened above

const temperatures = (count: number, of: (row: number) => number): Tensors => ({
  inverse_temperatures: hostTensor(
    "float32",
    [count, 1],
    Float32Array.from({ length: count }, (_, i) => 1 / of(i)),
  ),
});

describe("the sampling graphs", () => {
  it("give the first of the likeliest tokens, and the likeliest by rank, lower id first among equals", async () => {
    const best = await run(sessionOf("best"), MAX_ROWS);
    const top = await run(
      sessionOf("top"),
      MAX_ROWS,
      temperatures(MAX_ROWS, () => 1),
    );
    const orders = Array.from({ length: MAX_ROWS }, (_, row) => orderOf(rowOf(row)).slice(0, 64));
    expect(numbers(best.best_ids)).toEqual(orders.map((order) => order[0]));
    expect(numbers(top.top_ids)).toEqual(orders.flat());
    expect(numbers(top.top_logits)).toEqual(orders.flatMap((order, row) => order.map((id) => rowOf(row)[id])));
  });

  it("give the sum of a row's weights at its own temperature and at 1", async () => {
    const of = (row: number): number => 0.5 + row / 8;
    const results = await run(sessionOf("top"), 5, temperatures(5, of));
    const sums = (temperature: (row: number) => number): number[] =>
      Array.from({ length: 5 }, (_, row) => {
        const max = Math.max(...rowOf(row));
        return rowOf(row).reduce((total, logit) => total + Math.exp((logit - max) / temperature(row)), 0);
      });
    expectAllclose(numbers(results.weight_sums), sums(of), { rtolOfMax: 1e-5 });
    expectAllclose(
      numbers(results.unit_weight_sums),
      sums(() => 1),
      { rtolOfMax: 1e-5 },
    );
  });

  it("give whole rows in the order asked for", async () => {
    const wanted = { wanted_rows: hostTensor("int64", [2], BigInt64Array.of(4n, 1n)) };
    const results = await run(sessionOf("rows"), 6, wanted);
    expect(numbers(results.wanted_logits)).toEqual([...rowOf(4), ...rowOf(1)]);
  });

  it("show what is not a number in the sums, wherever it is", async () => {
    for (const value of [NaN, Infinity])
      for (const at of [0, 1, 63, 127, 128, 700, V - 1]) {
        const data = rows.slice(0, 2 * V);
        data[V + at] = value;
        const logits = hostTensor("float32", [2, V], data);
        const best = numbers((await runSession(sessionOf("best"), { logits })).row_sums);
        const results = await runSession(sessionOf("top"), { logits, ...temperatures(2, () => 1) });
        const bad = (sums: number[]): boolean => sums.some((sum) => !Number.isFinite(sum));
        expect([bad(best), bad(numbers(results.unit_weight_sums))], `${value} at ${at}`).toEqual([true, true]);
        expect(Number.isFinite(best[0])).toBe(true);
      }
  });

  it("give a row the same bits in every batch", async () => {
    for (let count = 1; count <= MAX_ROWS; count++)
      for (const kind of ["best", "top"] as const) {
        const some = await run(sessionOf(kind), count, kind === "top" ? temperatures(count, () => 0.8) : {});
        for (const row of [0, count - 1]) {
          const alone = await run(sessionOf(kind), 1, kind === "top" ? temperatures(1, () => 0.8) : {}, row);
          for (const [name, tensor] of Object.entries(alone)) {
            const own = numbers(tensor);
            expect(numbers(some[name]).slice(row * own.length, (row + 1) * own.length), `${name} ${count}`).toEqual(
              own,
            );
          }
        }
      }
  });
});
