/** Turns of two engines: the loop's gate asks once and gives back once, and the loop asks before each step. */
import { describe, expect, it } from "vitest";
import { TurnGate } from "../../../src/engine/process/turn-gate.ts";
import { sequenceSpec } from "../../helpers/engine/sequences.ts";
import { Bench } from "../../helpers/engine/loop-bench.ts";

function open(): { readonly gate: TurnGate; readonly sent: () => string[] } {
  const events: string[] = [];
  return { gate: new TurnGate(({ type }) => void events.push(type)), sent: () => events.splice(0) };
}

describe("the gate between two steps", () => {
  it("lets every step run while no turns are needed, and says nothing", () => {
    const { gate, sent } = open();
    expect(gate.tryEnter()).toBe(true);
    gate.end();
    gate.grant(); // on its way when turns were switched off
    gate.end();
    expect(sent()).toEqual([]);
  });

  it("says that no step runs when turns become needed, asks once, and gives a granted turn back once", () => {
    const { gate, sent } = open();
    gate.change(true);
    expect(sent()).toEqual(["turn-ended"]);
    expect([gate.tryEnter(), gate.tryEnter()]).toEqual([false, false]);
    expect(sent()).toEqual(["turn-requested"]);
    gate.grant();
    expect(gate.tryEnter()).toBe(true);
    gate.end();
    gate.end();
    expect(sent()).toEqual(["turn-ended"]);
    expect(gate.tryEnter()).toBe(false);
    expect(sent()).toEqual(["turn-requested"]);
  });

  it("forgets what was asked and granted when turns change", () => {
    const { gate, sent } = open();
    gate.change(true);
    gate.tryEnter();
    gate.change(false);
    expect(gate.tryEnter()).toBe(true);
    gate.change(true);
    gate.tryEnter();
    gate.grant();
    gate.change(true);
    expect(gate.tryEnter()).toBe(false);
    expect(sent()).toEqual([
      "turn-ended",
      "turn-requested",
      "turn-ended",
      "turn-requested",
      "turn-ended",
      "turn-requested",
    ]);
  });
});

describe("turns", () => {
  it("are asked for before each step and given back after it", async () => {
    const bench = new Bench();
    bench.loop.handle({ type: "turns-changed", areTurnsNeeded: true });
    bench.add(sequenceSpec(1, [1], { maxTokens: 2 }));
    const types = () => bench.events.map(({ type }) => type);
    await bench.until(() => types().includes("turn-requested"));
    await new Promise((resolve) => setTimeout(resolve, 20));
    // The first says that nothing is running, the second that the sequence has a row.
    expect(types()).toEqual(["turn-ended", "step-finished", "turn-requested"]);
    bench.loop.handle({ type: "turn-granted" });
    await bench.until(() => types().length === 6);
    expect(types().slice(3)).toEqual(["step-finished", "turn-ended", "turn-requested"]);
    bench.loop.handle({ type: "turns-changed", areTurnsNeeded: false });
    await bench.untilEnded(1);
    expect(types().slice(6)).toEqual(["step-finished"]);
    await bench.stop();
  });

  it("are given back at once when the work is gone", async () => {
    const bench = new Bench();
    bench.loop.handle({ type: "turns-changed", areTurnsNeeded: true });
    bench.add(sequenceSpec(1, [1]));
    await bench.until(() => bench.events.some(({ type }) => type === "turn-requested"));
    bench.loop.handle({ type: "sequence-cancelled", id: 1 });
    bench.loop.handle({ type: "turn-granted" });
    await bench.until(() => bench.events.filter(({ type }) => type === "turn-ended").length === 2);
    expect(bench.runner.steps).toEqual([]);
    await bench.stop();
  });
});
