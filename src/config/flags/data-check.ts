/** Flags of `mosara data check`: those of `mosara train` that decide what is learnt and how long it takes. */
import type { Flags } from "../flag.ts";
import { toggle } from "../values.ts";
import { TRAIN } from "./train.ts";

const {
  data: _data,
  out: _out,
  saveEvery: _saveEvery,
  keepEpochs: _keepEpochs,
  resume: _resume,
  report: _report,
  tensorboard: _board,
  grader: _grader,
  graderProgram: _program,
  groupSize: _group,
  maxAnswerTokens: _answer,
  ...SHARED
} = TRAIN;

export const DATA_CHECK = {
  ...SHARED,
  noCost: {
    help: "Do not measure steps of the training. A checkpoint is then built without bases.",
    schema: toggle,
  },
} satisfies Flags;
