/** Describes a build before it starts, because users decide here whether to wait. */
import { estimateBuild } from "../../base/build/build-estimate.ts";
import type { BuildOptions } from "../../base/build/build.ts";
import { openCheckpoint } from "../../checkpoint/checkpoint.ts";
import type { ModelConfig } from "../../model/config/model-config.ts";
import { loadEndTokens, NOTHING_ENDS } from "../../tokenizer/files/end-tokens.ts";
import { loadUnheededNotice } from "../../tokenizer/files/generation-config.ts";
import { loadVocabularyNotice } from "../../tokenizer/files/vocabulary-check.ts";

/** One line on stderr. @throws {AppError} checkpoint_invalid, checkpoint_unsupported, usage */
export async function announceBuild(checkpointPath: string, options: BuildOptions): Promise<void> {
  await using checkpoint = await openCheckpoint(checkpointPath);
  for (const notice of checkpoint.notices) process.stderr.write(`warning: ${notice}\n`);
  const { tokens, problem } = await loadEndTokens(checkpoint.texts, checkpoint.path, checkpoint.config.vocabSize);
  // Invalid text files prevent the build. Unsupported ones do not: such a model can be trained and scored by ids.
  if (problem?.code === "checkpoint_invalid") throw problem;
  if (problem !== null) process.stderr.write(`warning: the base will have no text: ${problem.message}\n`);
  else if (tokens.length === 0) process.stderr.write(`warning: ${NOTHING_ENDS}\n`);
  const beyond =
    problem === null
      ? await loadVocabularyNotice(checkpoint.texts, checkpoint.path, checkpoint.config.vocabSize)
      : null;
  const unheeded = await loadUnheededNotice(checkpoint.texts, checkpoint.path);
  if (unheeded !== null) process.stderr.write(`warning: ${unheeded}\n`);
  if (beyond !== null) process.stderr.write(`warning: ${beyond}\n`);
  const { parameters, numTargets, bytes, seconds } = estimateBuild(checkpoint, options);
  const bases = numTargets > 0 ? `${numTargets} bases` : "no new bases";
  process.stderr.write(
    `${positionsNotice(checkpoint.config)}building: ${inMillions(parameters)} parameters, ${bases}: about ${inMegabytes(bytes)} in about ${Math.max(1, Math.round(seconds))} s\n`,
  );
}

/** Warns users of a long-context model that its long context is not served. */
function positionsNotice({ ropes, maxPositions }: ModelConfig): string {
  if (!ropes.some(({ scaling }) => scaling.type === "longrope")) return "";
  return `serving up to ${maxPositions} positions: beyond that, longrope changes the rotation of all positions, and cached keys would be wrong\n`;
}

const inMillions = (count: number): string => `${(count / 1e6).toPrecision(3)} M`;
const inMegabytes = (bytes: number): string =>
  bytes < 1e9 ? `${(bytes / 1e6).toPrecision(2)} MB` : `${(bytes / 1e9).toPrecision(2)} GB`;
