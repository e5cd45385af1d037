/** The headline of a report: the result, its size, and how it was made. */
import { type Markup, markup } from "../charts/markup.ts";
import { byteSize, count, fixed, percent, timeSpan } from "../charts/numbers.ts";
import type { Headline, ReportData } from "../report-data.ts";

export function headSection({ title, command, headline, log, notes }: ReportData): Markup {
  return markup`<header>
<p class="kind">mosara training report</p>
<h1><bdi>${title}</bdi></h1>
<div class="tiles">${lossTile(headline)}${tiles(headline, log)}</div>
<h2 class="small">Made by</h2>
<pre class="command" dir="ltr">${commandParts(command)}</pre>
${notes.length === 0 ? null : markup`<ul class="notes">${notes.map((note) => markup`<li>${note}</li>`)}</ul>`}
</header>`;
}

/** The command line, broken only between flags where it is too long. */
function commandParts(command: string): readonly Markup[] {
  return command.split(/ (?=--)/).map((part, i) => markup`${i === 0 ? "" : " "}<span>${part}</span>`);
}

function lossTile(headline: Headline): Markup {
  const { evalLossBase, evalLoss, evalAccuracy, trainLoss } = headline;
  if (headline.trainReward !== undefined || headline.evalReward !== undefined) return rewardTile(headline);
  if (evalLoss === null)
    return markup`<div class="tile main"><span class="label">training loss</span><span class="value">${trainLoss === null ? "–" : fixed(trainLoss, 3)}</span><span class="more">nothing was held out</span></div>`;
  if (evalLossBase === null)
    return markup`<div class="tile main"><span class="label">held-out loss</span><span class="value">${fixed(evalLoss, 3)}</span><span class="more">nats per token</span></div>`;
  const change = evalLoss / evalLossBase - 1;
  const verdict = evalLoss < evalLossBase ? "better" : "no better";
  const quality =
    evalAccuracy === undefined
      ? `perplexity ${perplexity(evalLossBase)} → ${perplexity(evalLoss)}`
      : `${percent(evalAccuracy)} of pairs in the right order`;
  return markup`<div class="tile main"><span class="label">held-out loss, base → trained</span><span class="value">${fixed(evalLossBase, 3)} → ${fixed(evalLoss, 3)}</span><span class="more">${verdict}: ${change > 0 ? "+" : ""}${percent(change)}, ${quality}</span></div>`;
}

function rewardTile({ evalRewardBase, evalReward, trainReward }: Headline): Markup {
  const sampled = trainReward === undefined ? "–" : fixed(trainReward, 3);
  if (evalRewardBase === undefined || evalReward === undefined)
    return tile("reward of sampled answers", sampled, "nothing was held out");
  return tile(
    "held-out reward, base → trained",
    `${fixed(evalRewardBase, 3)} → ${fixed(evalReward, 3)}`,
    `sampled answers of the last step: ${sampled}`,
  );
}

function perplexity(loss: number): string {
  const value = Math.exp(loss);
  return value < 100 ? fixed(value, 2) : count(value);
}

function tiles(
  { numParams, numBaseParams, bytes, steps, plannedSteps, bestStep }: Headline,
  log: ReportData["log"],
): readonly Markup[] {
  const share =
    numBaseParams === null
      ? ""
      : `${percent(numParams / numBaseParams, numParams / numBaseParams < 0.001 ? 3 : 2)} of the base's ${count(numBaseParams)}`;
  const stepNote = [
    bestStep === null ? [] : [`best after ${count(bestStep)}`],
    steps < plannedSteps ? [`of ${count(plannedSteps)} planned`] : [],
  ]
    .flat()
    .join(", ");
  return [
    tile("trained numbers", count(numParams), share),
    tile("size", byteSize(bytes), bytes < 1000 ? "" : `${count(bytes)} bytes`),
    tile("steps", count(steps), stepNote),
    timeTile(log),
  ];
}

/** Duration of the steps, over all processes of a resumed run. */
function timeTile(log: ReportData["log"]): Markup {
  let [seconds, tokens] = [0, 0];
  for (const line of log) {
    if (!("loss" in line)) continue;
    tokens += line.tokens;
    seconds += line.tokensPerSecond > 0 ? line.tokens / line.tokensPerSecond : 0;
  }
  return tile(
    "time in steps",
    timeSpan(seconds),
    `${count(tokens)} tokens, ${count(tokens / (seconds || 1))} a second`,
  );
}

function tile(label: string, value: string, more: string): Markup {
  return markup`<div class="tile"><span class="label">${label}</span><span class="value">${value}</span><span class="more">${more}</span></div>`;
}
