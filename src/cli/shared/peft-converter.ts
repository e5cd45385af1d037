/** Converts PEFT adapters to `.mosara` files, for one base. */
import { encodeAdapter } from "../../adapter/adapter-file.ts";
import { adapterFromPeft, type PeftDirectory } from "../../adapter/peft.ts";
import type { Base } from "../../base/base.ts";
import { peftNames } from "../../model/peft-names.ts";
import { AdapterTextsReader, type BaseTexts } from "../../tokenizer/files/adapter-texts.ts";
import { readTextFiles } from "../../tokenizer/files/text-files.ts";

/**
 * A function that converts the files of a PEFT directory to the bytes of a `.mosara` file that fits `base`.
 * @param onNotice gets sentences about text files of a directory that are not read
 */
export function peftConverter(
  base: Pick<Base, "dir" | "signature" | "manifest">,
  onNotice: (dir: string, notice: string) => void,
): (files: PeftDirectory) => Promise<Uint8Array> {
  const names = peftNames(base.manifest.config);
  const texts = new AdapterTextsReader(() => baseTexts(base));
  return async (files) => {
    const adapter = adapterFromPeft(files, base.signature, names);
    const { endTokenIds, notices } = await texts.read(files.texts, files.dir);
    for (const notice of notices) onNotice(files.dir, notice);
    return encodeAdapter(endTokenIds.length === 0 ? adapter : { ...adapter, endTokenIds });
  };
}

async function baseTexts({ dir, manifest }: Pick<Base, "dir" | "manifest">): Promise<BaseTexts> {
  const { endTokenIds, config } = manifest;
  return { files: await readTextFiles(dir), endTokenIds, vocabSize: config.vocabSize };
}
