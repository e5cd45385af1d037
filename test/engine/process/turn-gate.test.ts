/** The loop's gate: it asks once, gives back once, and needs nothing while the engine is alone. */
import { describe, expect, it } from "vitest";
import { TurnGate } from "../../../src/engine/process/turn-gate.ts";

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
