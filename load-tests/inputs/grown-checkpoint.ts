/**
 * A checkpoint of a Llama with further layers that change nothing, since their last products are zero. It answers as
 * the smaller one does and takes longer. The pair has the greatest gain that a draft model can have, and no real pair
 * has it.
 */
import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { openSafetensors } from "../../src/formats/safetensors.ts";
import { writeSafetensors } from "../../src/formats/safetensors-writer.ts";

const LAYER = /^model\.layers\.(\d+)\./;
/** The products whose results are added to the residual stream. */
const LAST_PRODUCT = /\.(o_proj|down_proj)\.(weight|bias)$/;

/**
 * Writes the grown checkpoint to `out`. @param baseDir base directory of the smaller model, with its original weights
 * @param numMore number of layers that are added; copies of the first ones */
export async function growCheckpoint(baseDir: string, out: string, numMore: number): Promise<string> {
  await mkdir(out, { recursive: true });
  for (const name of ["tokenizer.json", "tokenizer_config.json"]) await copyFile(join(baseDir, name), join(out, name));
  const config = JSON.parse(await readFile(join(baseDir, "config.json"), "utf8")) as { num_hidden_layers: number };
  const numLayers = config.num_hidden_layers;
  await writeFile(join(out, "config.json"), JSON.stringify({ ...config, num_hidden_layers: numLayers + numMore }));
  await using file = await openSafetensors(join(baseDir, "weights.safetensors"));
  const sources = new Map([...file.tensors.keys()].map((name) => [name, name]));
  for (let layer = numLayers; layer < numLayers + numMore; layer++)
    for (const name of file.tensors.keys())
      if (Number(LAYER.exec(name)?.[1]) === layer % numLayers)
        sources.set(name.replace(LAYER, `model.layers.${layer}.`), name);
  const sourceOf = (name: string): string => sources.get(name) ?? name;
  const specs = [...sources].map(([name, source]) => {
    const { dtype, shape } = file.tensors.get(source)!; // a source is one of its names
    return { name, dtype, shape };
  });
  await writeSafetensors(join(out, "model.safetensors"), specs, async (name) => {
    const tensor = await file.read(sourceOf(name));
    if (name !== sourceOf(name) && LAST_PRODUCT.test(name)) tensor.data.fill(0 as never);
    return tensor;
  });
  return out;
}
