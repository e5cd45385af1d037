/**
 * The parts of a quantised checkpoint besides its decoded tensors: its configuration without the method, and the
 * numbers.
 */
import { AppError } from "../../errors.ts";
import { foreignNames } from "../../model/families.ts";
import { linearWeight } from "../../model/weight-names.ts";
import { allLinears } from "../../model/linears.ts";
import type { RawConfig } from "../../model/config/config-reader.ts";
import type { ModelConfig } from "../../model/config/model-config.ts";
import type { CheckpointTexts, CodedPart, CodedTensors, QuantizedTensors } from "../checkpoint.ts";
import { withDtype, withoutSetting } from "../config-text.ts";
import type { DecodedFiles } from "./decoded-files.ts";
import { SETTINGS_KEY } from "./scheme.ts";

/**
 * Refuses families that store matrices as [dIn,dOut]: quantisers transpose some of them.
 * @throws {AppError} checkpoint_unsupported
 */
export function assertQuantisedFamily(config: ModelConfig): void {
  const { isTransposed } = foreignNames(config);
  if (!allLinears(config).some(({ name }) => isTransposed(linearWeight(name)))) return;
  throw new AppError(
    "checkpoint_unsupported",
    `config.json: quantised ${config.family} checkpoints are not supported. Use the unquantised checkpoint. mosara build quantises it.`,
  );
}

/** The texts of the checkpoint as it would be without quantisation. */
export function decodedTexts(texts: CheckpointTexts): CheckpointTexts {
  const read = texts.get("config.json");
  if (!read) return texts;
  const plain = async (): Promise<string> => {
    const text = await read();
    return withDtype(
      withoutSetting(typeof text === "string" ? text : Buffer.from(text).toString("utf8"), SETTINGS_KEY),
      "float32",
    );
  };
  return new Map([...texts, ["config.json", plain]]);
}

/** @param nameOf the name in the files of one of our tensors */
export function keptNumbers(files: DecodedFiles, nameOf: (name: string) => string): QuantizedTensors {
  return {
    typeOf: (name) => files.weight(nameOf(name))?.type ?? null,
    layoutOf: (name) => files.weight(nameOf(name))?.layout ?? null,
    read: async (name) => {
      const weight = files.weight(nameOf(name));
      if (!weight) throw new Error(`internal: ${name} was not quantised before`);
      return await weight.numbers();
    },
  };
}

/**
 * The quantised weights as the files have them. The name of a part is that of our tensor, with the part's ending.
 * @param nameOf as in `keptNumbers`. @param settings the method, as config.json has it
 */
export function codedTensors(files: DecodedFiles, nameOf: (name: string) => string, settings: RawConfig): CodedTensors {
  return {
    typeOf: (name) => files.weight(nameOf(name))?.type ?? null,
    partsOf: ({ name }) =>
      files
        .partsOf(nameOf(name))
        .map(({ ending, ...part }): CodedPart => ({ ...part, name: name.replace(/\.weight$/, ending) })),
    settings,
  };
}
