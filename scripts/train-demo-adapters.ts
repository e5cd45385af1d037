/**
 * Trains the shipped adapters on the demo base. It measures each of them on held-out requests and writes it with its
 * scores into `adapters/`. Finished adapters are not trained again. A training that was cut off continues where it was.
 *
 * usage: node dist/scripts/train-demo-adapters.js [--base models/demo] [--out adapters] [--work work/demo/adapters]
 * [--only pirate,json] [--steps 200]
 */
import { mkdirSync } from "node:fs";
import { parseArgs } from "node:util";
import { ADAPTERS, METRIC } from "./demo/adapters.ts";
import { makeAdapter } from "./demo/make-adapter.ts";

const { values } = parseArgs({
  options: {
    base: { type: "string", default: "models/demo" },
    out: { type: "string", default: "adapters" },
    work: { type: "string", default: "work/demo/adapters" },
    only: { type: "string" },
    steps: { type: "string", default: "200" },
    examples: { type: "string", default: "2000" },
    "held-out": { type: "string", default: "240" },
  },
});
const wanted = values.only?.split(",") ?? ADAPTERS.map(({ name }) => name);
const unknown = wanted.find((name) => !ADAPTERS.some((one) => one.name === name));
const [steps, numTraining, numHeldOut] = [values.steps, values.examples, values["held-out"]].map(Number) as [
  number,
  number,
  number,
];
if (unknown !== undefined || ![steps, numTraining, numHeldOut].every((size) => size > 0)) {
  const known = ADAPTERS.map(({ name }) => name).join(", ");
  process.stderr.write(
    `train-demo-adapters: --only takes ${known}; --steps, --examples and --held-out take numbers above 0.\n`,
  );
  process.exit(2);
}
mkdirSync(values.out, { recursive: true });
mkdirSync(values.work, { recursive: true });
for (const adapter of ADAPTERS.filter(({ name }) => wanted.includes(name))) {
  const { base, adapter: score } = await makeAdapter(adapter, { ...values, steps, numTraining, numHeldOut });
  process.stdout.write(`${adapter.name}: ${METRIC} ${base.toFixed(3)} without, ${score.toFixed(3)} with\n`);
}
