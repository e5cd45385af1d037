/**
 * `mosara init`: makes a checkpoint with random weights. Configuration and tokenizer are checked against each other.
 */
import { readFile } from "node:fs/promises";
import { readJsonObject } from "../checkpoint/checkpoint.ts";
import { initCheckpoint } from "../checkpoint/init-checkpoint.ts";
import type { ConfigOf } from "../config/commands.ts";
import { makeExampleEncoder } from "../data/encode.ts";
import { AppError } from "../errors.ts";
import type { RawConfig } from "../model/config/config-reader.ts";
import { parseModelConfig } from "../model/families.ts";
import { readGenerationDefaults } from "../tokenizer/files/generation-config.ts";
import { loadTokenizer, type Tokenizer } from "../tokenizer/tokenizer.ts";
import { Progress } from "./shared/progress.ts";

/** @returns the exit code. @throws {AppError} */
export async function init(config: ConfigOf<"init">): Promise<number> {
  const startedAt = performance.now();
  const given = await readJsonObject(config.config);
  const tokenizer = await loadTokenizer(config.tokenizer);
  const raw = completeConfig(given, tokenizer, config);
  const progress = new Progress();
  const configText = await readFile(config.config, "utf8");
  const options = { tokenizerDir: config.tokenizer, seed: config.seed, configText };
  const onProgress = (done: number) => progress.update("writing", done);
  const { out, parameters, tensors, bytes } = await initCheckpoint(raw, config.out, options, onProgress).finally(() =>
    progress.end(),
  );
  const seconds = (performance.now() - startedAt) / 1000;
  process.stdout.write(
    config.json
      ? `${JSON.stringify({ out, parameters, tensors, bytes, seed: config.seed, seconds })}\n`
      : `${out}: ${parameters} parameters in ${tensors} tensors, ${bytes} bytes, seed ${config.seed}\n`,
  );
  return 0;
}

/**
 * The configuration. If it names no bos or eos, it gets the tokenizer's. @throws {AppError} where configuration and
 * tokenizer do not match.
 */
function completeConfig(
  raw: RawConfig,
  tokenizer: Tokenizer,
  paths: { readonly config: string; readonly tokenizer: string },
): RawConfig {
  const { vocabSize } = parseModelConfig(raw);
  if (vocabSize < tokenizer.vocabSize)
    throw new AppError(
      "checkpoint_invalid",
      `${paths.config} has a vocab_size of ${vocabSize}, but the tokenizer in ${paths.tokenizer} has ids up to ${tokenizer.vocabSize - 1}. Give a vocab_size of ${tokenizer.vocabSize} or more.`,
    );
  const { bosTokenId, eosTokenIds } = readGenerationDefaults({}, raw);
  const { endTokenId } = makeExampleEncoder(tokenizer, undefined, eosTokenIds, paths.tokenizer);
  const ownBos = tokenizer.bosToken === undefined ? undefined : tokenizer.tokenToId(tokenizer.bosToken);
  return {
    ...raw,
    ...(bosTokenId === undefined && ownBos !== undefined ? { bos_token_id: ownBos } : {}),
    ...(eosTokenIds.length === 0 ? { eos_token_id: endTokenId } : {}),
  };
}
