/** The command in a report: it can be run, and says nothing that was not given. */
import { describe, expect, it } from "vitest";
import { commandText } from "../../../src/cli/train/command-text.ts";
import { parseCommand } from "../../../src/config/parse.ts";

const MINIMAL = ["--model", "base", "--data", "a.jsonl", "--out", "x.mosara"];

describe("the text of a command", () => {
  it("names what differs from the defaults, and nothing else", () => {
    const config = parseCommand(
      "train",
      [...MINIMAL, "--heads", "4", "--batch-size", "8", "--lr", "1e-3", "--resume"],
      {},
    );
    expect(commandText("train", config, "/home/u")).toBe(
      "mosara train --model base --data a.jsonl --out x.mosara --heads 4 --lr 0.001 --resume",
    );
  });

  it("names what came from the environment too", () => {
    const config = parseCommand("train", MINIMAL, { MOSARA_SEED: "7" });
    expect(commandText("train", config)).toContain("--seed 7");
  });

  it("quotes for a shell, and hides whose home it is", () => {
    const args = [
      "--model",
      "/home/u/my base",
      "--data",
      "it's.jsonl",
      "b.jsonl",
      "--targets",
      "q_proj, v_proj",
      "--out",
      "/home/u/x.mosara",
    ];
    expect(commandText("train", parseCommand("train", args, {}), "/home/u")).toBe(
      `mosara train --model ~/'my base' --data 'it'\\''s.jsonl' --data b.jsonl --out ~/x.mosara --targets q_proj,v_proj`,
    );
  });

  it("gives the same values again", () => {
    const config = parseCommand(
      "train",
      [...MINIMAL, "--threshold", "0.5", "--targets", "q_proj", "--epochs", "2.5", "--clip", "0"],
      {},
    );
    const words = commandText("train", config).split(" ").slice(2);
    expect(parseCommand("train", words, {})).toEqual(config);
  });
});
