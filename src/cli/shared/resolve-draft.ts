/** Resolves `--draft-model`: a base directory of a smaller model whose tokens are those of the base. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { MANIFEST_FILE, type Manifest, readManifest } from "../../base/manifest.ts";
import type { BuildFlags, ConfigOf } from "../../config/commands.ts";
import { AppError, quote } from "../../errors.ts";
import { loadTokenizer } from "../../tokenizer/tokenizer.ts";
import { PLAIN_BUILD, resolveBase } from "./resolve-base.ts";

/** A draft model that guesses for a base. */
export interface ResolvedDraft {
  readonly dir: string;
  readonly manifest: Manifest;
}

type PlaceFlags = Pick<ConfigOf<"serve">, "cache" | "device">;
type DraftFlags = PlaceFlags & Pick<ConfigOf<"serve">, "draftModel" | "speculativeTokens">;

/** It serves no adapter, so it needs no bases, and its original weights are not needed either. */
const DRAFT_BUILD: BuildFlags = { ...PLAIN_BUILD, targets: ["none"], slim: true };

/**
 * @param baseDir the base that answers
 * @throws {AppError} usage: its tokens are not those of the base, or the device is not the CPU
 */
export async function resolveDraft(
  model: string,
  baseDir: string,
  { cache, device }: PlaceFlags,
): Promise<ResolvedDraft> {
  if (device !== "cpu")
    throw new AppError(
      "usage",
      `--draft-model needs --device cpu, but --device is ${device}. Leave out --draft-model on this device.`,
    );
  const isBase = existsSync(join(model, MANIFEST_FILE));
  const dir = await resolveBase(model, { ...(isBase ? PLAIN_BUILD : DRAFT_BUILD), cache });
  const manifest = await readManifest(dir);
  await assertSameTokens(model, { dir, manifest }, baseDir);
  return { dir, manifest };
}

/**
 * The draft model of a server; null: there is none.
 * @throws {AppError} usage: as `resolveDraft`, and where speculation is off
 */
export async function resolveServedDraft(
  { draftModel, speculativeTokens, ...flags }: DraftFlags,
  baseDir: string,
): Promise<ResolvedDraft | null> {
  if (draftModel === null) return null;
  if (speculativeTokens === 0)
    throw new AppError(
      "usage",
      "--draft-model needs --speculative-tokens of at least 1, but it is 0. Add --speculative-tokens 8.",
    );
  return await resolveDraft(draftModel, baseDir, flags);
}

/** Each id must mean the same text in both. @throws {AppError} usage */
async function assertSameTokens(model: string, draft: ResolvedDraft, baseDir: string): Promise<void> {
  const [wanted, found] = await Promise.all([loadTokenizer(baseDir), loadTokenizer(draft.dir)]);
  const refuse = (difference: string): never => {
    throw new AppError(
      "usage",
      `--draft-model ${model} needs the tokenizer of the base, but ${difference}. Name a smaller model of the same family.`,
    );
  };
  if (found.vocabSize !== wanted.vocabSize)
    refuse(`it has ${found.vocabSize} tokens, and the base has ${wanted.vocabSize}`);
  for (let id = 0; id < wanted.vocabSize; id++) {
    const [own, other] = [wanted.idToToken(id), found.idToToken(id)];
    if (own !== other) refuse(`its token ${id} is ${shown(other)}, and the base's is ${shown(own)}`);
  }
  const { vocabSize } = draft.manifest.config;
  if (vocabSize < wanted.vocabSize)
    refuse(`its model knows ${vocabSize} tokens, and the base's tokenizer has ${wanted.vocabSize}`);
}

const shown = (token: string | undefined): string => (token === undefined ? "not used" : quote(token));
