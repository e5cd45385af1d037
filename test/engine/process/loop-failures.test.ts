/** The loop over a toy model when something fails: what fails alone, what ends the process, and what is served on. */
import { describe, expect, it } from "vitest";
import { AppError } from "../../../src/errors.ts";
import { DeviceFullError } from "../../../src/runtime/device-errors.ts";
import { sequenceSpec } from "../../helpers/engine/sequences.ts";
import { BAD_PREFILL, BAD_ROW, BAD_STEP, TOY_VOCAB, toyGreedy } from "../../helpers/engine/toy-runner.mjs";
import { Bench, range } from "../../helpers/engine/loop-bench.ts";

describe("failures stay where they are", () => {
  it("fails a row of NaN alone", async () => {
    const bench = new Bench();
    bench.add(
      sequenceSpec(1, [1], { maxTokens: 10 }),
      sequenceSpec(2, [BAD_ROW]),
      sequenceSpec(3, [4], { maxTokens: 10 }),
    );
    await bench.untilEnded(1, 2, 3);
    expect(bench.error(2)).toBe("internal_error");
    expect([bench.tokens(1), bench.tokens(3)]).toEqual([toyGreedy([1], null, 10), toyGreedy([4], null, 10)]);
    await bench.stop();
  });

  it("fails the sequence of a failed prefill alone", async () => {
    const bench = new Bench();
    bench.add(sequenceSpec(1, [1], { maxTokens: 10 }), sequenceSpec(2, [BAD_PREFILL]));
    await bench.untilEnded(1, 2);
    expect(bench.error(2)).toBe("internal_error");
    expect(bench.tokens(1)).toEqual(toyGreedy([1], null, 10));
    await bench.stop();
  });

  it("fails the rows of a failed decode step, once each, and serves on", async () => {
    const bench = new Bench();
    bench.add(sequenceSpec(1, [1], { maxTokens: 10 }), sequenceSpec(2, [BAD_STEP], { maxTokens: 10 }));
    await bench.untilEnded(1, 2);
    expect([bench.error(1), bench.error(2)]).toEqual(["internal_error", "internal_error"]);
    expect(bench.steps.flatMap(({ failed, finished }) => [...failed, ...finished]).length).toBe(2);
    bench.add(sequenceSpec(3, [4]));
    await bench.untilEnded(3);
    expect(bench.tokens(3)).toEqual(toyGreedy([4], null, 4));
    expect(bench.runner.kv.rows).toEqual([]);
    await bench.stop();
  });

  it("ends the newest sequence when memory runs out, and continues with the others", async () => {
    const bench = new Bench();
    const decode = bench.runner.decode.bind(bench.runner);
    bench.runner.decode = async (rows) => {
      if (rows.length > 2) throw new AppError("insufficient_memory", "toy: no room for three");
      return await decode(rows);
    };
    bench.add(...[1, 2, 3].map((id) => sequenceSpec(id, [id], { maxTokens: 10 })));
    await bench.untilEnded(1, 2, 3);
    expect(bench.error(3)).toBe("insufficient_memory");
    expect([bench.tokens(1), bench.tokens(2)]).toEqual([toyGreedy([1], null, 10), toyGreedy([2], null, 10)]);
    await bench.stop();
  });

  it("lets the others end before it ends itself where memory that ran out stays unusable", async () => {
    const bench = new Bench();
    const decode = bench.runner.decode.bind(bench.runner);
    bench.runner.decode = async (rows) => {
      if (rows.length > 2) throw new DeviceFullError("toy: no room for three", true, null);
      return await decode(rows);
    };
    bench.add(...[1, 2, 3].map((id) => sequenceSpec(id, [id], { maxTokens: 10 })));
    await expect(bench.done).rejects.toMatchObject({ code: "engine_unavailable" });
    expect(bench.error(3)).toBe("insufficient_memory");
    expect([bench.tokens(1), bench.tokens(2)]).toEqual([toyGreedy([1], null, 10), toyGreedy([2], null, 10)]);
  });

  it("ends itself, and says who ran out of memory, when that happens for the second time", async () => {
    const bench = new Bench();
    bench.runner.decode = () => Promise.reject(new DeviceFullError("toy: no room", true, null));
    bench.add(...[1, 2, 3].map((id) => sequenceSpec(id, [id], { maxTokens: 10 })));
    await expect(bench.done).rejects.toMatchObject({ code: "engine_unavailable" });
    expect([bench.error(2), bench.error(3)]).toEqual(["insufficient_memory", "insufficient_memory"]);
    expect(bench.error(1)).toBeUndefined(); // it ends as with any process that ends
  });

  it("continues for ever where memory that ran out was given back", async () => {
    const bench = new Bench();
    const decode = bench.runner.decode.bind(bench.runner);
    bench.runner.decode = async (rows) => {
      if (rows.length > 1) throw new DeviceFullError("toy: no room for two", false, null);
      return await decode(rows);
    };
    for (const id of [1, 3, 5]) {
      bench.add(sequenceSpec(id, [id], { maxTokens: 10 }), sequenceSpec(id + 1, [id], { maxTokens: 10 }));
      await bench.untilEnded(id, id + 1);
      expect(bench.error(id + 1)).toBe("insufficient_memory");
      expect(bench.tokens(id)).toEqual(toyGreedy([id], null, 10));
    }
    await bench.stop();
  });

  it("ends itself when its device is lost, so that its process is restarted", async () => {
    const bench = new Bench();
    bench.runner.decode = () => Promise.reject(new AppError("engine_unavailable", "toy: the device is lost"));
    bench.add(sequenceSpec(1, [1], { maxTokens: 10 }));
    await expect(bench.done).rejects.toThrow("the device is lost");
  });

  it("refuses an unknown adapter and continues with the next in the queue", async () => {
    const bench = new Bench({ numRows: 1 }, { maxNumSeqs: 1 });
    bench.add(sequenceSpec(1, [1], { adapter: { generation: "missing" } }), sequenceSpec(2, [1]));
    await bench.untilEnded(1, 2);
    expect(bench.error(1)).toBe("adapter_not_found");
    expect(bench.reason(2)).toBe("length");
    await bench.stop();
  });

  it("never answers from the base where a merged engine is asked for an adapter", async () => {
    const bench = new Bench({ generation: "g1" });
    bench.add(sequenceSpec(1, [1], { adapter: { generation: "g2" } }));
    await bench.untilEnded(1);
    expect(bench.error(1)).toBe("internal_error");
    await bench.stop();
  });

  it("refuses bad specifications with their codes, and says that the queue is full", async () => {
    const bench = new Bench({ maxTokens: 200, numRows: 1 }, { maxNumSeqs: 1, maxQueue: 1 });
    bench.add(
      sequenceSpec(1, range(1024)),
      sequenceSpec(2, range(250)),
      sequenceSpec(3, [TOY_VOCAB]),
      sequenceSpec(4, [1]),
      sequenceSpec(4, [1]),
      sequenceSpec(5, [1]),
      sequenceSpec(6, [1]),
    );
    await bench.untilEnded(1, 2, 3, 5, 6);
    expect([1, 2, 3, 6].map((id) => bench.error(id))).toEqual([
      "context_length_exceeded",
      "insufficient_memory",
      "invalid_request",
      "overloaded",
    ]);
    await bench.stop();
  });

  it("drops what is past its deadline, waiting or running", async () => {
    const bench = new Bench({ numRows: 1, stepMs: 5 }, { maxNumSeqs: 1 });
    const deadlineMs = Date.now() + 60;
    bench.add(
      sequenceSpec(1, [1], { maxTokens: 1000, deadlineMs }),
      sequenceSpec(2, [1], { deadlineMs }),
      sequenceSpec(3, [1]),
    );
    await bench.untilEnded(1, 2, 3);
    expect([bench.error(1), bench.error(2), bench.reason(3)]).toEqual([
      "deadline_exceeded",
      "deadline_exceeded",
      "length",
    ]);
    expect(bench.tokens(1).length).toBeGreaterThan(0);
    await bench.stop();
  });
});
