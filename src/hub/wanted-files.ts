/**
 * Chooses the files of a repository that are needed: a checkpoint's, one GGUF file's parts, or a PEFT adapter's.
 * Nothing else is fetched.
 */
import { isPeftText, PEFT_CONFIG, PEFT_TENSORS } from "../adapter/peft-files.ts";
import { AppError } from "../errors.ts";
import { type HubName, hubNameText } from "./hub-name.ts";
import type { HubFile } from "./repository.ts";

/** Kinds of content that a name can stand for. */
export type HubContent = "checkpoint" | "gguf" | "adapter";

export interface Wanted {
  readonly content: HubContent;
  readonly files: readonly HubFile[];
}

const TEXT =
  /^(config\.json|generation_config\.json|tokenizer[^/]*\.(json|model)|special_tokens_map\.json|added_tokens\.json|vocab\.(json|txt)|merges\.txt|chat_template\.(jinja|json)|additional_chat_templates\/[^/]+\.jinja)$/;
const WEIGHTS = /^model(-\d{5}-of-\d{5})?\.safetensors$/;
const INDEX = "model.safetensors.index.json";
const PART = /-\d{5}-of-(\d{5})\.gguf$/;
const PICKLE = /\.(bin|pt|pth|ckpt|msgpack|h5)$/;
const ADAPTER = new Set([PEFT_CONFIG, PEFT_TENSORS]);
/** Names in a message; further ones are counted. */
const NAMED = 12;

/** @throws {AppError} usage where the repository has nothing that can be read. */
export function wantedModel(name: HubName, files: readonly HubFile[]): Wanted {
  const ggufs = files.filter(({ path }) => path.endsWith(".gguf") && !/(^|\/)mmproj/i.test(path));
  if (name.file !== null || name.quantisation !== null) return { content: "gguf", files: chosenGguf(name, ggufs) };
  const has = (path: string): boolean => files.some((file) => file.path === path);
  const weights = files.filter(({ path }) => WEIGHTS.test(path) || path === INDEX);
  if (has("config.json") && weights.some(({ path }) => path !== INDEX))
    return { content: "checkpoint", files: [...files.filter(({ path }) => TEXT.test(path)), ...weightsOf(weights)] };
  if (has(PEFT_CONFIG))
    throw new AppError(
      "usage",
      `${hubNameText(name)} is a PEFT adapter, not a model. Name its base as the model, and convert the adapter with "mosara import ${hubNameText(name)}".`,
    );
  if (ggufs.length > 0) return { content: "gguf", files: chosenGguf(name, ggufs) };
  const pickles = files.filter(({ path }) => PICKLE.test(path));
  if (pickles.length > 0)
    throw new AppError(
      "usage",
      `${hubNameText(name)} has its weights only as pickles (${listed(pickles)}), which can run code when they are read. Name a repository or a revision with safetensors; many have one as the pull request "refs/pr/…".`,
    );
  throw new AppError(
    "usage",
    `${hubNameText(name)} has no model that can be read: ${listed(files)}. A model is config.json with model.safetensors, or a GGUF file.`,
  );
}

/** A PEFT adapter's two files, and the text files beside them. @throws {AppError} usage. */
export function wantedAdapter(name: HubName, files: readonly HubFile[]): Wanted {
  const own = files.filter(({ path }) => ADAPTER.has(path));
  const texts = files.filter(({ path }) => isPeftText(path));
  if (own.length === ADAPTER.size) return { content: "adapter", files: [...own, ...texts] };
  const reason = files.some(({ path }) => path === "adapter_model.bin")
    ? "has its adapter only as a pickle (adapter_model.bin), which can run code when it is read. Save it again as safetensors"
    : `is not a PEFT adapter: it lacks ${[...ADAPTER].filter((path) => !own.some((file) => file.path === path)).join(" and ")}`;
  throw new AppError("usage", `${hubNameText(name)} ${reason}.`);
}

/**
 * Some repositories have the weights both as one file and in parts. The one file is chosen, because it takes one
 * request.
 */
function weightsOf(weights: readonly HubFile[]): readonly HubFile[] {
  const whole = weights.filter(({ path }) => path === "model.safetensors");
  return whole.length > 0 ? whole : weights;
}

function chosenGguf(name: HubName, ggufs: readonly HubFile[]): readonly HubFile[] {
  const { file, quantisation } = name;
  const isChosen = (path: string): boolean =>
    file !== null ? path === file : quantisation === null || hasQuantisation(path, quantisation);
  const chosen = ggufs.filter(({ path }) => isChosen(path) && (file !== null || isFirstPart(path)));
  const [first] = chosen;
  if (first === undefined)
    throw new AppError(
      "usage",
      `${hubNameText(name)} does not exist. ${name.repo} has ${listed(ggufs) || "no GGUF file"}.`,
    );
  if (chosen.length > 1)
    throw new AppError(
      "usage",
      `${name.repo} has ${chosen.length} GGUF files. Name one of them, such as ${name.repo}/${first.path}: ${listed(chosen)}.`,
    );
  const count = PART.exec(first.path)?.[1];
  if (count === undefined) return [first];
  const stem = first.path.replace(PART, "");
  const parts = Array.from(
    { length: Number(count) },
    (_, i) => `${stem}-${String(i + 1).padStart(5, "0")}-of-${count}.gguf`,
  );
  return parts.map((path) => {
    const part = ggufs.find((one) => one.path === path);
    if (part === undefined) throw new AppError("usage", `${name.repo} lacks ${path}, a part of ${first.path}.`);
    return part;
  });
}

const isFirstPart = (path: string): boolean => !PART.test(path) || path.includes("-00001-of-");

/** Whether a file's name contains the quantisation as a word of its own. Q4_K_M does not contain Q4_K. */
function hasQuantisation(path: string, quantisation: string): boolean {
  const words = path
    .toLowerCase()
    .replace(PART, ".gguf")
    .replace(/\.gguf$/, "")
    .split(/[./-]/);
  return words.includes(quantisation.toLowerCase());
}

function listed(files: readonly HubFile[]): string {
  const names = files.slice(0, NAMED).map(({ path }) => path);
  return names.join(", ") + (files.length > NAMED ? ` and ${files.length - NAMED} more` : "");
}
