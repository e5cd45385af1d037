/**
 * The decoder families: `model_type` → the reader of its `config.json` and the
 * names of tensors in its files. A new family is one file and one line here.
 */
import { AppError, quote } from "../errors.ts";
import type { RawConfig } from "./config/config-reader.ts";
import { readCohere, readCohere2 } from "./families/cohere.ts";
import { readExaone4 } from "./families/exaone4.ts";
import { readGemma1, readGemma2, readGemma3, readVaultGemma, vaultGemmaNames } from "./families/gemma.ts";
import { glm4Names, readGlm, readGlm4 } from "./families/glm.ts";
import { readGpt2, gpt2Names } from "./families/gpt2.ts";
import { readGranite, readGraniteHybrid } from "./families/granite.ts";
import { readErnie45, readHelium } from "./families/interleaved.ts";
import { readArcee, readJais2, readNemotron, readStableLm, readStarCoder2 } from "./families/layer-norm-families.ts";
import { hunyuanNames, readCwm, readHunyuan, readSeedOss } from "./families/llama-relatives.ts";
import { readLlama } from "./families/llama.ts";
import { readMinistral, readMinistral3, readMistral } from "./families/mistral.ts";
import { readOlmo2, readOlmo3 } from "./families/olmo2.ts";
import { readPhi3 } from "./families/phi3.ts";
import { readQwen2, readQwen3 } from "./families/qwen.ts";
import { readSmolLm3 } from "./families/smollm3.ts";
import type { ModelConfig } from "./config/model-config.ts";
import { refusalReason } from "./refused-families.ts";
import type { ForeignNames } from "./weight-names.ts";

interface Family {
  readonly read: (raw: RawConfig) => ModelConfig;
  readonly names?: ForeignNames;
}

const FAMILIES: Readonly<Record<string, Family>> = {
  llama: { read: readLlama },
  mistral: { read: readMistral },
  qwen2: { read: readQwen2 },
  qwen3: { read: readQwen3 },
  phi3: { read: readPhi3 },
  gemma2: { read: readGemma2 },
  gemma3_text: { read: readGemma3 },
  gpt2: { read: readGpt2, names: gpt2Names },
  smollm3: { read: readSmolLm3 },
  olmo2: { read: readOlmo2 },
  olmo3: { read: readOlmo3 },
  ministral: { read: readMinistral },
  ministral3: { read: readMinistral3 },
  gemma: { read: readGemma1 },
  vaultgemma: { read: readVaultGemma, names: vaultGemmaNames },
  granite: { read: readGranite },
  granitemoehybrid: { read: readGraniteHybrid },
  exaone4: { read: readExaone4 },
  glm: { read: readGlm },
  glm4: { read: readGlm4, names: glm4Names },
  ernie4_5: { read: readErnie45 },
  helium: { read: readHelium },
  cohere: { read: readCohere },
  cohere2: { read: readCohere2 },
  starcoder2: { read: readStarCoder2 },
  stablelm: { read: readStableLm },
  nemotron: { read: readNemotron },
  arcee: { read: readArcee },
  jais2: { read: readJais2 },
  seed_oss: { read: readSeedOss },
  cwm: { read: readCwm },
  hunyuan_v1_dense: { read: readHunyuan, names: hunyuanNames },
};

const OUR_NAMES: ForeignNames = { namesOf: (name) => [name], isTransposed: () => false };

/** The tensor names in checkpoints of a model's family. */
export function foreignNames({ family }: Pick<ModelConfig, "family">): ForeignNames {
  return FAMILIES[family]?.names ?? OUR_NAMES;
}

/**
 * The model that a `config.json` describes.
 * @throws {AppError} checkpoint_unsupported for an unknown family (naming the known ones) or setting,
 * checkpoint_invalid
 */
export function parseModelConfig(raw: RawConfig): ModelConfig {
  const known = Object.keys(FAMILIES).join(", ");
  const type = raw.model_type;
  const family = typeof type === "string" && Object.hasOwn(FAMILIES, type) ? FAMILIES[type] : undefined;
  if (!family) {
    const reason = typeof type === "string" ? refusalReason(type) : null;
    throw new AppError(
      "checkpoint_unsupported",
      `config.json: model_type ${quote(type)}${reason === null ? "" : ` (${reason})`} is not supported; known: ${known}.`,
    );
  }
  if (raw.quantization_config) throw quantisedError(raw.quantization_config);
  const config = family.read(raw);
  if (config.numHeads % config.numKvHeads !== 0)
    throw new AppError(
      "checkpoint_invalid",
      `config.json: ${config.numHeads} attention heads do not share ${config.numKvHeads} key/value heads evenly.`,
    );
  const odd = config.ropes.find(({ rotaryDim }) => rotaryDim < 2 || rotaryDim % 2 !== 0);
  if (odd)
    throw new AppError(
      "checkpoint_invalid",
      `config.json: the number of values in a head that rotary positions turn must be even, found ${odd.rotaryDim} of ${config.headSize}.`,
    );
  const bounds = config.ropes.map(({ scaling }) =>
    scaling.type === "longrope" ? scaling.originalMaxPositions : Infinity,
  );
  return { ...config, maxPositions: Math.min(config.maxPositions, ...bounds) };
}

function quantisedError(settings: unknown): AppError {
  const { quant_method: method, bits } = settings as RawConfig;
  const name = typeof method === "string" ? ` says ${method}${typeof bits === "number" ? `, ${bits} bits` : ""}` : "";
  return new AppError(
    "checkpoint_unsupported",
    `config.json: the checkpoint is quantised (quantization_config${name}). Use the unquantised checkpoint. mosara build quantises it.`,
  );
}
