import { describe, expect, it } from "vitest";
import { adapterLayout } from "../../src/model/adapter-layout.ts";
import { parseModelConfig } from "../../src/model/families.ts";
import { type Linear, allGroups, allLinears } from "../../src/model/linears.ts";
import { TOY_CONFIG } from "../helpers/models/checkpoints.ts";

const config = parseModelConfig({ ...TOY_CONFIG, num_hidden_layers: 3 });
const groups = allGroups(config);
const layoutOf = (targets: readonly (Linear & { k: number })[]) => adapterLayout(groups, targets);
const ranked = allLinears(config).map((linear, i) => ({ ...linear, k: 1 + (i % 5) }));

/** Whether the pieces [start, size] lie side by side from 0 on, to `total`. */
function tile(pieces: readonly (readonly [number, number])[], total: number): boolean {
  let end = 0;
  for (const [start, size] of pieces) {
    if (start !== end) return false;
    end += size;
  }
  return end === total;
}

describe("the layout of adapters", () => {
  it("places λ, heads and outputs of all targets side by side, without gap or overlap", () => {
    const { groups: places, totalK } = layoutOf(ranked);
    expect(places.map(({ group }) => group.name)).toEqual(groups.map((group) => group.name));
    expect(
      tile(
        places.map(({ headsAt, k }) => [headsAt, k]),
        totalK,
      ),
    ).toBe(true);
    for (const { group, targets, k } of places) {
      expect(targets.map(({ name }) => name)).toEqual(group.members.map(({ name }) => name));
      expect(
        tile(
          targets.map((target) => [target.gainsAt, target.k]),
          k,
        ),
      ).toBe(true);
      expect(
        tile(
          targets.map((target) => [target.scaleAt, target.dOut]),
          group.dOut,
        ),
      ).toBe(true);
    }
  });

  it("leaves the outputs of layers that are no target where they are in their group", () => {
    const isTarget = ({ name }: Linear): boolean => /v_proj$|up_proj$/.test(name);
    const { groups: places, totalK } = layoutOf(ranked.filter(isTarget));
    expect(places).toHaveLength(2 * config.numLayers);
    expect(totalK).toBe(ranked.filter(isTarget).reduce((sum, { k }) => sum + k, 0));
    for (const { group, targets } of places) {
      const [only] = targets;
      expect([targets.length, only?.gainsAt]).toEqual([1, 0]);
      const at = group.members.findIndex((member) => member.name === only?.name);
      expect(only?.scaleAt).toBe(group.members.slice(0, at).reduce((sum, member) => sum + member.dOut, 0));
    }
  });

  it("does not depend on the order in which targets are named", () => {
    expect(layoutOf([...ranked].reverse())).toEqual(layoutOf(ranked));
  });

  it("has no ports at all without targets", () => {
    expect(layoutOf([])).toEqual({ groups: [], lowRank: [], totalK: 0 });
  });
});
