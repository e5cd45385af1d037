/**
 * The cost of a build: seconds by stage and the process's peak memory, once for every format, on the default targets.
 */
import type { BuildCost } from "../processes/build-worker.ts";
import type { WeightChoice } from "../options.ts";
import type { Figure } from "../report/figures.ts";
import type { Scenario } from "../scenario.ts";
import { weightName } from "../inputs/work-folder.ts";

export const buildScenario: Scenario = {
  name: "build",
  summary: "Seconds by stage and peak memory of a build, for float32 and every format of --weights.",
  run: async ({ options, folder }) => {
    const float32: WeightChoice = { kind: "float32", blockSize: null };
    const choices = [float32, ...options.weights.filter(({ kind }) => kind !== "float32")];
    const figures: Figure[] = [];
    for (const weights of choices)
      figures.push(...figuresOf(weightName(weights), await folder.measuredBuild({ weights, targets: "default" })));
    return figures;
  },
};

function figuresOf(name: string, { seconds, peakBytes, bytes, stages }: BuildCost): readonly Figure[] {
  const one = (what: string, unit: string, value: number): Figure => ({
    what: `${name}: ${what}`,
    unit,
    samples: [value],
  });
  return [
    one("build", "s", seconds),
    ...stages.map((stage) => one(`of it, ${stage.stage}`, "s", stage.seconds)),
    one("peak memory", "MB", peakBytes / 1e6),
    one("size of the base", "MB", bytes / 1e6),
  ];
}
