/**
 * The process of a fine-tuning job: `mosara train` with its steps and its result as messages to the server. Everything
 * it has done is in its directory, so it ends at once when the server has gone, and a later process continues.
 */
import { parseCommand } from "../../config/parse.ts";
import { AppError, toWire } from "../../errors.ts";
import type { TrainerNews, TrainerOrder } from "../../jobs/trainer-messages.ts";
import { type TrainListener, trainToEnd } from "../train.ts";

const tell = (news: TrainerNews): Promise<void> =>
  new Promise((resolve) => {
    if (process.send === undefined) throw new Error("internal: this file is the process of a job");
    process.send(news, () => resolve());
  });

process.once("disconnect", () => process.exit(1));

process.once("message", (order: TrainerOrder) => void obey(order));

async function obey({ args }: TrainerOrder): Promise<never> {
  try {
    const onLine: TrainListener = (line, totalSteps) => {
      const isEvaluation = "evalLoss" in line;
      void tell({
        type: "step",
        step: line.step,
        totalSteps,
        loss: isEvaluation ? null : line.loss,
        evalLoss: isEvaluation ? line.evalLoss : null,
        reward: line.reward ?? null,
        tokens: isEvaluation ? 0 : line.tokens,
      });
    };
    const result = await trainToEnd(parseCommand("train", args, {}), onLine, true);
    const { steps, trainLoss, evalLoss } = result;
    await tell({ type: "done", steps, trainLoss, evalLoss });
  } catch (error) {
    // A trainer with rewards cannot continue without its engine. The server starts both again.
    if (error instanceof AppError && error.code === "engine_unavailable") throw error;
    await tell({ type: "failed", error: toWire(error) });
  }
  process.exit(0);
}
