/** Converts PEFT adapters to `.mosara` files, for one base. */
import { encodeAdapter } from "../../adapter/adapter-file.ts";
import { adapterFromPeft } from "../../adapter/peft.ts";
import type { Base } from "../../base/base.ts";
import { peftNames } from "../../model/peft-names.ts";
import type { ConvertPeft } from "../../store/directory/directory-options.ts";

/** A function that converts the files of a PEFT directory to the bytes of a `.mosara` file that fits `base`. */
export function peftConverter({ signature, manifest }: Pick<Base, "signature" | "manifest">): ConvertPeft {
  const names = peftNames(manifest.config);
  return (files) => encodeAdapter(adapterFromPeft(files, signature, names));
}
