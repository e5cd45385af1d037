/** Flags and variables that set nothing are reported, and nothing else is. */
import { describe, expect, it } from "vitest";
import { commandNotices } from "../../src/config/notices.ts";

describe("what is given in vain", () => {
  it("is a flag that a later one replaces, with both values", () => {
    expect(commandNotices("serve", ["--model", "x", "--port", "1", "--model=y"], {})).toEqual([
      "--model is given 2 times with different values. The last one counts.",
    ]);
    expect(commandNotices("serve", ["--port", "1", "--port", "1", "--api-key", "a", "--api-key", "b"], {})).toEqual([]);
    expect(commandNotices("train", ["--data", "a", "--data", "b", "c"], {})).toEqual([]);
  });

  it("is a variable that is close to a flag's, and no other variable", () => {
    expect(commandNotices("serve", [], { MOSARA_PROT: "1", MOSARA_max_num_seqs: "2" })).toEqual([
      "The variable MOSARA_PROT sets nothing. Did you mean MOSARA_PORT?",
      "The variable MOSARA_max_num_seqs sets nothing. Did you mean MOSARA_MAX_NUM_SEQS?",
    ]);
    const others = { MOSARA_LR: "1", MOSARA_FIXTURES: "x", MOSARA_PYTHON: "x", PROT: "1", MOSARA_MODEL: "x" };
    expect(commandNotices("serve", [], others)).toEqual([]);
  });
});
