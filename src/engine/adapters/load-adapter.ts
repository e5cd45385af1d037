/**
 * Loads an adapter's file, or those of a blend, as a row of the graph's inputs: read, decode, check, lay out. Knows no
 * threads.
 */
import { type Adapter, type BaseSignature, assertFits } from "../../adapter/adapter.ts";
import { decodeAdapter } from "../../adapter/adapter-file.ts";
import { assertBlendable } from "../../adapter/blend-recipe.ts";
import { AppError } from "../../errors.ts";
import type { AdapterLayout } from "../../model/adapter-layout.ts";
import type { AdapterContents } from "../../store/adapter-contents.ts";
import type { AdapterRef } from "../protocol.ts";
import { type AdapterRow, layOutAdapter } from "./adapter-row.ts";
import { layOutBlend } from "./blend-row.ts";

export interface LoadOptions {
  readonly layout: AdapterLayout;
  readonly signature: BaseSignature;
  /** Highest rank of SARA and LoRA targets that is served live. */
  readonly maxLiveRank: number;
}

/** @throws {AppError} adapter_not_found, adapter_invalid, adapter_incompatible, not_live, not_blendable. */
export function loadAdapter(
  { generation, inlineBytes, blend }: AdapterRef,
  contents: Pick<AdapterContents, "read">,
  { layout, signature, maxLiveRank }: LoadOptions,
): AdapterRow {
  const read = (one: string): Adapter => readAdapter(one, contents.read(one), signature);
  if (blend !== undefined) {
    const members = blend.map((part) => ({ adapter: read(part.generation), weight: part.weight }));
    const labelOf = (at: number): string => blend[at]?.generation.slice(0, 12) ?? ""; // the engine knows no names
    assertBlendable(members.map(({ adapter }, at) => ({ label: labelOf(at), heads: adapter.heads })));
    return layOutBlend(generation, members, layout, maxLiveRank);
  }
  const adapter = inlineBytes ? readAdapter(generation, inlineBytes, signature) : read(generation);
  return layOutAdapter(generation, adapter, layout, maxLiveRank);
}

function readAdapter(generation: string, bytes: Uint8Array | undefined, signature: BaseSignature): Adapter {
  if (!bytes)
    throw new AppError(
      "adapter_not_found",
      `The adapter's content ${generation} is no longer in the store. Upload it again.`,
    );
  const adapter = decodeAdapter(bytes);
  assertFits(adapter, signature);
  return adapter;
}
