/** Loads an adapter's file, or those of a blend, as a row of the graph's inputs: read, decode, check, lay out. Knows no threads. */
import { type Adapter, type BaseSignature, assertFits } from "../../adapter/adapter.ts";
import { decodeAdapter } from "../../adapter/adapter-file.ts";
import { type BlendPart, assertBlendable } from "../../adapter/blend-recipe.ts";
import { AppError } from "../../errors.ts";
import type { AdapterLayout } from "../../model/adapter-layout.ts";
import type { AdapterContents } from "../../store/adapter-contents.ts";
import type { AdapterRef } from "../protocol.ts";
import { type AdapterRow, layOutAdapter } from "./adapter-row.ts";
import { type BlendOptions, layOutBlend } from "./blend-row.ts";

export interface LoadOptions {
  readonly layout: AdapterLayout;
  readonly signature: BaseSignature;
  /** Highest rank of SARA and LoRA targets that is served live. */
  readonly maxLiveRank: number;
}

type Contents = Pick<AdapterContents, "read">;

/** @throws {AppError} adapter_not_found, adapter_invalid, adapter_incompatible, not_live. */
export function loadAdapter(
  { generation, inlineBytes }: Omit<AdapterRef, "blend">,
  contents: Contents,
  { layout, signature, maxLiveRank }: LoadOptions,
): AdapterRow {
  const adapter = readAdapter(generation, inlineBytes ?? contents.read(generation), signature);
  return layOutAdapter(generation, adapter, layout, maxLiveRank);
}

/** @throws {AppError} adapter_not_found, adapter_invalid, adapter_incompatible, not_live, not_blendable. */
export async function loadBlend(
  generation: string,
  blend: readonly BlendPart[],
  contents: Contents,
  options: LoadOptions & Pick<BlendOptions, "adapterCacheBytes" | "readBasis">,
): Promise<AdapterRow> {
  const { signature } = options;
  const members = blend.map((part) => ({
    adapter: readAdapter(part.generation, contents.read(part.generation), signature),
    weight: part.weight,
  }));
  assertBlendable(blend.map((part, i) => ({ label: part.generation.slice(0, 12), heads: members[i]?.adapter.heads ?? 1 })));
  return await layOutBlend(generation, members, options);
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
