/** What is left of LoRAs after compression, as a page: one table a model. Pure. */
import { table, wrapped } from "../markdown.ts";
import type { CompressScore, CompressStudyResult } from "./runs.ts";

const INTRODUCTION =
  "A LoRA of rank 8 on q and v is trained, exported as a PEFT directory, and compressed with `mosara compress` on the same examples to Mo-SARA on the base's targets. All figures come from held-out examples. **KL**: the divergence KL(LoRA ‖ adapter) of the next token, in nats. **Loss**: of the examples' own answers, in nats a token. **Kept**: the drop of the loss from the base ÷ the drop of the LoRA. The metric is BLEU (0 to 100), or the share of right answers, with its 95 % interval. Bytes are those of `adapter_model.safetensors` and of the `.mosara` file. Both are trained with one seed. Regenerate with `npm run study:compress`. Runs in `docs/study/compress.jsonl` are not run again.";

/** @param conclusions what people concluded, kept in a file of its own */
export function renderCompressPage(results: readonly CompressStudyResult[], conclusions: string): string {
  const groups = new Map<string, CompressStudyResult[]>();
  for (const result of results) groups.set(result.model, [...(groups.get(result.model) ?? []), result]);
  const sections = [...groups].flatMap(([model, runs]) => [`## ${model}`, fidelityTable(runs), metricTable(runs)]);
  return ["# LoRAs compressed to Mo-SARA", wrapped(INTRODUCTION), conclusions.trim(), ...sections]
    .filter((part) => part !== "")
    .join("\n\n")
    .concat("\n");
}

/** Share of the LoRA's gain that the compressed adapter has. */
export function keptOf({ lossBase, lossOriginal, lossCompressed }: CompressStudyResult): number {
  return (lossBase - lossCompressed) / (lossBase - lossOriginal);
}

function fidelityTable(runs: readonly CompressStudyResult[]): string {
  const head = ["task", "KL: base", "projected", "compressed", "loss: base", "LoRA", "compressed", "kept"];
  const rows = runs.map((run) => [
    nameOf(run),
    ...[run.klBase, run.klProjected, run.klCompressed].map((value) => value.toFixed(4)),
    ...[run.lossBase, run.lossOriginal, run.lossCompressed].map((value) => value.toFixed(4)),
    keptOf(run).toFixed(3),
  ]);
  return table(head, rows);
}

function metricTable(runs: readonly CompressStudyResult[]): string {
  const head = ["task", "metric", "base", "LoRA", "compressed", "numbers", "bytes", "smaller", "seconds"];
  const rows = runs.map((run) => [
    nameOf(run),
    `${run.metric}, ${run.count}`,
    valueText(run, run.baseScore),
    scoreText(run, run.original),
    scoreText(run, run.compressed),
    `${run.originalParams.toLocaleString("en")} → ${run.numParams.toLocaleString("en")}`,
    `${run.originalBytes.toLocaleString("en")} → ${run.bytes.toLocaleString("en")}`,
    `${(run.originalBytes / run.bytes).toFixed(1)} ×`,
    run.seconds.toFixed(0),
  ]);
  return table(head, rows);
}

const nameOf = ({ task, loraSteps, steps, batchSize }: CompressStudyResult): string =>
  `${task}, ${loraSteps} + ${steps} steps of ${batchSize}`;

const valueText = ({ metric }: CompressStudyResult, value: number): string => value.toFixed(metric === "bleu" ? 1 : 2);

function scoreText(run: CompressStudyResult, { value, interval }: CompressScore): string {
  return `${valueText(run, value)} (${interval.map((bound) => valueText(run, bound)).join("–")})`;
}
