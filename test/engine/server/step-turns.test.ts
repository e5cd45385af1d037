import { describe, expect, it } from "vitest";
import { StepTurns } from "../../../src/engine/server/step-turns.ts";

/** A keeper and what it said, as `a:on`, `a:off`, `a:go`. */
function makeKeeper(): { keeper: StepTurns<string>; said: string[] } {
  const said: string[] = [];
  const keeper = new StepTurns<string>((engine, command) => {
    if (command.type === "turn-granted") said.push(`${engine}:go`);
    if (command.type === "turns-changed") said.push(`${engine}:${command.areTurnsNeeded ? "on" : "off"}`);
  });
  return { keeper, said };
}

describe("turns", () => {
  it("are not needed for one busy engine, however many there are", () => {
    const { keeper, said } = makeKeeper();
    for (const engine of ["a", "b"]) keeper.join(engine);
    keeper.setBusy("a", true);
    keeper.setBusy("a", false);
    keeper.setBusy("b", true);
    expect(said).toEqual([]);
  });

  it("begin when every engine has said that its free step is over, and alternate", () => {
    const { keeper, said } = makeKeeper();
    for (const engine of ["a", "b"]) keeper.join(engine);
    keeper.setBusy("a", true);
    keeper.setBusy("b", true);
    expect(said.splice(0)).toEqual(["a:on", "b:on"]);
    keeper.end("b");
    keeper.request("b");
    expect(said).toEqual([]); // a may still be in a step
    keeper.end("a");
    expect(said.splice(0)).toEqual(["b:go"]);
    keeper.request("a");
    for (const [holder, other] of [
      ["b", "a"],
      ["a", "b"],
      ["b", "a"],
    ] as const) {
      keeper.end(holder);
      keeper.request(holder);
      expect(said.splice(0)).toEqual([`${other}:go`]);
    }
  });

  it("pass on when their holder dies, and end when one engine is left with work", () => {
    const { keeper, said } = makeKeeper();
    for (const engine of ["a", "b", "c"]) {
      keeper.join(engine);
      keeper.setBusy(engine, true);
    }
    for (const engine of ["a", "b", "c"]) {
      keeper.end(engine);
      keeper.request(engine);
    }
    expect(said.splice(0).at(-1)).toBe("a:go");
    keeper.leave("a");
    expect(said.splice(0)).toEqual(["b:go"]);
    keeper.leave("b");
    expect(said).toEqual(["c:off"]);
  });

  it("do not wait for an engine that dies before it answers", () => {
    const { keeper, said } = makeKeeper();
    for (const engine of ["a", "b", "c"]) {
      keeper.join(engine);
      keeper.setBusy(engine, true);
    }
    for (const engine of ["a", "b"]) {
      keeper.end(engine);
      keeper.request(engine);
    }
    said.length = 0;
    keeper.leave("c");
    expect(said).toEqual(["a:go"]);
  });

  it("are told to an engine that joins while they are needed", () => {
    const { keeper, said } = makeKeeper();
    for (const engine of ["a", "b"]) keeper.join(engine);
    for (const engine of ["a", "b"]) keeper.setBusy(engine, true);
    keeper.join("c");
    expect(said.at(-1)).toBe("c:on");
  });
});
