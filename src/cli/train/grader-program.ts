/**
 * A grader that is a program of the user's. It is started once, and gets a line of JSON for each answer:
 * `{"item": {…}, "sample": {"output_text": …}}`. It writes the reward of each as a line with a number, in order.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { AppError, quote } from "../../errors.ts";
import type { Answer, Grading } from "./grading.ts";

/** @param command for the shell */
export function startGraderProgram(command: string): Grading {
  const child = spawn(command, { shell: true, stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const failed = (what: string): AppError =>
    new AppError("training_failed", `--grader-program ${command}: ${what} It has to write one number a line.`);
  child.stdin.on("error", () => {}); // a program that has ended is reported where its answer is missing
  const ended = once(child, "close");
  return {
    description: command,
    grade: async (answers) => {
      child.stdin.write(answers.map(lineOf).join(""));
      const rewards: number[] = [];
      for (const _ of answers) {
        const { value, done = false } = await lines.next();
        if (done) throw failed(`it ended after ${rewards.length} of ${answers.length} answers.`);
        const reward = value.trim() === "" ? Number.NaN : Number(value);
        if (!Number.isFinite(reward)) throw failed(`it wrote ${quote(value)}.`);
        rewards.push(reward);
      }
      return rewards;
    },
    [Symbol.asyncDispose]: async () => {
      child.stdin.end();
      child.kill();
      await ended;
    },
  };
}

const lineOf = ({ prompt, text }: Answer): string =>
  `${JSON.stringify({ item: prompt.item, sample: { output_text: text } })}\n`;
