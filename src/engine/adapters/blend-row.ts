/**
 * A blend laid out as one row of the graph's ports. The graph adds a row's own Mo-SARA part, its further terms and its
 * low-rank part, so one row holds every part of the sum (`adapter/blend.ts`).
 */
import { type BlendMember, addedRanks, blendAdapters } from "../../adapter/blend.ts";
import { AppError } from "../../errors.ts";
import type { AdapterLayout } from "../../model/adapter-layout.ts";
import { indexOfNonFinite } from "../../tensor/host-tensor.ts";
import { type AdapterRow, arraysOf, layOutAdapter, sumOfBytes, zeroRow } from "./adapter-row.ts";

/**
 * @param members fit the base
 * @param maxLiveRank highest sum of the ranks of SARA and LoRA members on one target
 * @throws {AppError} not_blendable where the sum of ranks is higher, or a weight moves numbers out of float32's range;
 * not_live where the base accepts no live adapters
 */
export function layOutBlend(
  generation: string,
  members: readonly BlendMember[],
  layout: AdapterLayout,
  maxLiveRank: number,
): AdapterRow {
  assertRanks(members, maxLiveRank);
  const { routed, single, lowRank } = blendAdapters(members);
  const [first, ...further] = single;
  const parts = [routed, first, lowRank].flatMap((part) => (part ? [layOutAdapter(generation, part, layout)] : []));
  const whole = parts.reduce(added, { ...zeroRow(layout), generation, hasMoSara: false });
  const terms = further.map((part) => {
    const { gains, scales } = layOutAdapter(generation, part, layout);
    return { gains, scales };
  });
  const row = { ...whole, terms };
  const arrays = arraysOf(row);
  if (arrays.some((data) => indexOfNonFinite({ dtype: "float32", data }) >= 0))
    throw new AppError("not_blendable", "A weight of the blend is too large: numbers leave the range of float32.", {
      param: "adapter",
    });
  return { ...row, bytes: sumOfBytes(arrays) };
}

function assertRanks(members: readonly BlendMember[], maxLiveRank: number): void {
  for (const [target, ranks] of addedRanks(members)) {
    const sum = ranks.reduce((total, rank) => total + rank, 0);
    if (sum > maxLiveRank)
      throw new AppError(
        "not_blendable",
        `The ranks of the blend's SARA and LoRA adapters add up to ${ranks.join(" + ")} = ${sum} on ${target}, but at most ${maxLiveRank} are live (--max-live-rank). Blend fewer of them, or adapters of lower rank.`,
        { param: "adapter" },
      );
  }
}

/**
 * Combines two rows. Each port gets the numbers of one of them. If both have a v, the two are equal. The size is not
 * counted here.
 */
function added(one: AdapterRow, other: AdapterRow): AdapterRow {
  const either = (arrays: readonly Float32Array[], others: readonly Float32Array[]): readonly Float32Array[] =>
    arrays.map((array, i) => array.map((value, at) => value || (others[i]?.[at] ?? 0)));
  return {
    ...one,
    gains: either(one.gains, other.gains),
    scales: either(one.scales, other.scales),
    routed: one.routed ?? other.routed,
    lowRank: one.lowRank ?? other.lowRank,
    hasMoSara: one.hasMoSara || other.hasMoSara,
  };
}
